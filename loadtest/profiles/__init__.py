"""Shapes of load: how many slots a second are meant to start at each moment, and what must hold."""

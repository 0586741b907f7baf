"""Terminals, load, drills and doubt: what uses the cluster, breaks it, and judges it."""

"""Bugs put in on purpose: the simulator is worth what it finds.

Each is a few lines that break one rule of docs/protocol.md, as somebody might have written them who
took it loosely. `plant` puts one in for the time of some days and takes it out again; the product
knows nothing of them. `catalogue` lists all, `matrix` tells how many seeds each takes to be found.
"""

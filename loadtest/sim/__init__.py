"""Bad days in virtual time, each from one seed: the programs that serve payments in a world that
loses, delays, repeats, crashes, tears and forgets.

What runs is the real thing: core, ledger, driver, intake and engine of a node; election, session
and lookout of the coordinator; the terminals' exchange and the judges of the drills. What is
replaced is what they stand on: the event loop and its clock (`timeline`, `loop`), the wires
(`network`), the disks (`disk`, `store`), etcd (`etcd`, `registry`).

From the outside in: `command` and `campaign` run many seeds, `play` runs one: `setup` and `weather`
draw what the day is like, `world` puts it together, `troubles` happen to it, `witness` looks at
every step, `judge` at the end; `story`, `coverage` and `shrink` tell of it.
"""

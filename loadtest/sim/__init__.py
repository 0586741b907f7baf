"""Bad days in virtual time, each from one seed: the programs that serve payments in a world that
loses, delays, repeats, crashes, tears and forgets.

What runs is the real thing: core, ledger, driver, intake, engine and front of a node; election,
session, switching and lookout of the coordinator; the terminals' exchange and the judges of the
drills. What is replaced is what they stand on: the event loop and its clock (`timeline`, `loop`),
the wires (`network`), the disks (`storage`), etcd (`coordination`).

From the outside in: `command` and `campaign` play many seeds, `play` plays one: `weather` draws
what the day is like and what goes wrong, `world` puts it together on its `ground` (`node` and
`life`, `people`), the `witness` looks at every step (`observed`, `eyewitness`) and the `judge` at
the end; `tales` tell of it. `planted` breaks the programs on purpose, to see that it is noticed.
"""

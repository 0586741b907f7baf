"""Where the cluster runs, and what operators do with it.

`topology` says what a cluster is made of; `lab` runs it on this machine, on loopback or in network
namespaces. `control` asks one node, `written` asks etcd; on these stand what is looked at (`sight`,
shown by `view`, doubted by `alarms`), `audit`, and a switch of the site without loss (`moving`) or
with it (`giving_up`). `cli` has the commands.
"""

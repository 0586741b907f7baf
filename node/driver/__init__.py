"""Performing what the core decides: one replica, its store, its peers, its place in etcd.

`driver` feeds inputs and performs outputs, `intake` turns waiting commands into batches and
answers them, `engine` is what the gRPC front sees of both. `snapshots` has them made, fetched and
installed, `archive` reads log and ledger for those who doubt, `picture` says how the node is;
`ports` is what the driver needs of its neighbours.
"""

"""Performing what the core decides: one replica, its store, its peers, its place in etcd.

`driver` feeds inputs and performs outputs, `intake` turns waiting commands into batches and
answers them, `engine` is what the gRPC front sees of both.
"""

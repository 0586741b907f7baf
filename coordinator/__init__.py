"""etcd and everything that stands above a single node: configuration, registry, election."""

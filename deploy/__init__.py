"""Where the cluster runs: topologies, and the grounds (processes, later namespaces) under them."""

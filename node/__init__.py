"""One settlement node: the protocol core, the ledger, the store, and the gRPC services over them."""

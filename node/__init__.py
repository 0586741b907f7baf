"""One settlement node: protocol core, ledger, store, and the gRPC services over them."""

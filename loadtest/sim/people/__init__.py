"""Whoever uses and watches the cluster: `terminals` with their clerks, the operators' `desk` with
what a promotion gives up (`forfeit`), and the coordinators at their `places`."""

"""Disks in virtual time: a `disk` outlives processes and loses what was not synced; a `store`
works on it in the rounds of the real one (`writer`), keeps ledger `rows`, makes copies of them
(`copying`) and opens what was used before (`recovery`)."""

"""etcd in virtual time: `keyspace` holds what it holds, `lessor` its leases, `watches` who follows;
`etcd` answers, and goes away. A program reaches it through a `registry` of its own, over a
`connection`, with `streams` for watches and renewals."""

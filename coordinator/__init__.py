"""etcd and everything that stands above a single node.

`configuration` says who counts, `registry` talks to etcd, `election` and `session` win and keep a
node's leadership there; `switching` makes another site the active one, `recording` keeps the
operators' records, and `sites` are the coordinators, who watch the sites from three places.
"""

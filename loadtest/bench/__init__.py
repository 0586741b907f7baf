"""What a settlement costs beside a call that does nothing: one client, one server stack, in turns.

`kessai bench` starts a cluster of its own and an echo server built from the same parts as a node's
front, and lets the same client talk to both, round about, with the same messages.
"""

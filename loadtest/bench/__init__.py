"""What a settlement costs beside a call that does nothing: one client, one server stack, in turns.

`kessai bench` starts clusters of its own and an echo server built from the same parts as a node's
front, and lets the same client talk to each, round about, with the same messages. `catch_up` sends
a node of the standby away and times its return.
"""

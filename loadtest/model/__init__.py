"""A second opinion on the protocol: an explicit-state model that Spin explores exhaustively.

`protocol.pml` is written from docs/protocol.md alone; it shares no code with node/core. `kessai
model` explores the bounded worlds of `instances` and shows that the rules broken in `planted` would
be noticed. What is covered, and what is not, stands in docs/protocol.md.
"""

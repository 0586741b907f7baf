"""The protocol in one page: an epoch-fenced quorum log, as a pure state machine.

`Replica.step(input, now) -> Output`. Nothing here reads a clock, a disk or a socket. The rules have
the numbers of docs/protocol.md.

- etcd decides who may lead (E2: the leader key's `mod_revision` is the *epoch*) and which replicas
  count (the *configuration* with its in-sync sets). The log decides what is settled.
- A winner promises its own epoch and fences the others (`takeover`): a takeover quorum meets every
  write quorum, so among the promises there is a log with everything ever acknowledged. It takes
  the greatest, appends EpochStart, and serves once that is committed and applied.
- The leader (`leader`, `progress`) gives each batch its place, sends it before its own fsync, and
  commits what is durable on a write quorum of both sites' in-sync sets. It keeps those sets true
  (`keeping`), changing them (`reconfigure`) jointly and under a guard in etcd; passes the lead on
  as planned (`moves`), inside its site (`handover`) or to the other one (`switching`); and proves
  current reads (`reads`).
- A follower (`follower`) appends what matches, vows Acks for what was matched and is on disk, and
  asks its peers before it tries to replace a silent leader. One that needs what is pruned
  (`pruning`) gets a snapshot (`catching_up`).
- What peers say (`peers`) and what etcd says (`etcd`) goes to the role it concerns (`replica`);
  vows are made in `promising`, logs given away in `donor`, and `silent` vouches for nothing.

The caller's duties:

1. Feed inputs one at a time; perform an Output before the next step, in this order: `persist`
   (queue the writes and installations, in order), `send`, `apply`, `load`, `prune`,
   `make_snapshot`, `fetch_snapshot`, `abandon`, `answer`, `ask_registry`, `events`.
2. Never send a vow yourself: whatever is in `send` may leave at once; the core has withheld the
   rest until `Persisted`.
3. After each durable storage transaction feed `Persisted(highest write number in it)`; numbers rise
   and cover everything before them. A write that failed is `StorageFailed`, once, and for good.
4. Apply entries in the order given and feed `Applied`; a receipt may be answered then.
5. On `abandon`, answer every placed but unanswered proposal "outcome unknown, same key" (T9).
6. Messages may be lost, repeated, delayed and reordered; their sender may not be forged.
7. Feed `Tick` at least every heartbeat; `now` never goes back.
8. Make a new `Replica` from disk at each start of the process, with a new `life`.
9. Answer `make_snapshot` with `SnapshotMade` if one could be made, `fetch_snapshot` with
   `SnapshotFetched` once the file is checked and on disk, or with `SnapshotMissed`.
"""

from coordinator.configuration import Configuration, ReplicaId
from node.core.log import Log
from node.core.replica import Replica
from node.core.state import Identity, ProtocolBreach, State, Timings

__all__ = [
    "Configuration",
    "Identity",
    "Log",
    "ProtocolBreach",
    "Replica",
    "ReplicaId",
    "State",
    "Timings",
]

"""What may be done to programs: nodes, etcd members, or all that stands at a place."""

from __future__ import annotations

from loadtest.faults.parts import Fault


class Kill(Fault, frozen=True, tag="kill"):
    """SIGKILL: the process is gone, its connections are reset.

    `also`: more targets, killed at the same moment.
    """

    also: tuple[str, ...] = ()


class Pause(Fault, frozen=True, tag="pause"):
    """SIGSTOP: the process is there, holds its connections, and says nothing."""


class Stop(Fault, frozen=True, tag="stop"):
    """SIGTERM, as for maintenance: the process takes its leave."""


class LoseDisk(Fault, frozen=True, tag="lose-disk"):
    """SIGKILL to a node, and its data is gone: it returns with an empty disk."""


class Start(Fault, frozen=True, tag="start"):
    """Start a process that is not running: what heals a kill, a stop or a lost disk."""


class Resume(Fault, frozen=True, tag="resume"):
    """SIGCONT: what heals a pause."""


class HandOver(Fault, frozen=True, tag="handover"):
    """Ask the leader (the target) to pass the lead on; it heals by itself."""


class Switch(Fault, frozen=True, tag="switch"):
    """Ask the leader to switch to the site that is the target, as planned."""


ProgramFault = Kill | Pause | Stop | LoseDisk | Start | Resume | HandOver | Switch

"""What a drill may do to a cluster, as data. Every fault carries its own healing.

A drill names its victims by their part in the play ("leader"); `cast` turns them into names when
the moment has come, and the healing then speaks of the same names, whoever leads by then.
"""

from __future__ import annotations

from typing import Final

from loadtest.faults.casting import NobodyToHurt, Stage, cast
from loadtest.faults.machine import (
    FailingDisk,
    FullDisk,
    MachineFault,
    Mend,
    SlowDisk,
    WrongClock,
)
from loadtest.faults.network import (
    Cut,
    CutOff,
    Isolate,
    Lossy,
    NetworkFault,
    PortDown,
    Restore,
    Slow,
    SwitchDown,
)
from loadtest.faults.parts import BETWEEN_SITES, SITE, SWITCH, TERMINALS_LINK, Fault
from loadtest.faults.programs import (
    HandOver,
    Kill,
    LoseDisk,
    Pause,
    ProgramFault,
    Resume,
    Start,
    Stop,
    Switch,
)

AnyFault = ProgramFault | NetworkFault | MachineFault
Healing = Start | Resume | Restore | Mend

NEEDS_NETWORK: Final = (Cut, Isolate, CutOff, SwitchDown, PortDown, Lossy, Slow)
"""What can only be done where every host has a network of its own."""

__all__ = [
    "BETWEEN_SITES",
    "NEEDS_NETWORK",
    "SITE",
    "SWITCH",
    "TERMINALS_LINK",
    "AnyFault",
    "Cut",
    "CutOff",
    "FailingDisk",
    "Fault",
    "FullDisk",
    "HandOver",
    "Healing",
    "Isolate",
    "Kill",
    "LoseDisk",
    "Lossy",
    "MachineFault",
    "Mend",
    "NetworkFault",
    "NobodyToHurt",
    "Pause",
    "PortDown",
    "ProgramFault",
    "Restore",
    "Resume",
    "Slow",
    "SlowDisk",
    "Stage",
    "Start",
    "Stop",
    "Switch",
    "SwitchDown",
    "WrongClock",
    "cast",
    "healing",
]


def healing(fault: AnyFault) -> Healing | None:
    """What undoes a fault; None where nothing is left to undo."""
    match fault:
        case Kill() | Stop() | LoseDisk():
            return Start(fault.target)
        case Pause():
            return Resume(fault.target)
        case Start() | Resume() | HandOver() | Switch():
            return None
        case SlowDisk() | FullDisk() | FailingDisk() | WrongClock():
            return Mend(fault)
        case _:
            return Restore(fault)

"""The four calls to the Linux kernel that Python 3.11 has no words for.

All of them raise `OSError` as those of `os` do.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

NEW_USER: Final = 0x10000000
NEW_PROCESSES: Final = 0x20000000
NEW_MOUNTS: Final = 0x00020000
NEW_NETWORK: Final = 0x40000000

_MS_NOSUID_NODEV_NOEXEC: Final = 0x2 | 0x4 | 0x8
_MS_REC_PRIVATE: Final = 0x4000 | 0x40000
_PR_SET_PDEATHSIG: Final = 1


def unshare(flags: int) -> None:
    """Namespaces of its own for the calling process; for NEW_NETWORK, for the calling thread."""
    _check(_libc().unshare(ctypes.c_int(flags)), "unshare")


def mounts_private() -> None:
    """Nothing that is mounted from here on is seen by anybody outside of our mount namespace."""
    _check(_libc().mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC_PRIVATE), None), "mount", "/")


def mount_proc() -> None:
    """The process table of our own process namespace, in the place of the machine's."""
    flags = ctypes.c_ulong(_MS_NOSUID_NODEV_NOEXEC)
    _check(_libc().mount(b"proc", b"/proc", b"proc", flags, None), "mount", "/proc")


def die_with_parent(number: int) -> None:
    """Have the kernel send us signal `number` when our parent is gone."""
    _check(_libc().prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(number), 0, 0, 0), "prctl")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, call: str, path: str = "") -> None:
    if result != 0:
        number = ctypes.get_errno()
        words = f"{call} {path}".rstrip()
        raise OSError(number, f"{words}: {os.strerror(number)}")

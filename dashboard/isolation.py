"""A process that reads a stranger's file: no network, no other processes, no files but in its own folder, limits.

Three locks, so that one that a platform lacks does not matter: the kernel's limits on memory, processor time and file
sizes; where the kernel lets an ordinary user have one, a network namespace with nothing in it; and an audit hook, which
cannot be taken off again (PEP 578), against sockets, programs and writing elsewhere.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Final

MEMORY_BYTES: Final = 8 * 2**30
"""Address space; torch alone takes about 3 GiB of it."""
PROCESSOR_S: Final = 90
FILE_BYTES: Final = 64 * 2**20
_NEW_USER_AND_NETWORK: Final = 0x10000000 | 0x40000000
"""CLONE_NEWUSER and CLONE_NEWNET of linux/sched.h."""
_NETWORK: Final = ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo")
_PROGRAMS: Final = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.startfile",
    "pty.spawn",
)
_CHANGES: Final = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.link", "os.symlink")
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC


def isolate(folder: Path) -> None:
    """Lock this process in for good; it may write in `folder` alone."""
    _limit()
    _leave_network()
    sys.addaudithook(_Guard(folder.resolve()))


def _limit() -> None:
    try:
        import resource
    except ImportError:  # not a POSIX system: the time that the server waits is the limit
        return
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, PROCESSOR_S),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (allowed, allowed))


def _leave_network() -> bool:
    """Move into a network namespace of its own, without a way out; False where the kernel does not allow it."""
    if not sys.platform.startswith("linux"):
        return False
    return bool(ctypes.CDLL(None, use_errno=True).unshare(_NEW_USER_AND_NETWORK) == 0)


class _Guard:
    """Refuses what reading a file never needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if event in _NETWORK or event in _PROGRAMS:
            raise PermissionError(f"reading an upload may not use {event}")
        if event in _CHANGES:
            for path in arguments[:2]:
                self._inside(event, path)
        elif event == "open" and self._writes(arguments):
            self._inside(event, arguments[0])

    @staticmethod
    def _writes(arguments: tuple[object, ...]) -> bool:
        flags = arguments[2] if len(arguments) > 2 else 0
        return isinstance(flags, int) and bool(flags & _WRITING)

    def _inside(self, event: str, path: object) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return  # a descriptor of a file that is open already, or a mode
        real = os.path.realpath(os.fsdecode(path))
        if real != os.devnull and not (real + os.sep).startswith(self.folder + os.sep):
            raise PermissionError(f"reading an upload may not {event} {real}")

"""The process groups of programs that run now, and how they end: apart from ``process``, which loads much more."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Callable, Set

from r1fleet.agent.outcome import Interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess

GRACE_SECONDS = 1.0
_running: Set[int] = set()
_starting = threading.Lock()
_closed = threading.Event()


def begin(start: Callable[[], "subprocess.Popen[bytes]"]) -> "subprocess.Popen[bytes]":
    """Have a program started that leads a group of its own; Interrupted where none may start any more."""
    with _starting:
        if _closed.is_set():
            raise Interrupted
        process = start()
        _running.add(process.pid)
        return process


def ended(group: int) -> None:
    """Forget a group."""
    _running.discard(group)


def kill_all() -> None:
    """Kill every process group that is still running, politely first, and let no other start."""
    _closed.set()
    # Whoever holds this is between a fork and its registration; a program on a dead disk must not hold us for ever.
    _starting.acquire(timeout=GRACE_SECONDS)
    groups = list(_running)
    for group in groups:
        send(group, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while any(_alive(group) for group in groups) and time.monotonic() < deadline:
        time.sleep(0.02)
    for group in groups:
        send(group, signal.SIGKILL)


def send(group: int, number: int) -> None:
    """Send a signal to a group, if it is still there."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        pass


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except OSError:
        return False
    return True

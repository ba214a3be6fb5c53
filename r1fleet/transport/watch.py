"""One thread that watches all links: a host that says nothing for ten seconds is lost."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from r1fleet.errors import FleetError
from r1fleet.transport import refusals

SILENCE_SECONDS = 10.0
_LOOK_SECONDS = 1.0


class Watched(Protocol):
    """What is watched: when it was last heard, and how it is given up."""

    heard: float
    host: str

    def lose(self, error: FleetError) -> None:
        """Give the host up."""


_links: set[Watched] = set()
_state = threading.Lock()
_wake = threading.Event()
_thread: threading.Thread | None = None


def add(link: Watched) -> None:
    """Watch a link from now on."""
    global _thread
    with _state:
        _links.add(link)
        if _thread is None:
            _thread = threading.Thread(target=_watch, name="watch", daemon=True)
            _thread.start()


def remove(link: Watched) -> None:
    """Watch a link no longer."""
    with _state:
        _links.discard(link)


def _watch() -> None:
    global _thread
    looked = time.monotonic()
    while True:
        time.sleep(_LOOK_SECONDS)
        now = time.monotonic()
        # A controller that was stopped or starved has heard nothing either: that is no host's fault.
        excused = now - looked > 3 * _LOOK_SECONDS
        looked = now
        with _state:
            if not _links:
                _thread = None
                return
            links = list(_links)
        for link in links:
            if excused:
                link.heard = now
            elif now - link.heard > SILENCE_SECONDS:
                link.lose(refusals.silent(link.host, SILENCE_SECONDS))

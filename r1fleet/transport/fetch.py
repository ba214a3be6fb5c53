"""Bring a host's file to the controller: streamed, checked, put in place at once or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import IO

from r1fleet.errors import HostFailed, UsageError, Where
from r1fleet.transport.protocol import Become, Call, Reply

Submit = Callable[[Call, Callable[[bytes], None]], "Future[Reply]"]


def fetching(path: str, become: Become | None, rate: int) -> Call:
    """Return the call that streams a file of the host, at most ``rate`` bytes a second unless 0."""
    return Call("agent.fetch", {"path": path, "rate": rate}, become=become)


def fetch(host: str, submit: Submit, call: Call, target: Path) -> Reply:
    """Stream what ``call`` names to ``target``; a reply that failed leaves ``target`` untouched."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise _unwritable(target, error) from error
    neighbour = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            arriving = _Arriving(stream)
            coming = submit(call, arriving.take)
            try:
                reply = coming.result()
            finally:
                coming.cancel()  # of use where a Ctrl-C ends the wait
                arriving.close()
        if not reply.get("failed"):
            arriving.check(host, call.args["path"], reply)
            neighbour.replace(target)
        return reply
    except OSError as error:
        raise _unwritable(target, error) from error
    finally:
        neighbour.unlink(missing_ok=True)


def _unwritable(target: Path, error: OSError) -> UsageError:
    return UsageError(f"cannot write {target}: {error.strerror}", hint="see space and permissions")


class _Arriving:
    """Content on its way into a file of the controller."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._summer = hashlib.sha256()
        self._error: OSError | None = None
        self._closed = False
        self._lock = threading.Lock()

    def take(self, chunk: bytes) -> None:
        """Write a piece; called from the link's reader, which must not fail for a full disk."""
        with self._lock:
            if self._closed or self._error is not None:
                return
            self._summer.update(chunk)
            try:
                self._stream.write(chunk)
            except OSError as error:
                self._error = error

    def close(self) -> None:
        """Drop what still comes."""
        with self._lock:
            self._closed = True

    def check(self, host: str, path: str, reply: Reply) -> None:
        """Raise what went wrong here or on the way."""
        if self._error is not None:
            raise self._error
        if self._summer.hexdigest() != reply["sha256"]:
            raise HostFailed(f"{path} arrived damaged", where=Where(host=host), hint="run again")

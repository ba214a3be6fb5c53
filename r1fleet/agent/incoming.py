"""Content on its way from the controller into a file."""

from __future__ import annotations

import hashlib
import io
import os
import threading

from r1fleet.agent import frames
from r1fleet.agent.frames import Frame
from r1fleet.agent.outcome import ModuleFailed


class Incoming:
    """One content; the reader's thread fills it while the call waits."""

    def __init__(self, ident: int, stream: io.FileIO) -> None:
        self.ident = ident
        self._summer = hashlib.sha256()
        self._ended = threading.Event()
        self._error = ""
        self._stream = stream

    def take(self, frame: Frame) -> None:
        """Write a piece, or note the end."""
        if frame.kind == frames.END:
            self._error = self._error or frame.json().get("error") or ""
            self._ended.set()
        elif not self._error:
            self._summer.update(frame.payload)
            try:
                self._write(frame.payload)
            except (OSError, ValueError) as error:  # the disk is full, or the call has gone and closed the file
                self._error = "%s: %s" % (_folder(self._stream.name), getattr(error, "strerror", None) or error)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._stream.write(view) or 0 :]

    def wait(self, sha256: str) -> None:
        """Wait for the end and check what came."""
        self._ended.wait()
        if self._error:
            raise ModuleFailed("cannot receive content: %s" % self._error)
        if self._summer.hexdigest() != sha256:
            raise ModuleFailed("the content that arrived is not what was announced (has its file changed meanwhile?)")


def _folder(path: str) -> str:
    """Return the folder that people know: content lies two levels below it while it comes."""
    return os.path.dirname(os.path.dirname(path))

"""A command at a terminal: what a person sees, types and interrupts."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parents[1]


class Terminal:
    """The command line on a pseudo-terminal of its own, as a shell would start it."""

    def __init__(self, *argv: str, size: Sequence[int] = (40, 120), **environment: str) -> None:
        ours, theirs = os.openpty()
        termios.tcsetwinsize(theirs, (size[0], size[1]))
        self._ours = ours
        self._seen = ""
        self._taken = 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "r1fleet", *argv],
            cwd=ROOT,
            env={**os.environ, "TERM": "xterm-256color", **environment},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)

    @property
    def seen(self) -> str:
        """All that the terminal has shown."""
        return self._seen

    def until(self, text: str, seconds: float = 60) -> str:
        """Wait until ``text`` is shown, and return what was shown before it since the last time."""
        deadline = time.monotonic() + seconds
        while text not in self._seen[self._taken :]:
            heard = self._hear()
            assert heard, f"ended without {text!r}:\n{self._seen}"
            assert time.monotonic() < deadline, f"no {text!r} in:\n{self._seen}"
        at = self._seen.index(text, self._taken)
        before, self._taken = self._seen[self._taken : at], at + len(text)
        return before

    def type(self, text: str) -> None:
        """Type."""
        os.write(self._ours, text.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def end(self, seconds: float = 60) -> int:
        """Wait for the command's end; return its exit code."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._hear():
            pass
        return self.process.wait(max(1.0, deadline - time.monotonic()))

    def _hear(self) -> bool:
        """Take in what comes within a moment; False when the other side has closed."""
        if not select.select([self._ours], [], [], 0.2)[0]:
            return self.process.poll() is None
        try:
            data = os.read(self._ours, 65536)
        except OSError:
            return False
        self._seen += data.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(data)

"""The controller as a host: the same agent as a subprocess."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress

from r1fleet.agent import stub
from r1fleet.errors import HostUnreachable, Where
from r1fleet.transport import refusals
from r1fleet.transport.protocol import Become, Completed
from r1fleet.transport.session import AgentSession, AgentSettings
from r1fleet.transport.wire import TICK_SECONDS, Wire

END_SECONDS = 3.0


class LocalSession(AgentSession):
    """A session with this machine itself."""

    def __init__(self, name: str, settings: AgentSettings | None = None) -> None:
        super().__init__(name, settings or AgentSettings())
        self._process: PipeWire | None = None

    def execute(self, command: str, *, stdin: bytes = b"", timeout: float | None = None) -> Completed:
        """Run one shell command in a process group of its own."""
        with subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            try:
                stdout, stderr = process.communicate(stdin, timeout)
            except subprocess.TimeoutExpired as error:
                raise refusals.too_slow(self.name, command, timeout or 0) from error
            finally:
                if process.returncode is None:
                    os.killpg(process.pid, signal.SIGKILL)
        return Completed(process.returncode, stdout, stderr)

    def pipe(self, command: str) -> Wire:
        """Start one shell command as a process of its own."""
        return PipeWire(self.name, ["/bin/sh", "-c", command])

    def start(self, become: Become | None = None) -> None:
        """Start the agent as the user who runs r1fleet."""
        super().start()

    def _wire(self, nonce: str, interpreter: str | None, *, elevated: bool) -> Wire:
        self._process = PipeWire(self.name, stub.command(interpreter or sys.executable, nonce))
        return self._process

    def _disconnect(self) -> None:
        if self._process is not None:
            self._process.reap()


class PipeWire:
    """A stream over a subprocess's pipes; the subprocess has no terminal, so that Ctrl-C is ours alone."""

    def __init__(self, host: str, argv: list[str]) -> None:
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise HostUnreachable(
                f"cannot start {argv[0]}: {error.strerror}",
                where=Where(host=host),
                hint="correct ansible_python_interpreter",
            ) from error
        # A pipe of our own: a cut must wake a reader that waits.
        self._cut_read, self._cut_write = os.pipe()
        self._is_cut = False

    def read(self, size: int) -> bytes:
        """Return what has come, b"" at the end or after a cut."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout.fileno(), self._cut_read], [], [], TICK_SECONDS)
        if not ready:
            raise TimeoutError
        if self._cut_read in ready:
            return b""
        return os.read(self._process.stdout.fileno(), size)

    def write(self, data: bytes) -> None:
        """Send all of ``data``."""
        assert self._process.stdin is not None
        view = memoryview(data)
        while view:
            if self._is_cut:
                raise BrokenPipeError
            _, ready, _ = select.select([], [self._process.stdin], [], TICK_SECONDS)
            if ready:
                view = view[os.write(self._process.stdin.fileno(), view[: select.PIPE_BUF]) :]

    def complaint(self) -> str:
        """Return what is in the standard error's pipe."""
        assert self._process.stderr is not None
        if not select.select([self._process.stderr], [], [], 0)[0]:
            return ""
        lines = os.read(self._process.stderr.fileno(), 4096).decode("utf-8", "replace").splitlines()
        return " / ".join(line.strip() for line in lines[-3:])

    def cut(self) -> None:
        """Make reads and writes end."""
        if not self._is_cut:
            self._is_cut = True
            os.write(self._cut_write, b"x")

    def release(self) -> None:
        """Nothing else uses the pipes."""
        self.cut()

    def reap(self) -> None:
        """Close the pipes (the agent ends itself and its children then) and wait for its end."""
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()
        for descriptor in (self._cut_read, self._cut_write):
            with suppress(OSError):
                os.close(descriptor)

"""Run a program on the host: bounded output, a process group of its own, and no way to leave one behind."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from typing import IO, Any, Dict, List, NamedTuple, Optional, Sequence

from r1fleet.agent import groups
from r1fleet.agent.outcome import ModuleFailed

KEEP_BYTES = 10 * 1024 * 1024
SYSTEM_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin")
_CHUNK = 65536
_UNKILLABLE = " (process %d could not be killed: it waits for a device or a file system)"


class Done(NamedTuple):
    """The end of a program: exit status and what it wrote; ``dropped`` counts the bytes beyond the bound."""

    rc: int
    stdout: bytes
    stderr: bytes
    dropped: int = 0

    @property
    def text(self) -> str:
        """Standard output as text; bytes that are not UTF-8 survive as lone surrogates."""
        return self.stdout.decode("utf-8", "surrogateescape")

    @property
    def error(self) -> str:
        """Standard error as text."""
        return self.stderr.decode("utf-8", "surrogateescape")


class CommandTimeout(ModuleFailed):
    """A program ran longer than it was given."""


def which(name: str, path: Optional[str] = None) -> Optional[str]:
    """Find a program on PATH, then where systems keep their administration tools."""
    if "/" in name:
        return name if _executable(name) else None
    folders = (os.environ.get("PATH", "") if path is None else path).split(os.pathsep)
    candidates = (os.path.join(folder, name) for folder in [*filter(None, folders), *SYSTEM_PATH])
    return next((candidate for candidate in candidates if _executable(candidate)), None)


def run(
    argv: Sequence[str],
    *,
    stdin: Optional[bytes] = None,
    cwd: Optional[str] = None,
    env: Optional[Dict[str, str]] = None,
    timeout: Optional[float] = None,
    keep: int = KEEP_BYTES,
    umask: int = -1,
) -> Done:
    """Run ``argv`` to its end; raise ModuleFailed where it cannot start, CommandTimeout where it must be killed."""
    process = groups.begin(lambda: _start(argv, stdin, cwd, env, umask))
    pump = _Pump(process, stdin or b"", keep)
    try:
        pump.until_end(None if timeout is None else time.monotonic() + timeout)
    except TimeoutError:
        rest = "" if kill_group(process.pid, process) else _UNKILLABLE % process.pid
        msg = "command timed out after %g seconds: %s%s" % (timeout or 0, argv[0], rest)
        raise CommandTimeout(msg, rc=-signal.SIGKILL, **pump.texts()) from None
    except BaseException:
        kill_group(process.pid, process)
        raise
    finally:
        groups.ended(process.pid)
        pump.close()
    return pump.done()


def kill_group(group: int, leader: "subprocess.Popen[bytes]") -> bool:
    """End one process group: TERM, a second of grace for its leader, then KILL for all; False where it lives on."""
    groups.send(group, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        leader.wait(groups.GRACE_SECONDS)
    groups.send(group, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        leader.wait(groups.GRACE_SECONDS)
    return leader.returncode is not None


def _executable(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _start(
    argv: Sequence[str], stdin: Optional[bytes], cwd: Optional[str], env: Optional[Dict[str, str]], umask: int
) -> "subprocess.Popen[bytes]":
    words: List[str] = list(argv)
    found = which(words[0], (env or os.environ).get("PATH"))
    options: Dict[str, Any] = {"preexec_fn": lambda: os.umask(umask)} if umask >= 0 else {}
    try:
        return subprocess.Popen(
            words,
            executable=found,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=env,
            start_new_session=True,
            **options,
        )
    except (OSError, ValueError) as error:
        status = error.errno if isinstance(error, OSError) and error.errno else 2
        raise ModuleFailed(str(error), rc=status, cmd=" ".join(words)) from error


class _Pump:
    """Moves a program's three streams until it has ended, keeping at most ``keep`` bytes of each output."""

    def __init__(self, process: "subprocess.Popen[bytes]", stdin: bytes, keep: int) -> None:
        self._process = process
        self._input = memoryview(stdin)
        self._keep = keep
        self._kept = {"stdout": bytearray(), "stderr": bytearray()}
        self._dropped = {"stdout": 0, "stderr": 0}
        self._selector = selectors.DefaultSelector()
        for stream, name in ((process.stdout, "stdout"), (process.stderr, "stderr")):
            assert stream is not None
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, selectors.EVENT_READ, name)
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            self._selector.register(process.stdin, selectors.EVENT_WRITE, "stdin")

    def until_end(self, deadline: Optional[float]) -> None:
        """Move data until the program has ended; a child that keeps the pipes open does not hold us."""
        ended = False
        while self._selector.get_map():
            ready = self._selector.select(0 if ended else 0.1)
            if ended and not any(key.data != "stdin" for key, _ in ready):
                return
            for key, _ in ready:
                self._move(key.fileobj, key.data)  # type: ignore[arg-type]
            ended = self._process.poll() is not None
            self._check(deadline)
        while True:
            try:
                self._process.wait(0.5)
                return
            except subprocess.TimeoutExpired:
                self._check(deadline)

    def done(self) -> Done:
        """Return what was collected, with a note where something was dropped."""
        return Done(self._process.returncode, self._noted("stdout"), self._noted("stderr"), sum(self._dropped.values()))

    def texts(self) -> Dict[str, str]:
        """Return what was collected so far, for an error."""
        return {name: self._noted(name).decode("utf-8", "surrogateescape") for name in self._kept}

    def close(self) -> None:
        """Close the pipes."""
        self._selector.close()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    @staticmethod
    def _check(deadline: Optional[float]) -> None:
        if deadline is not None and time.monotonic() >= deadline:
            raise TimeoutError

    def _move(self, stream: IO[bytes], name: str) -> None:
        if name == "stdin":
            self._feed(stream)
            return
        try:
            data = os.read(stream.fileno(), _CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._selector.unregister(stream)
            return
        room = self._keep - len(self._kept[name])
        self._kept[name] += data[:room]
        self._dropped[name] += max(0, len(data) - room)

    def _feed(self, stream: IO[bytes]) -> None:
        try:
            written = os.write(stream.fileno(), self._input[:_CHUNK])
        except BlockingIOError:
            return
        except BrokenPipeError:
            written = len(self._input)
        self._input = self._input[written:]
        if not self._input:
            self._selector.unregister(stream)
            with contextlib.suppress(OSError):
                stream.close()

    def _noted(self, name: str) -> bytes:
        if not self._dropped[name]:
            return bytes(self._kept[name])
        return bytes(self._kept[name]) + b"\n[r1fleet: %d more bytes were dropped]\n" % self._dropped[name]

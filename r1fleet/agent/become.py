"""Take on another identity: one child agent per user, started through sudo, fed the same bundle."""

from __future__ import annotations

import contextlib
import os
import pwd
import selectors
import shlex
import subprocess
import sys
import threading
import time
from typing import Any, Callable, Dict, List, Optional

from r1fleet.agent import frames, process, stub
from r1fleet.agent.frames import Frame
from r1fleet.agent.outcome import IdentityRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from r1fleet.agent.boot import Start

START_SECONDS = 30.0
_KEEP = 4096


class Child:
    """An agent that runs as another user; its frames pass through this one."""

    def __init__(self, start: Start, become: Dict[str, Any], relay: Callable[[Frame], None]) -> None:
        self._relay = relay
        self._lock = threading.Lock()
        self._ended = threading.Condition()
        self._finished: Optional[int] = None
        self._alive = True
        self._process = _begin(start.stub, become)
        self.write(len(start.bundle).to_bytes(4, "big") + start.bundle)
        threading.Thread(target=self._listen, name="become", daemon=True).start()

    @property
    def alive(self) -> bool:
        """Tell whether the child can still be spoken to."""
        return self._alive

    def write(self, data: bytes) -> None:
        """Send bytes to the child; a child that is gone shows by its end of file."""
        stream = self._process.stdin
        assert stream is not None
        with self._lock, contextlib.suppress(OSError, ValueError):
            stream.write(data)
            stream.flush()

    def run(self, frame: Frame) -> bool:
        """Pass one call on and wait for its end; False where the child died meanwhile."""
        self.write(frames.encode(*frame))
        with self._ended:
            self._ended.wait_for(lambda: self._finished == frame.ident or not self._alive)
            return self._finished == frame.ident

    def close(self) -> None:
        """End the child by end of file: it may be another user's, so signals need not reach it."""
        with contextlib.suppress(OSError, ValueError):
            assert self._process.stdin is not None
            self._process.stdin.close()

    def wait(self, seconds: float) -> None:
        """Wait for the child's end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        decoder = frames.Decoder()
        with contextlib.suppress(OSError, frames.BrokenStream):
            while True:
                data = os.read(self._process.stdout.fileno(), 65536)
                if not data:
                    break
                for frame in decoder.feed(data):
                    self._take(frame)
        with self._ended:
            self._alive = False
            self._ended.notify_all()

    def _take(self, frame: Frame) -> None:
        if frame.kind in (frames.HELLO, frames.PING):
            return
        self._relay(frame)
        if frame.kind in (frames.RESULT, frames.REFUSED):
            with self._ended:
                self._finished = frame.ident
                self._ended.notify_all()


def _begin(stub_text: str, become: Dict[str, Any]) -> "subprocess.Popen[bytes]":
    if become["method"] == "login":
        return _go_back(stub_text, become["user"])
    user, method = become["user"], become["method"]
    if method != "sudo":
        raise IdentityRefused("method", method)
    sudo = process.which("sudo")
    if sudo is None:
        raise IdentityRefused("no-sudo")
    try:
        pwd.getpwnam(user)
    except KeyError:
        raise IdentityRefused("no-user") from None
    nonce = os.urandom(16).hex()
    prompt = "[r1fleet %s]" % nonce[:12]
    argv = [sudo, "-H", "-S", "-p", prompt, "-u", user, *shlex.split(become.get("flags") or ""), "--"]
    argv += stub.command(sys.executable or "python3", nonce, stub_text)
    return _started(argv, _Entrance(nonce, prompt, become.get("password")))


def _started(argv: List[str], entrance: _Entrance, env: Optional[Dict[str, str]] = None) -> "subprocess.Popen[bytes]":
    child = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=env,
    )
    try:
        entrance.pass_through(child)
    except BaseException:
        _abandon(child)
        raise
    return child


def _go_back(stub_text: str, user: str) -> "subprocess.Popen[bytes]":
    """Start a child as the user who logged in, with that login's environment: root needs no sudo for it."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise IdentityRefused("no-user") from None
    nonce = os.urandom(16).hex()
    words = {"name": user, "uid": entry.pw_uid, "gid": entry.pw_gid, "home": entry.pw_dir}
    argv = stub.command(sys.executable or "python3", nonce, stub.after(_GO_BACK % words, stub_text))
    return _started(argv, _Entrance(nonce, "", None), _login_environment(entry))


_GO_BACK = """
import os
os.initgroups(%(name)r, %(gid)d)
os.setgid(%(gid)d)
os.setuid(%(uid)d)
try:
    os.chdir(%(home)r)
except OSError:
    pass
"""


def _login_environment(entry: pwd.struct_passwd) -> Dict[str, str]:
    """Return what sshd gave the login's shell: sudo, our parent, began with it."""
    try:
        with open("/proc/%d/environ" % os.getppid(), "rb") as stream:
            pairs = (word.partition(b"=") for word in stream.read().split(b"\0") if word)
            found = {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}
    except OSError:
        found = {}
    if found.get("USER") == entry.pw_name:
        return found
    return {
        "HOME": entry.pw_dir,
        "USER": entry.pw_name,
        "LOGNAME": entry.pw_name,
        "SHELL": entry.pw_shell or "/bin/sh",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
    }


def _abandon(child: "subprocess.Popen[bytes]") -> None:
    for stream in (child.stdin, child.stdout, child.stderr):
        with contextlib.suppress(OSError):
            assert stream is not None
            stream.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(3)


class _Entrance:
    """The talk with sudo until the child's marker appears; without a prompt there is no sudo."""

    _child: "subprocess.Popen[bytes]"

    def __init__(self, nonce: str, prompt: str, password: Optional[str]) -> None:
        self._marker = ("\n%s ready\n" % nonce).encode()
        self._prompt = prompt.encode()
        self._password = password
        self._heard = {"stdout": b"", "stderr": b""}
        self._answered = False

    def pass_through(self, child: "subprocess.Popen[bytes]") -> None:
        """Answer the prompt, once, and return when the child is there."""
        self._child = child
        deadline = time.monotonic() + START_SECONDS
        with selectors.DefaultSelector() as selector:
            for stream, name in ((self._child.stdout, "stdout"), (self._child.stderr, "stderr")):
                assert stream is not None
                selector.register(stream, selectors.EVENT_READ, name)
            while selector.get_map():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise IdentityRefused("silent", self._said())
                for key, _ in selector.select(left):
                    # Byte by byte on standard output: what follows the marker belongs to the frames.
                    data = os.read(key.fd, 1 if key.data == "stdout" else _KEEP)
                    if not data:
                        selector.unregister(key.fileobj)
                    elif self._hear(key.data, data):
                        return
        raise IdentityRefused(self._why_ended(), self._said())

    def _hear(self, name: str, data: bytes) -> bool:
        self._heard[name] = (self._heard[name] + data)[-_KEEP:]
        if name == "stderr" and self._prompt and self._prompt in self._heard["stderr"]:
            self._heard["stderr"] = self._heard["stderr"].replace(self._prompt, b"")
            self._answer()
        return self._heard["stdout"].endswith(self._marker)

    def _answer(self) -> None:
        if self._password is None:
            raise IdentityRefused("password-needed")
        if self._answered:
            raise IdentityRefused("password-wrong")
        self._answered = True
        assert self._child.stdin is not None
        self._child.stdin.write(self._password.encode("utf-8", "surrogateescape") + b"\n")
        self._child.stdin.flush()

    def _why_ended(self) -> str:
        return "password-wrong" if self._answered and b"incorrect password" in self._heard["stderr"] else "refused"

    def _said(self) -> str:
        text = b"\n".join(self._heard.values()).decode("utf-8", "replace")
        lines: List[str] = [line.strip() for line in text.splitlines() if line.strip()]
        return " / ".join(lines[-3:])

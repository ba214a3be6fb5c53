"""synchronize: rsync's programs on both sides, over the session that is open already: no second login or key."""

from __future__ import annotations

import asyncio
import json
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from r1fleet.agent.arguments import Spec, validate
from r1fleet.agent.outcome import ModuleFailed
from r1fleet.errors import HostFailed, UsageError, Where
from r1fleet.playbook.actions import bridge
from r1fleet.playbook.actions.content import source_path
from r1fleet.playbook.actions.tables import CONTROLLER
from r1fleet.playbook.work import Work
from r1fleet.transport import Become, Call, Reply, Session

_MARK: Final = "<<CHANGED>>"
_STATUS: Final = "r1fleet ended with "
_ENDING: Final = f'; s=$?; echo "{_STATUS}$s" >&2; exit $s'
_OURS: Final = ("-e", "--rsh", "--rsync-path", "--daemon", "--out-format", "--log-file", "--password-file")
_SWITCHES: Final = ("recursive", "links", "perms", "times", "owner", "group")
_ALSO: Final = {
    "copy_links": "--copy-links",
    "dirs": "--dirs",
    "existing_only": "--existing",
    "checksum": "--checksum",
    "delete": "--delete-after",
    "partial": "--partial",
    "delay_updates": "--delay-updates",
    "compress": "--compress",
}


async def synchronize(work: Work) -> Reply:
    """Bring a folder to the host, or from it, or from one place of the host to another."""
    try:
        args = validate("synchronize", work.args, Spec(CONTROLLER["synchronize"].arguments))
    except ModuleFailed as failure:
        return failure.reply
    work = replace(work, args=args)
    if work.task.settings.delegate_to is not None and not work.target.host.is_local:
        return await _between(work)
    session = await work.sessions.open(work.state, work.manner.way, work.manner.become)
    near, far = (args["src"], args["dest"]) if args["mode"] == "push" else (args["dest"], args["src"])
    near = _near(work, str(near))
    if work.state.host.is_local:
        words = [near, str(far)] if args["mode"] == "push" else [str(far), near]
        return await _on_host(work, words)
    there = "there:" + _far(str(far))
    words = [near, there] if args["mode"] == "push" else [there, near]
    return await asyncio.to_thread(_run, session, [*options(args, check=work.manner.check), *words], work)


def options(args: Mapping[str, Any], *, check: bool) -> list[str]:
    """Return rsync's options for a task's arguments; raise UsageError for one that would change the way to the host."""
    for word in args["rsync_opts"]:
        if word.split("=", 1)[0] in _OURS or (word.startswith("-e") and not word.startswith("--")):
            raise UsageError(f"synchronize: rsync_opts: {word} is r1fleet's own to say", hint="leave it out")
    words = ["--dry-run"] if check else []
    words += ["-F", "--secluded-args", f"--out-format={_MARK}%i %n%L"]
    words += [word for name, word in _ALSO.items() if args[name]]
    if args["archive"]:
        words += ["--archive", *(f"--no-{name}" for name in _SWITCHES if args[name] is False)]
    else:
        words += [f"--{name}" for name in _SWITCHES if args[name]]
    words += [f"--link-dest={path}" for path in args["link_dest"]]
    words += [f"--timeout={args['rsync_timeout']}"] if args["rsync_timeout"] else []
    return [*words, *args["rsync_opts"]]


async def _between(work: Work) -> Reply:
    """Copy from one place of a host to another; between two hosts there is no way that is ours."""
    if work.target.name != work.state.name:
        raise HostFailed(
            f"synchronize cannot run on {work.target.name} for {work.state.name}: hosts hold no keys of one another",
            where=Where(host=work.state.name),
            hint="bring it here first (mode: pull), then push it",
        )
    return await _on_host(work, [str(work.args["src"]), str(work.args["dest"])])


async def _on_host(work: Work, words: list[str]) -> Reply:
    argv = ["rsync", *options(work.args, check=work.manner.check), *words]
    manner = work.manner
    call = Call("command", {"argv": argv}, manner.become, environment=manner.environment, timeout=manner.timeout)
    reply = await work.submit(call)
    if reply.get("failed"):
        return {
            "failed": True,
            "msg": reply.get("stderr") or reply["msg"],
            "rc": reply.get("rc", 1),
            "cmd": shlex.join(argv),
        }
    return _told(argv, str(reply["stdout"]), diff=manner.diff)


def _run(session: Session, words: list[str], work: Work) -> Reply:
    program = shutil.which("rsync")
    if program is None:
        raise HostFailed("there is no rsync on this controller", hint="apt-get install rsync, here and on the host")
    with _bridged(session, work.manner.become) as (rsh, said):
        argv = [program, f"--rsh={rsh}", *words]
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=work.manner.timeout,
            check=False,
            start_new_session=True,
        )
    shown = ["rsync", *words]
    if done.returncode:
        text = "\n".join(part for part in (said(), done.stderr.decode(errors="replace").strip()) if part)
        return {"failed": True, "msg": text, "rc": done.returncode, "cmd": shlex.join(shown)}
    return _told(shown, done.stdout.decode(errors="surrogateescape"), diff=work.manner.diff)


def _told(argv: list[str], out: str, *, diff: bool) -> Reply:
    clean = out.replace(_MARK, "")
    lines = [line for line in clean.split("\n") if line]
    reply: Reply = {"changed": _MARK in out, "msg": clean, "rc": 0, "cmd": shlex.join(argv), "stdout_lines": lines}
    return {**reply, "diff": {"prepared": clean}} if diff and clean else reply


@contextmanager
def _bridged(session: Session, become: Become | None) -> Iterator[tuple[str, Any]]:
    """Yield what rsync is to run in place of ssh, and what tells the words that the host's side complained with."""
    with tempfile.TemporaryDirectory(prefix="r1fleet-") as folder, socket.socket(socket.AF_UNIX) as door:
        door.bind(f"{folder}/rsync")
        door.listen(1)
        relay = _Relay(session, become, door)
        threading.Thread(target=relay.serve, daemon=True).start()
        words = [sys.executable, "-I", "-S", str(Path(bridge.__file__)), f"{folder}/rsync"]
        yield shlex.join(words), lambda: relay.complaint


class _Relay:
    """The controller's end of the socket: runs what rsync wants on the host, and moves bytes both ways."""

    def __init__(self, session: Session, become: Become | None, door: socket.socket) -> None:
        self._session = session
        self._become = become
        self._door = door
        self.complaint = ""

    def serve(self) -> None:
        """Serve one connection."""
        with suppress(OSError):
            line, _ = self._door.accept()
            with line:
                self._relay(line)

    def _relay(self, line: socket.socket) -> None:
        stream = line.makefile("rb", buffering=0)
        command = shlex.join(json.loads(_first_line(line)))
        if self._become is not None:
            flags = f"{self._become.flags} " if self._become.flags else ""
            command = f"sudo -n -H {flags}-u {shlex.quote(self._become.user)} -- {command}"
        wire = self._session.pipe(f"exec /bin/sh -c {shlex.quote(command + _ENDING)}")

        def send() -> None:
            with suppress(OSError, ValueError):
                while data := stream.read(65536):
                    wire.write(data)

        threading.Thread(target=send, daemon=True).start()
        try:
            while True:
                try:
                    data = wire.read(65536)
                except TimeoutError:
                    continue
                if not data:
                    break
                line.sendall(data)
        finally:
            self._note_end(wire.complaint())
            wire.release()
            with suppress(OSError):  # rsync waits for it, however many still hold the socket
                line.shutdown(socket.SHUT_RDWR)

    def _note_end(self, said: str) -> None:
        """Take the exit status from the last words, and keep it where the bridge finds it."""
        words, _, status = said.rpartition(_STATUS)
        self.complaint = words.strip(" /") if status.isdigit() else said
        path = Path(self._door.getsockname() + ".status")
        path.write_text(status if status.isdigit() else "12", encoding="ascii")  # rsync's word for a broken stream


def _first_line(line: socket.socket) -> bytes:
    """Read up to the first line's end, byte by byte: what follows belongs to rsync."""
    found = b""
    while not found.endswith(b"\n"):
        byte = line.recv(1)
        if not byte:
            break
        found += byte
    return found


def _near(work: Work, path: str) -> str:
    """Return the controller's side: a source is looked up as for copy; its last slash has a meaning."""
    if work.args["mode"] == "pull" or work.state.host.is_local:
        return str(Path(path).expanduser()) + ("/" if path.endswith("/") else "")
    found = str(source_path(work, path.rstrip("/") or "/", "files"))
    return found + ("/" if path.endswith("/") else "")


def _far(path: str) -> str:
    """Return the host's side: a session begins at home, and what rsync is told there is not expanded."""
    return path[2:] or "." if path.startswith("~/") else "." if path == "~" else path

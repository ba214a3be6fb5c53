"""Run the machine's own programs, with every wait bounded."""

from __future__ import annotations

import os
import subprocess

from r1fleet.command import Command, cmd
from r1fleet.errors import LabError

_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def search_path() -> str:
    """Return PATH with the system folders that a plain user's PATH may lack."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), *_SBIN])


def environment() -> dict[str, str]:
    """Return the environment for the machine's programs: theirs in English, system folders in PATH."""
    return {**os.environ, "PATH": search_path(), "LC_ALL": "C.UTF-8"}


def run(command: Command, *, stdin: str = "", timeout: float = 60.0) -> str:
    """Run one program and return what it wrote; LabError with its last words if it fails."""
    done = _run(command, stdin, timeout)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise LabError(f"`{command.shell()}` failed: {said[0]}")
    return done.stdout


def succeeds(command: Command, *, timeout: float = 60.0) -> bool:
    """Run one program and tell whether it exits 0."""
    return _run(command, "", timeout).returncode == 0


def ip(*words: object, namespace: str = "") -> str:
    """Run one iproute2 command, in ``namespace`` if given."""
    return run(_ip([*words], namespace))


def ip_batch(lines: list[str], *, namespace: str = "") -> None:
    """Run several iproute2 commands in one process; the first failure ends it."""
    run(_ip(["-batch", "-"], namespace), stdin="\n".join(lines) + "\n")


def ip_succeeds(*words: object, namespace: str = "") -> bool:
    """Run one iproute2 command and tell whether it exits 0."""
    return succeeds(_ip([*words], namespace))


def _ip(words: list[object], namespace: str) -> Command:
    return cmd("ip", ["-n", namespace] if namespace else None, words)


def _run(command: Command, stdin: str, timeout: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command.argv,
            input=stdin,
            env={**environment(), **dict(command.env)},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise LabError(f"`{command.argv[0]}` is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"`{command.shell()}` did not end within {timeout:.0f} s") from error

"""The script that a runtime executes: secrets, environment, then the engine in the script's place."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Final

from r1fleet.agent.processes import UNIT
from r1fleet.command import Command
from r1fleet.runtimes.interface import Process

LOG_HEAD: Final = 4 << 20
"""How much of a log's beginning is always kept, in bytes: it tells how the engine started, and its first error."""

LOG_BLOCK: Final = 65536
LOG_SECONDS: Final = 30


def entry_path(process: Process) -> str:
    """Return where the entry script lies on the host."""
    return f"{process.directory}/{process.name}.sh"


def entry_text(process: Process, *, redirect: bool = False) -> str:
    """Return the entry script; with ``redirect`` it sends its own output to the log."""
    lines = ["#!/bin/sh", f"# {process.description or process.name}", "set -eu"]
    if redirect:
        lines += [f"echo output goes to {shlex.quote(process.log)}", _redirection(process)]
    # What finds this process again, wherever it lives, and all that it starts.
    lines.append(f"export {UNIT}={shlex.quote(process.name)}")
    if process.log_limit:
        lines.append(_trimming(process))
    if process.stdin is not None:
        lines.append(f"exec <>{shlex.quote(process.stdin)}")
    if process.secrets is not None:
        lines += ["set -a", f". {shlex.quote(process.secrets)}", "set +a"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in process.command.env]
    lines.append("exec " + Command(process.command.argv).lines())
    return "\n".join(lines) + "\n"


def _redirection(process: Process) -> str:
    log = shlex.quote(process.log)
    return f"exec >>{log} 2>&1" if process.output is None else f"exec >>{shlex.quote(process.output)} 2>>{log}"


def _trimming(process: Process) -> str:
    """Give back the space of the log's middle as it grows: nobody loses a line or an offset, and no writer waits."""
    log, kept = shlex.quote(process.log), max(0, process.log_limit - LOG_HEAD)
    return f"""\
# The log keeps its beginning and its end. A child of nobody, so that the engine does not meet it.
( (
    while sleep {LOG_SECONDS}; do
        size=$(stat -c %s {log})
        gone=$(((size - {kept}) / {LOG_BLOCK} * {LOG_BLOCK} - {LOG_HEAD}))
        [ "$gone" -le 0 ] || fallocate --punch-hole --offset {LOG_HEAD} --length "$gone" {log}
    done
) </dev/null >/dev/null 2>&1 & )"""


def secrets_text(variables: Mapping[str, str]) -> str:
    """Return the content of a secrets file: NAME=value lines, quoted so that no value is ever read as shell."""
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())

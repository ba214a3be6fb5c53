"""The script that a runtime executes: secrets, environment, then the engine in the script's place."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from r1fleet.agent.processes import UNIT
from r1fleet.command import Command
from r1fleet.runtimes.interface import Process


def entry_path(process: Process) -> str:
    """Return where the entry script lies on the host."""
    return f"{process.directory}/{process.name}.sh"


def entry_text(process: Process, *, redirect: bool = False) -> str:
    """Return the entry script; with ``redirect`` it sends its own output to the log."""
    lines = ["#!/bin/sh", f"# {process.description or process.name}", "set -eu"]
    if redirect:
        lines += [f"echo output goes to {shlex.quote(process.log)}", _redirection(process)]
    if process.stdin is not None:
        lines.append(f"exec <>{shlex.quote(process.stdin)}")
    if process.secrets is not None:
        lines += ["set -a", f". {shlex.quote(process.secrets)}", "set +a"]
    # What finds this process again, wherever it lives, and all that it starts.
    lines.append(f"export {UNIT}={shlex.quote(process.name)}")
    lines += [f"export {name}={shlex.quote(value)}" for name, value in process.command.env]
    lines.append("exec " + Command(process.command.argv).lines())
    return "\n".join(lines) + "\n"


def _redirection(process: Process) -> str:
    log = shlex.quote(process.log)
    return f"exec >>{log} 2>&1" if process.output is None else f"exec >>{shlex.quote(process.output)} 2>>{log}"


def secrets_text(variables: Mapping[str, str]) -> str:
    """Return the content of a secrets file: NAME=value lines, quoted so that no value is ever read as shell."""
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())

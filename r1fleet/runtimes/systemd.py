"""A process under systemd: a transient service, so that neither a unit file nor a daemon-reload is needed."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterator, Mapping
from typing import Final

from r1fleet.command import Command, cmd
from r1fleet.runtimes.entry import entry_path, entry_text
from r1fleet.runtimes.interface import HostFile, Process, ProcessState

_SHOWN: Final = (
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "ExecMainCode",
    "ExecMainStatus",
    "MainPID",
    "ExecMainStartTimestamp",
    "ExecMainExitTimestampMonotonic",
)
_LIMITS: Final[Mapping[str, str]] = {
    "core": "LimitCORE",
    "memlock": "LimitMEMLOCK",
    "nofile": "LimitNOFILE",
    "nproc": "LimitNPROC",
    "stack": "LimitSTACK",
}
_RECORD: Final = "ExitRecord"
OPEN_FILES: Final = "65536"
RESTART_SECONDS: Final = 1

# A failed unit stays loaded until it is reset; an absent one makes `stop` fail, which is what was wanted anyway.
_STOP: Final = """\
systemctl stop "$1" 2>/dev/null
state=$(systemctl show --property=ActiveState --value "$1") || exit
systemctl reset-failed "$1" 2>/dev/null
case $state in inactive | failed) ;; *) echo "$1 is still $state" >&2; exit 1 ;; esac"""

_INSPECT: Final = """\
systemctl show --property="$3" "$1" || exit
[ ! -r "$2" ] || sed -n '1s/^/ExitRecord=/p' "$2\""""


class Systemd:
    """The runtime of deployments that run from a virtual environment."""

    def files(self, process: Process) -> tuple[HostFile, ...]:
        """Return the entry script, and the script that writes the exit record."""
        return (
            HostFile(entry_path(process), entry_text(process), 0o755),
            HostFile(_record_script(process), _record_text(process), 0o755),
        )

    def start(self, process: Process) -> Command:
        """Start a transient service; `systemd-run` returns when the entry script has been executed."""
        return cmd(
            "systemd-run",
            {
                "--unit": _unit(process),
                "--description": process.description or process.name,
                "--service-type": "exec",
            },
            [f"--property={name}={value}" for name, value in _properties(process)],
            "--",
            entry_path(process),
        )

    def again(self, process: Process) -> Command:
        """Start it as before: a transient service is forgotten by the reboot."""
        return self.start(process)

    def stop(self, process: Process) -> Command:
        """Stop the whole cgroup, and forget a failed unit so that its name is free again."""
        return cmd("sh", "-c", _STOP, "sh", _unit(process))

    def inspect(self, process: Process) -> Command:
        """Show the unit's state, and the exit record that outlives a unit which ended well."""
        return cmd("sh", "-c", _INSPECT, "sh", _unit(process), process.exit_record, ",".join(_SHOWN))

    def parse(self, stdout: str) -> ProcessState:
        """Read ``key=value`` lines."""
        told = dict(line.split("=", 1) for line in stdout.splitlines() if "=" in line)
        active, since = told.get("ActiveState", "inactive"), told.get("ExecMainStartTimestamp", "")
        ended = (_number(told.get("ExecMainExitTimestampMonotonic")) or 0) / 1e6 or None
        if active == "deactivating" and ended:
            # What it left behind is still being stopped; the process itself has ended.
            return ProcessState("failed", _status_of(told), since, ended=ended)
        if active in ("active", "activating", "deactivating", "reloading"):
            return ProcessState("running", since=since, pid=_number(told.get("MainPID")) or None)
        if told.get("LoadState") == "loaded" and active == "failed":
            return ProcessState("failed", _status_of(told), since, ended=ended)
        if _RECORD in told:
            return read_record(told[_RECORD])
        if told.get("LoadState") == "loaded":
            return ProcessState("exited", _number(told.get("ExecMainStatus")), since)
        return ProcessState("absent")


def read_record(text: str) -> ProcessState:
    """Read an exit record: ``result code status``, as systemd names them."""
    words = text.split()
    if len(words) != 3:
        return ProcessState("exited")
    result, code, status = words
    number = _number(status)
    if number is None:
        number = _signalled(status)
    elif code != "exited":
        number += 128
    return ProcessState("exited" if result == "success" else "failed", number)


def _unit(process: Process) -> str:
    return f"{process.name}.service"


def _properties(process: Process) -> Iterator[tuple[str, str]]:
    yield "User", process.user
    yield "WorkingDirectory", process.directory
    yield "StandardOutput", f"append:{process.output or process.log}"
    yield "StandardError", f"append:{process.log}"
    yield "KillMode", "control-group"
    yield "KillSignal", "SIGTERM"
    yield "TimeoutStopSec", str(process.stop_seconds)
    limits = {_LIMITS[name]: value for name, value in process.limits if name in _LIMITS}
    for name, value in ({"LimitNOFILE": OPEN_FILES} | limits).items():
        yield name, "infinity" if value == "-1" else value
    if process.restarts:
        yield "Restart", "on-failure"
        yield "RestartSec", str(RESTART_SECONDS)
        yield "StartLimitIntervalSec", "infinity"
        yield "StartLimitBurst", str(process.restarts + 1)
    # Root writes the record, whatever user the engine has.
    yield "ExecStopPost", f"+{_record_script(process)}"


def _record_script(process: Process) -> str:
    return f"{process.directory}/{process.name}.ended.sh"


def _record_text(process: Process) -> str:
    record = shlex.quote(process.exit_record)
    line = '"${SERVICE_RESULT:-unknown}" "${EXIT_CODE:-unknown}" "${EXIT_STATUS:-unknown}"'
    return f"#!/bin/sh\n# systemd says how {process.name} ended\nprintf '%s %s %s\\n' {line} >{record}\n"


def _status_of(told: Mapping[str, str]) -> int | None:
    """Return the exit status as a shell would: 128 and the signal's number for a killed process."""
    status = _number(told.get("ExecMainStatus"))
    killed = told.get("ExecMainCode") in ("2", "3", "killed", "dumped")
    return status + 128 if status is not None and killed else status


def _signalled(name: str) -> int | None:
    found = signal.Signals.__members__.get(f"SIG{name}")
    return None if found is None else 128 + found.value


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None

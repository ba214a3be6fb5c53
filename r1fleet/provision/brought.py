"""What the playbook brings for deployments: images for docker, environments from a package index."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from r1fleet.weights.wanted import Wanted

VENVS: Final = "/opt/r1fleet/venvs"
_FROM_INDEX: Final = ("deepseek", "lmdeploy", "sglang", "transformers", "vllm")


def brought_vars(chosen: Iterable[Wanted]) -> dict[str, Any]:
    """Say which host gets which images and environments, in the playbook's own variables."""
    images: dict[str, list[str]] = {}
    environments: dict[str, list[dict[str, str]]] = {}
    for one in chosen:
        for host in one.hosts:
            if one.deployment.runtime == "docker":
                _once(images.setdefault(host.name, []), str(one.deployment.image))
            if from_index(one):
                _once(environments.setdefault(host.name, []), _environment(one))
    return {
        "provision_docker_hosts": sorted(images),
        "provision_images": images,
        "provision_environments": environments,
    }


def from_index(one: Wanted) -> bool:
    """Tell whether the engine's environment is made from an index: not the vendor's, nor one in a place of its own."""
    spec = one.deployment
    own_place = str(spec.venv).rpartition("/")[0] == VENVS
    known = spec.accelerator == "nvidia" and spec.engine in _FROM_INDEX
    return known and own_place and spec.environment_on_host


def missing(one: Wanted) -> str | None:
    """Say what must be on the hosts already; None where the playbook brings all of the engine."""
    spec = one.deployment
    if spec.runtime == "docker" or one.installs or from_index(one):
        return None
    what = f"{spec.engine} for {spec.accelerator}"
    return f"deployment {one.name}: {what} is not installed by this version; it must be in {spec.venv} already"


def _environment(one: Wanted) -> dict[str, str]:
    spec = one.deployment
    name = str(spec.venv).rpartition("/")[2]
    scripts = {"code": spec.scripts.removesuffix("/inference")} if spec.scripts else {}
    return {"name": name, "engine": spec.engine, "version": spec.engine_version or "", **scripts}


def _once(rows: list[Any], row: Any) -> None:
    if row not in rows:
        rows.append(row)

"""What the playbook brings for deployments: images for docker, environments from a package index."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from r1fleet.runtimes import kept_container, kept_folders, kept_home, kept_name
from r1fleet.weights.wanted import Wanted

VENVS: Final = "/opt/r1fleet/venvs"
_PASSED: Final = (
    "http_proxy", "https_proxy", "no_proxy", "PIP_NO_INDEX", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS",
    "DEBIAN_FRONTEND", "PYTHONDONTWRITEBYTECODE",
)  # fmt: skip
_FROM_INDEX: Final = ("deepseek", "lmdeploy", "sglang", "transformers", "vllm")


def brought_vars(chosen: Iterable[Wanted]) -> dict[str, Any]:
    """Say which host gets which images and environments, in the playbook's own variables."""
    images: dict[str, list[str]] = {}
    environments: dict[str, list[dict[str, Any]]] = {}
    containers: dict[str, list[dict[str, Any]]] = {}
    for one in chosen:
        for host in one.hosts:
            if one.deployment.runtime == "docker":
                _once(images.setdefault(host.name, []), str(one.deployment.image))
            if _kept(one):
                _once(containers.setdefault(host.name, []), _container(one))
            if from_index(one):
                _once(environments.setdefault(host.name, []), _environment(one))
    return {
        "provision_docker_hosts": sorted(images),
        "provision_images": images,
        "provision_environments": environments,
        "provision_containers": containers,
    }


def from_index(one: Wanted) -> bool:
    """Tell whether the engine's environment is made from an index: not the vendor's, nor one in a place of its own."""
    spec = one.deployment
    known = spec.accelerator == "nvidia" and spec.engine in _FROM_INDEX
    place = str(spec.venv).rpartition("/")[0]
    return known and (place == kept_home(one.name) if _kept(one) else place == VENVS and spec.environment_on_host)


def missing(one: Wanted) -> str | None:
    """Say what must be on the hosts already; None where the playbook brings all of the engine."""
    spec = one.deployment
    if spec.runtime == "docker" or one.installs or from_index(one):
        return None
    what = f"{spec.engine} for {spec.accelerator}"
    return f"deployment {one.name}: {what} is not installed by this version; it must be in {spec.venv} already"


def _kept(one: Wanted) -> bool:
    return one.deployment.runtime == "docker" and one.deployment.container.keep


def _container(one: Wanted) -> dict[str, Any]:
    command, digest = kept_container(one.name, one.deployment)
    folders = [volume.split(":")[0] for volume in kept_folders(one.name, one.deployment)]
    name = kept_name(one.name)
    return {"name": name, "argv": list(command.argv), "digest": digest, "folders": folders, "exec": _exec(one)}


def _environment(one: Wanted) -> dict[str, Any]:
    spec = one.deployment
    name = str(spec.venv).rpartition("/")[2]
    scripts = {"code": spec.scripts.removesuffix("/inference")} if spec.scripts else {}
    inside = {"root": kept_home(one.name), "exec": _exec(one)} if _kept(one) else {}
    return {"name": name, "engine": spec.engine, "version": spec.engine_version or "", **scripts, **inside}


def _exec(one: Wanted) -> list[str]:
    """Return what comes before a command in a kept container; variables without a value are those of the task."""
    passed = [word for variable in _PASSED for word in ("--env", variable)]
    return ["docker", "exec", "--user", "0", *passed, kept_name(one.name)]


def _once(rows: list[Any], row: Any) -> None:
    if row not in rows:
        rows.append(row)

"""Fill in the defaults that depend on other keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from r1fleet.errors import SpecError
from r1fleet.spec.deployment import Container, Deployment, plain_path

WEIGHTS_DIR: Final = "/var/lib/r1fleet/weights"
VENVS_DIR: Final = "/opt/r1fleet/venvs"
KEPT_DIR: Final = "/opt/r1fleet/kept"
"""Where environments of kept containers lie, by deployment: the same folder inside and on the host."""
DEEPSEEK_SCRIPTS: Final = "/opt/r1fleet/DeepSeek-V3/inference"

DEFAULT_PORTS: Mapping[str, int] = {
    "sglang": 30000,
    "vllm": 8000,
    "lmdeploy": 23333,
    "transformers": 8000,
    "vastgenx": 9000,
    "llmdeploy": 7863,
}
IMAGES: Mapping[tuple[str, str], str] = {
    ("sglang", "nvidia"): "lmsysorg/sglang:v{}",
    ("vllm", "nvidia"): "vllm/vllm-openai:v{}",
    ("vllm", "vastai"): "harbor.vastaitech.com/ai_deliver/vllm_vacc:VVI-26.02",
    ("vastgenx", "vastai"): "harbor.vastaitech.com/ai_deliver/vastmodelzoo-vastgenx:202510",
}
"""The official images; ``{}`` stands for the engine's version."""
OWN_STEPS: Final = ("deepseek", "vastgenx", "llmdeploy")
"""Engines that read what steps of their own have made."""
VASTAI_SHM: Final = "256g"
"""The size of /dev/shm in the vendor's own command."""


def resolve(name: str, deployment: Deployment, *, weights_dir: str = WEIGHTS_DIR) -> Deployment:
    """Return the deployment with every default filled in; what no default fits is an error."""
    given = _derived(deployment, weights_dir)
    contained = given.image or (given.accelerator == "vastai" and not given.venv)
    runtime = given.runtime or ("docker" if contained else "venv")
    return given.model_copy(
        update={
            "runtime": runtime,
            "model_path": given.model_path or model_folder(given, weights_dir),
            "served_model_name": given.served_model_name or _served(given.model),
            "port": given.port or DEFAULT_PORTS.get(given.engine),
            "venv": given.venv or _venv(name, given, runtime),
            "scripts": given.scripts or (DEEPSEEK_SCRIPTS if given.engine == "deepseek" else None),
            "image": (given.image or _image(name, given)) if runtime == "docker" else given.image,
            "container": given.container.model_copy(update=_container(given, given.container)),
        }
    )


def download_folder(deployment: Deployment) -> str:
    """Return where a resolved deployment's download lies; what its engine reads may be made of it."""
    return deployment.prepare.download or str(deployment.model_path)


def _derived(given: Deployment, weights_dir: str) -> Deployment:
    """Let the engine read what is made of the download, where that is asked for by keys that any engine has."""
    prepare = given.prepare
    if given.engine in OWN_STEPS or not (prepare.bf16 or prepare.overlay) or prepare.download:
        return given
    download = given.model_path or model_folder(given, weights_dir)
    folder = prepare.folder or f"{download}-{'bf16' if prepare.bf16 else 'overlaid'}"
    filled = prepare.model_copy(update={"download": download})
    return given.model_copy(update={"model_path": folder, "prepare": filled})


def _venv(name: str, deployment: Deployment, runtime: str) -> str | None:
    if runtime != "docker":
        return f"{VENVS_DIR}/{deployment.engine}"
    return f"{KEPT_DIR}/{name}/{deployment.engine}" if deployment.container.keep else None


def model_folder(deployment: Deployment, weights_dir: str) -> str:
    """Return where a model's files lie: ``<weights_dir>/<org>--<name>@<revision>``, or the path that names it."""
    if deployment.model.startswith("/"):
        return deployment.model
    folder = deployment.model.replace("/", "--")
    revision = deployment.revision.replace("/", "--")
    return plain_path(f"{weights_dir}/{folder}@{revision}")


def image_version(deployment: Deployment) -> str | None:
    """Return the engine's version that an official image names in its tag, whatever registry it comes from."""
    pattern = IMAGES.get((deployment.engine, deployment.accelerator))
    if pattern is None or deployment.image is None or "{}" not in pattern:
        return None
    official = re.escape(pattern).replace(re.escape("{}"), r"(\d+(?:\.\w+)+)")
    found = re.search(rf"(?:^|/){official}(?:-[\w.-]+)?(?:@|\Z)", deployment.image)
    return found[1] if found else None


def _served(model: str) -> str:
    return model.rstrip("/").rpartition("/")[2] if model.startswith("/") else model


def _container(deployment: Deployment, container: Container) -> dict[str, Any]:
    vastai = deployment.accelerator == "vastai"
    filled: dict[str, Any] = {
        "gpus": container.gpus or (_gpus(deployment) if deployment.accelerator == "nvidia" else None),
        "privileged": vastai if container.privileged is None else container.privileged,
    }
    if vastai and "shm_size" not in container.model_fields_set:
        filled["shm_size"] = VASTAI_SHM
    return filled


def _gpus(deployment: Deployment) -> str:
    return f"device={','.join(map(str, deployment.devices))}" if deployment.devices else "all"


def _image(name: str, deployment: Deployment) -> str:
    pattern = IMAGES.get((deployment.engine, deployment.accelerator))
    if pattern is None or ("{}" in pattern and deployment.engine_version is None):
        raise SpecError(
            f"deployment {name} runs in docker and names no image",
            hint="add `image:` with its tag"
            + (" (or engine_version, which picks the official image)" if pattern else ""),
        )
    return pattern.format(deployment.engine_version)

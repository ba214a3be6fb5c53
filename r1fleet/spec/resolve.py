"""Fill in the defaults that depend on other keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from r1fleet.errors import SpecError
from r1fleet.spec.deployment import Deployment

WEIGHTS_DIR: Final = "/var/lib/r1fleet/weights"
VENVS_DIR: Final = "/opt/r1fleet/venvs"

DEFAULT_PORTS: Mapping[str, int] = {"sglang": 30000, "vllm": 8000, "lmdeploy": 23333}
IMAGES: Mapping[str, str] = {"sglang": "lmsysorg/sglang:v{}", "vllm": "vllm/vllm-openai:v{}"}


def resolve(name: str, deployment: Deployment, *, weights_dir: str = WEIGHTS_DIR) -> Deployment:
    """Return the deployment with every default filled in; what no default fits is an error."""
    given = deployment
    runtime = given.runtime or ("docker" if given.image else "venv")
    nvidia, vastai = given.accelerator == "nvidia", given.accelerator == "vastai"
    container = given.container.model_copy(
        update={
            "gpus": given.container.gpus or ("all" if nvidia else None),
            "privileged": vastai if given.container.privileged is None else given.container.privileged,
        }
    )
    return given.model_copy(
        update={
            "runtime": runtime,
            "model_path": given.model_path or model_folder(given, weights_dir),
            "served_model_name": given.served_model_name or _served(given.model),
            "port": given.port or DEFAULT_PORTS.get(given.engine),
            "venv": given.venv or f"{VENVS_DIR}/{given.engine}",
            "image": (given.image or _image(name, given)) if runtime == "docker" else given.image,
            "container": container,
        }
    )


def model_folder(deployment: Deployment, weights_dir: str) -> str:
    """Return where a model's files lie: ``<weights_dir>/<org>--<name>@<revision>``, or the path that names it."""
    if deployment.model.startswith("/"):
        return deployment.model
    folder = deployment.model.replace("/", "--")
    revision = deployment.revision.replace("/", "--")
    return f"{weights_dir.rstrip('/')}/{folder}@{revision}"


def _served(model: str) -> str:
    return model.rstrip("/").rpartition("/")[2] if model.startswith("/") else model


def _image(name: str, deployment: Deployment) -> str:
    pattern = IMAGES.get(deployment.engine)
    if pattern is None or deployment.engine_version is None or deployment.accelerator != "nvidia":
        raise SpecError(
            f"deployment {name} runs in docker and names no image",
            hint="add `image:` with its tag"
            + (" (or engine_version, which picks the official image)" if pattern else ""),
        )
    return pattern.format(deployment.engine_version)

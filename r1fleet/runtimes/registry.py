"""Which runtime keeps a deployment's ranks alive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from r1fleet.runtimes.docker import Docker
from r1fleet.runtimes.interface import Runtime
from r1fleet.runtimes.kept import Kept
from r1fleet.runtimes.session import Session
from r1fleet.runtimes.systemd import Systemd

if TYPE_CHECKING:  # pydantic takes long to import, and whoever only looks at processes needs none of it
    from r1fleet.spec import Deployment

RUNTIMES: Final[Mapping[str, Runtime]] = {
    "docker": Docker(),
    "kept": Kept(),
    "venv": Systemd(),
    "unsupervised": Session(),
}
"""By the names that deployments and records use."""


def runtime_of(deployment: Deployment) -> Runtime:
    """Return the runtime of a deployment whose defaults are resolved."""
    return RUNTIMES[runtime_name(deployment)]


def runtime_name(deployment: Deployment) -> str:
    """Name the runtime as records do."""
    return "kept" if deployment.runtime == "docker" and deployment.container.keep else deployment.runtime or "venv"

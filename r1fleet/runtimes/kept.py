"""A process inside a container that stays: provision makes the container, and installs an environment into it.

The keeper of hosts without systemd runs in there, so that all that came of a process is known and ended without the
container, which is left running for the next launch.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final

from r1fleet.agent.processes import UNIT
from r1fleet.command import Command, cmd
from r1fleet.runtimes.docker import box_options
from r1fleet.runtimes.interface import HostFile, Process, ProcessState
from r1fleet.runtimes.session import Session
from r1fleet.spec import Container, Deployment
from r1fleet.spec.resolve import KEPT_DIR

STATE: Final = "/var/lib/r1fleet"
_RUNS: Final = '[ "$(docker inspect --format "{{.State.Running}}" "$1" 2>/dev/null)" = true ]'
_START: Final = 'docker start "$1" >/dev/null && shift && exec docker exec "$@"'
_STOP: Final = f'{_RUNS} || exit 0; shift; exec docker exec "$@"'
# The record is on the host, too: it tells how the process ended where the container has been stopped since.
_INSPECT: Final = f"""\
record=$2
if {_RUNS}; then shift 2; exec docker exec "$@"; fi
[ ! -r "$record" ] || sed "s/^/ExitRecord=/" "$record\""""


class Kept:
    """The runtime of deployments with ``container: {keep: true}``."""

    def files(self, process: Process) -> tuple[HostFile, ...]:
        """Return the entry script and the keeper: the container sees the generation's folder where the host has it."""
        return Session().files(_inside(process))

    def start(self, process: Process) -> Command:
        """Start the container, if something has stopped it, and the keeper inside."""
        return cmd("sh", "-c", _START, "sh", _name(process), _exec(process, Session().start(_inside(process))))

    def again(self, process: Process) -> Command:
        """Start it as before."""
        return self.start(process)

    def stop(self, process: Process) -> Command:
        """End the process and all that came of it; the container stays."""
        return cmd("sh", "-c", _STOP, "sh", _name(process), _exec(process, Session().stop(_inside(process))))

    def inspect(self, process: Process) -> Command:
        """Ask the keeper's code; without the container, the record."""
        inside = _exec(process, Session().inspect(_inside(process)))
        return cmd("sh", "-c", _INSPECT, "sh", _name(process), process.exit_record, inside)

    def parse(self, stdout: str) -> ProcessState:
        """Read ``key=value`` lines; a number that only the container knows is none to others."""
        return replace(Session().parse(stdout), pid=None)


def kept_name(deployment: str) -> str:
    """Return the name of a deployment's kept container."""
    return f"r1fleet-{deployment}-kept"


def kept_home(deployment: str) -> str:
    """Return the folder of a deployment's environment, inside its kept container and on the host."""
    return f"{KEPT_DIR}/{deployment}"


def kept_folders(name: str, deployment: Deployment) -> tuple[str, ...]:
    """Return the volumes that every kept container has: what launches write, its environment, the models."""
    weights = str(PurePosixPath(str(deployment.model_path)).parent)
    own = (f"{STATE}/{name}", kept_home(name))
    return (*(f"{folder}:{folder}" for folder in own), f"{weights}:{weights}:ro")


def kept_container(name: str, deployment: Deployment) -> tuple[Command, str]:
    """Return the command that makes a deployment's kept container, and a digest of it; its defaults are resolved."""
    own = deployment.container
    options = {
        "--name": kept_name(name),
        "--restart": "unless-stopped",
        **box_options(own.model_copy(update={"user": None})),
        "--volume": (*kept_folders(name, deployment), *own.volumes),
        "--workdir": "/",
        "--entrypoint": "/bin/sh",
    }
    what = (str(deployment.image), "-c", "exec sleep infinity")
    digest = hashlib.sha256(json.dumps(cmd(options, what).argv).encode()).hexdigest()[:16]
    labels = {"--label": (f"r1fleet.deployment={name}", f"r1fleet.kept={digest}")}
    return cmd("docker", "run", "--detach", "--init", labels, options, what), digest


def _inside(process: Process) -> Process:
    """Return the process as the container sees it: its user is a number there, or whoever the image says."""
    return replace(process, user=(_container(process).user or ""))


def _exec(process: Process, command: Command) -> tuple[str, ...]:
    """Return what follows ``docker exec``."""
    options = {"--user": "0" if _container(process).user else None, "--env": f"{UNIT}={process.name}"}
    return cmd(options, _name(process), command.argv).argv


def _container(process: Process) -> Container:
    assert process.image is not None  # the planner gives every process in docker its image
    return process.image.container


def _name(process: Process) -> str:
    return kept_name(dict(process.labels)["deployment"])

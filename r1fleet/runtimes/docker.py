"""A process in a container; its output goes to the same log file that a service would have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from r1fleet.agent.processes import UNIT
from r1fleet.command import Command, cmd
from r1fleet.errors import SpecError
from r1fleet.runtimes.entry import entry_path, entry_text
from r1fleet.runtimes.interface import HostFile, Image, Process, ProcessState

if TYPE_CHECKING:  # pydantic takes long to import, and whoever only looks at processes needs none of it
    from r1fleet.spec import Container

NO_GPUS: Final = "none"
_CDI: Final = re.compile(r"[\w.-]+\.[\w.-]+/[\w.-]+=[\w.:-]+(,[\w.-]+\.[\w.-]+/[\w.-]+=[\w.:-]+)*")
"""Names of the Container Device Interface, such as nvidia.com/gpu=all."""

# The record outlives the container, which is removed so that its name is free again.
_STOP: Final = """\
id=$(docker ps --all --quiet --no-trunc --filter "name=^/$1\\$") || exit
[ -n "$id" ] || exit 0
docker stop -t "$2" "$id" >/dev/null || exit
docker inspect --format '{"Image":{{json .Image}},"State":{{json .State}}}' "$id" >"$3"
docker rm --force "$id" >/dev/null"""

_INSPECT: Final = """\
id=$(docker ps --all --quiet --no-trunc --filter "name=^/$1\\$") || exit
if [ -n "$id" ]; then docker inspect --format '{"Image":{{json .Image}},"State":{{json .State}}}' "$id"
elif [ -r "$2" ]; then cat "$2"; fi"""


class Docker:
    """The runtime of deployments that run an image; what the image may read is mounted at the same path."""

    def files(self, process: Process) -> tuple[HostFile, ...]:
        """Return the entry script, which is mounted into the container."""
        return (HostFile(entry_path(process), entry_text(process, redirect=True), 0o755),)

    def start(self, process: Process) -> Command:
        """Run the container in the background; fails when its name is taken."""
        image = _image(process)
        return cmd(
            ("docker", "run", "--detach", "--init"),
            {
                "--name": process.name,
                "--label": [f"r1fleet.{name}={value}" for name, value in process.labels],
                "--restart": f"on-failure:{process.restarts}" if process.restarts else None,
                "--env": f"{UNIT}={process.name}",
            },
            box_options(image.container),
            {
                "--mount": list(_mounts(process, image)),
                "--volume": list(image.container.volumes),
                "--workdir": str(PurePosixPath(process.log).parent),
                "--entrypoint": "/bin/sh",
            },
            image.name,
            entry_path(process),
        )

    def again(self, process: Process) -> Command:
        """Start the container that the reboot has ended."""
        return cmd("docker", "start", process.name)

    def stop(self, process: Process) -> Command:
        """Stop the container, keep how it ended, remove it."""
        return cmd("sh", "-c", _STOP, "sh", process.name, process.stop_seconds, process.exit_record)

    def inspect(self, process: Process) -> Command:
        """Print the container's state as JSON, or how it ended when it has been removed."""
        return cmd("sh", "-c", _INSPECT, "sh", process.name, process.exit_record)

    def parse(self, stdout: str) -> ProcessState:
        """Read Docker's ``State``, and which image it is, whatever name it has now."""
        if not stdout.strip():
            return ProcessState("absent")
        try:
            told = json.loads(stdout)
        except ValueError:
            return ProcessState("failed")
        if not isinstance(told, dict) or not isinstance(told.get("State"), dict):
            return ProcessState("failed")
        return replace(_state(told["State"]), image=str(told.get("Image") or ""))


def box_options(own: Container) -> dict[str, object]:
    """Return how a container shares its host, as options of ``docker run``; volumes are not among them."""
    cdi = own.gpus.split(",") if own.gpus and _CDI.fullmatch(own.gpus) else []
    return {
        # The engine writes to its rank's log; only what docker itself has to say lands here.
        "--log-driver": "json-file",
        "--log-opt": ["max-size=10m", "max-file=2"],
        "--network": own.network,
        "--ipc": own.ipc,
        "--shm-size": None if own.ipc == "host" else own.shm_size,
        "--publish": [] if own.network == "host" else list(own.publish),
        "--gpus": None if cdi or own.gpus == NO_GPUS else _gpus(own.gpus),
        "--privileged": bool(own.privileged),
        "--user": own.user,
        "--device": [*cdi, *own.devices],
        "--ulimit": [f"{name}={value}" for name, value in own.ulimits.items()],
    }


def notes_of(container: Container) -> tuple[str, ...]:
    """Tell which settings have no effect."""
    return tuple(_void(container))


def _void(container: Container) -> Iterator[str]:
    if container.ipc == "host" and "shm_size" in container.model_fields_set:
        yield f"shm_size {container.shm_size} has no effect: ipc host shares the host's /dev/shm"
    if container.network == "host" and container.publish:
        yield "publish has no effect: network host publishes every port"


def _image(process: Process) -> Image:
    if process.image is None:
        raise SpecError(f"{process.name} runs in docker and names no image", hint="add `image:` to its deployment")
    return process.image


def _mounts(process: Process, image: Image) -> Iterator[str]:
    """Yield bind mounts; unlike `--volume`, they fail where the host lacks the path."""
    read_only = [*image.read_only, entry_path(process)]
    if process.secrets is not None:
        read_only.append(process.secrets)
    yield from (f"type=bind,source={path},target={path},readonly" for path in read_only)
    logs = PurePosixPath(process.log).parent
    yield f"type=bind,source={logs},target={logs}"


def _gpus(wanted: str | None) -> str | None:
    """Quote a list of devices once more: Docker reads the option as CSV."""
    if wanted is not None and wanted.startswith("device=") and "," in wanted:
        return f'"{wanted}"'
    return wanted


def _state(state: dict[str, Any]) -> ProcessState:
    since, code, pid = str(state.get("StartedAt") or ""), state.get("ExitCode"), state.get("Pid")
    if state.get("Status") in ("running", "created", "restarting", "paused"):
        return ProcessState("running", since=since, pid=pid if isinstance(pid, int) and pid > 0 else None)
    status = code if isinstance(code, int) else None
    return ProcessState("exited" if status == 0 else "failed", status, since)

"""A command that runs once, where its deployment's engine would run: in its environment, or in its image."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final

from r1fleet.command import Command, cmd
from r1fleet.runtimes.docker import box_options
from r1fleet.spec import Deployment

_SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OF_THE_HOST: Final = ("cp", "mkdir")
"""Programs that every host has, so that no image is needed for them."""
_OF_SERVICES: Final = ("--publish", "--log-driver", "--log-opt")


def once(deployment: Deployment, command: Command, folders: Iterable[str]) -> Command:
    """Return the command as the host starts it; a container is given the folders, and leaves nothing behind."""
    if command.argv[0] in _OF_THE_HOST:
        return command
    if deployment.runtime != "docker":
        return Command(command.argv, (*command.env, ("PATH", f"{deployment.venv}/bin:{_SYSTEM_PATH}")))
    places = dict.fromkeys(str(PurePosixPath(folder).parent) for folder in folders)
    shared = {name: value for name, value in box_options(deployment.container).items() if name not in _OF_SERVICES}
    return cmd(
        ("docker", "run", "--rm", "--interactive"),
        shared,
        {
            "--mount": [f"type=bind,source={place},target={place}" for place in places],
            "--volume": list(deployment.container.volumes),
            "--env": [f"{name}={value}" for name, value in command.env],
            "--entrypoint": command.argv[0],
        },
        str(deployment.image),
        command.argv[1:],
    )

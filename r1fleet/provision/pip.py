"""Download wheels with the controller's own pip, for another Python and platform if need be."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from r1fleet.command import Command, cmd
from r1fleet.errors import UsageError
from r1fleet.provision.lock import Pin
from r1fleet.provision.target import Target

TORCH_INDEX = "R1FLEET_TORCH_INDEX"


def download(pins: tuple[Pin, ...], target: Target, folder: Path) -> None:
    """Bring the wheels of ``pins`` into ``folder``; torch comes from its own index where the setting names one."""
    if importlib.util.find_spec("pip") is None:
        raise UsageError("this Python has no pip to download wheels with", hint=f"{sys.executable} -m ensurepip")
    index = os.environ.get(TORCH_INDEX, "")
    apart = tuple(pin for pin in pins if index and pin.stem == "torch")
    together = tuple(pin for pin in pins if pin not in apart)
    if apart:
        _run(download_command(apart, target, folder, index=index), apart)
    if together:
        _run(download_command(together, target, folder), together)


def download_command(pins: tuple[Pin, ...], target: Target, folder: Path, *, index: str = "") -> Command:
    """Return pip's command: exactly these versions, wheels only, for the target's Python and platform."""
    return cmd(
        sys.executable,
        ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--progress-bar=off"],
        {"--dest": str(folder), "--python-version": target.python, "--implementation": "cp"},
        {"--abi": list(target.abis()), "--platform": list(target.platforms())},
        {"--index-url": index or None},
        [str(pin) for pin in pins],
    )


def _run(command: Command, pins: tuple[Pin, ...]) -> None:
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    done = subprocess.run(
        command.argv,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise UsageError(
            f"pip could not download wheels: {_last_words(done.stderr)}", hint=_hint(done.stderr, pins, os.environ)
        )


def _last_words(stderr: str) -> str:
    lines = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("WARNING:", "[notice]"))]
    return (told or lines or ["it said nothing"])[-1]


def _hint(stderr: str, pins: tuple[Pin, ...], environment: Mapping[str, str]) -> str:
    wanted = [pin for pin in pins if pin.stem == "torch" and "+" in pin.version]
    if wanted and "No matching distribution" in stderr and not environment.get(TORCH_INDEX):
        return f"set {TORCH_INDEX} to the package index that has {wanted[0]}"
    if "No matching distribution" in stderr:
        return "pip's configured index has no such wheel for the hosts' Python and platform"
    return "look at pip's configuration (`pip config list`) and the network, then run it again: what has come stays"

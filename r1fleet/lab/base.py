"""The base image: every lab host's lower layer, built once per recipe."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from r1fleet.cache import cache_dir, cache_lock
from r1fleet.command import Command, cmd
from r1fleet.errors import LabError
from r1fleet.events import Observer, Step
from r1fleet.lab.mounts import unmount_below
from r1fleet.lab.recipe import PACKAGES, Recipe, machine_recipe
from r1fleet.lab.settle import settle
from r1fleet.lab.shell import environment
from r1fleet.lab.sources import apt_proxy

_STEP = "build the base image"
_NOT_TOLD = ("automatically", "chroot", "finding", "skipping", "success")


def ensure_base(observer: Observer) -> Path:
    """Return the base image of this machine's recipe, built if absent, and remove images that no host uses."""
    recipe = machine_recipe()
    base = cache_dir("lab-bases") / f"base-{recipe.digest}"
    with cache_lock("lab-base"):
        _remove_unused(base)
        if not base.is_dir():
            _build(recipe, base, observer)
    return base


def _build(recipe: Recipe, base: Path, observer: Observer) -> None:
    began = time.monotonic()
    building = base.with_name(f".{base.name}.{os.getpid()}")
    observer(Step(_STEP, detail=f"{recipe.release}, once; the packages are kept for next time"))
    sources = base.with_name("lab.sources")
    sources.write_text(recipe.sources_text(), encoding="utf-8")
    _follow(_mmdebstrap(recipe, building, sources), building, observer)
    settle(recipe, building)
    building.rename(base)
    observer(Step(_STEP, "done", detail=str(base), seconds=time.monotonic() - began))


def _mmdebstrap(recipe: Recipe, target: Path, sources: Path) -> Command:
    packages = shlex.quote(str(cache_dir("lab-packages")))
    options = [f'{name} "{value}"' for name, value in recipe.options.items()]
    proxy = apt_proxy()
    if proxy:
        options.append(f'Acquire::http::Proxy "{proxy}"')
    return cmd(
        # Should this process be killed, the build and its mounts go with it.
        ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child"],
        "mmdebstrap",
        {
            "--mode": "root",
            "--format": "directory",
            "--variant": "minbase",
            "--include": ",".join(PACKAGES),
            "--aptopt": [*options, 'APT::Install-Recommends "false"'],
            "--dpkgopt": "force-unsafe-io",
            "--skip": "download/empty,essential/unlink,cleanup/apt/cache",
            "--setup-hook": [
                f'mkdir -p "$1"/var/cache/apt/archives; find {packages} -name "*.deb" '
                '-exec cp -t "$1"/var/cache/apt/archives {} +'
            ],
            "--customize-hook": [
                f'find {packages} -name "*.deb" -delete; '
                f'find "$1"/var/cache/apt/archives -name "*.deb" -exec mv -t {packages} {{}} +'
            ],
        },
        "--verbose",
        recipe.release,
        str(target),
        str(sources),
    )


def _follow(command: Command, target: Path, observer: Observer) -> None:
    """Run the build and tell each package; the last lines are the reason if it fails."""
    lines: list[str] = []
    with subprocess.Popen(
        command.argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(),
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for step in _progress(iter(process.stdout.readline, ""), lines):
            observer(step)
    if process.returncode != 0:
        _discard(target)
        reasons = [line for line in lines if line.startswith(("E:", "Err:", "W: Failed"))] or lines
        observer(Step(_STEP, "failed", detail=reasons[-1] if reasons else ""))
        hint = "does `apt-get update` work on this machine?"
        raise LabError("the base image could not be built:\n" + "\n".join(reasons[-8:]), hint=hint)


def _progress(output: Iterator[str], lines: list[str]) -> Iterator[Step]:
    fetched = set_up = 0
    for line in map(str.strip, output):
        lines.append(line)
        if line.startswith("Get:"):
            fetched += 1
            yield Step(_STEP, detail=f"fetch {' '.join(line.split()[4:6])}", done=fetched, unit="packages")
        elif line.startswith("Setting up "):
            set_up += 1
            yield Step(_STEP, detail=f"install {line.split()[2]}", done=set_up, unit="packages")
        elif line.startswith("I: ") and line.split()[1] not in _NOT_TOLD and "-hook" not in line:
            yield Step(_STEP, detail=line.removeprefix("I: "))


def _remove_unused(current: Path) -> None:
    used = {current, *(link.readlink() for link in cache_dir("lab").glob("*/hosts/*/base"))}
    for path in current.parent.glob("base-*"):
        if path not in used:
            path.rename(path.with_name(f".{path.name}.unused"))
    for path in current.parent.glob(".base-*"):  # unused, or left by a build that was killed
        _discard(path)


def _discard(path: Path) -> None:
    """Remove a tree, and nothing of the machine's that may be mounted in it."""
    unmount_below(path)
    if path.exists():
        shutil.rmtree(path)

"""Bring a lab up and take it down."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

from r1fleet.cache import cache_lock
from r1fleet.command import Command
from r1fleet.events import Note, Observer, Step, ignore
from r1fleet.lab.base import ensure_base
from r1fleet.lab.cgroups import Tree, detect
from r1fleet.lab.disk import erase_disk, make_key
from r1fleet.lab.faults import fault_of, revive
from r1fleet.lab.ground import check_ground, check_root
from r1fleet.lab.handout import remove_if_empty, take_back, write_handout
from r1fleet.lab.layer import HOST_SPACE, ensure_layer, require_space
from r1fleet.lab.layout import USER, Lab, LabHost, check_name, check_size
from r1fleet.lab.network import ensure_switch, is_ours
from r1fleet.lab.power import await_greeting, is_powered
from r1fleet.lab.proxy import ensure_proxy
from r1fleet.lab.registry import claim, exists, find, forget, labs
from r1fleet.lab.teardown import sweep, tear_down

_INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
_INOTIFY_PER_HOST = 8


def up(
    name: str = "lab",
    *,
    hosts: int = 2,
    docker: bool = False,
    extra_vars: Mapping[str, Any] | None = None,
    observer: Observer = ignore,
) -> Lab:
    """Bring the lab called ``name`` up with at least ``hosts`` hosts, all of them answering.

    What runs already stays as it is; what is broken is healed. ``docker`` gives its hosts a docker engine;
    ``extra_vars`` go into the inventory.
    """
    check_ground()
    check_size(hosts)
    with cache_lock(f"lab-{check_name(name)}"):
        base = ensure_base(observer)
        lab = claim(name, hosts, docker=docker)
        layers = (base, *_docker_layer(lab, base, observer))
        tree = detect()
        began = time.monotonic()
        for folder in sweep(tree):
            observer(Note(f"cleared what a lab without files had left: {folder}"))
        _make_room_for_watches(observer)
        ensure_switch(lab)
        make_key(lab.key, f"r1fleet lab {lab.name}")
        _boot(tree, lab, layers, observer)
        write_handout(lab, extra_vars)
        detail = f"{len(lab.hosts)} hosts, {lab.inventory}"
        observer(Step(f"lab {lab.name}", "done", detail, seconds=time.monotonic() - began))
        return lab


def down(name: str = "lab", *, observer: Observer = ignore) -> None:
    """Take the lab called ``name`` down; nothing of it is left but the base image and kept packages."""
    check_root()
    with cache_lock(f"lab-{check_name(name)}"):
        if not exists(name):
            observer(Note(f"no lab called {name} is up"))
            return
        lab = find(name)
        step = f"lab {lab.name}"
        observer(Step(step, detail="take it down"))
        if is_ours(lab):
            tear_down(detect(), lab)
        for host in lab.hosts:
            erase_disk(host)
        take_back(lab)
        forget(lab)
        remove_if_empty(lab.folder)
        observer(Step(step, "done", "down, nothing left"))


def ssh_command(name: str, host: str, *words: str, user: str = USER) -> Command:
    """Build the command that opens a shell on a host, or runs ``words`` there."""
    return find(name).ssh(host, *words, user=user)


def _docker_layer(lab: Lab, base: Path, observer: Observer) -> Iterator[Path]:
    if lab.docker:
        yield ensure_layer(base, observer)
        new = [host for host in lab.hosts if not host.docker.exists()]
        require_space(lab.folder, len(new) * HOST_SPACE, f"docker on {len(new)} hosts")


def _boot(tree: Tree, lab: Lab, layers: Sequence[Path], observer: Observer) -> None:
    """Start the proxy and all hosts that are not up, at the same time."""
    missing = [host for host in lab.hosts if fault_of(host) or not is_powered(tree, lab, host)]
    began = time.monotonic()

    def start(host: LabHost) -> None:
        revive(tree, lab, host, layers)
        await_greeting(tree, lab, host, within=60.0 + len(missing))

    with ThreadPoolExecutor(max_workers=min(32, len(lab.hosts) + 1)) as pool:
        waiting = {pool.submit(ensure_proxy, tree, lab): Step("start the package proxy", detail=lab.proxy)}
        for host in missing:
            waiting[pool.submit(start, host)] = Step("boot", detail=host.address, host=host.name)
        for step in waiting.values():
            observer(step)
        for future in as_completed(waiting):
            state = "failed" if future.exception() else "done"
            observer(replace(waiting[future], state=state, seconds=time.monotonic() - began))
            future.result()


def _make_room_for_watches(observer: Observer) -> None:
    """Raise the kernel's inotify limit if this many systemds would run into it."""
    booted = sum(len(lab.hosts) for lab in labs())
    needed = 64 + booted * _INOTIFY_PER_HOST
    if int(_INOTIFY.read_text()) < needed:
        _INOTIFY.write_text(str(needed))
        observer(Note(f"raised fs.inotify.max_user_instances to {needed}: each host's systemd needs some"))

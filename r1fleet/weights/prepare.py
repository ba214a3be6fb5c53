"""What is made of a download before an engine reads it: once, on one host, sealed like any other set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from r1fleet.errors import FleetError, HostFailed, SpecError, Where
from r1fleet.events import Observer, Step
from r1fleet.launch.plan import Plan
from r1fleet.runtimes.once import once
from r1fleet.spec import Deployment
from r1fleet.spec.resolve import OWN_STEPS, download_folder
from r1fleet.status.contact import Contact
from r1fleet.weights.cargo import publication
from r1fleet.weights.manifest import MANIFEST, Manifest, parse
from r1fleet.weights.room import SPARE, spell

STEP = "prepare"
PlanOf = Callable[[str, Contact], Plan]
"""Plans a deployment, once its model is there."""


@dataclass(frozen=True, slots=True)
class Derived:
    """One folder that is made of a download for some hosts: the steps that make it, as each of them could run them."""

    deployment: str
    folder: str
    download: str
    why: str
    weighs: float
    steps: tuple[Mapping[str, Any], ...]
    hosts: tuple[str, ...] = ()

    def key(self, source: Manifest) -> str:
        """Say of what, and how, it is made: the same again need not be made again."""
        told = json.dumps([source.digest, self.folder, list(self.steps)], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()


def is_prepared(deployment: Deployment) -> bool:
    """Tell whether the engine reads something else than the download."""
    return deployment.prepare.download is not None or deployment.engine in OWN_STEPS


def weight_of(deployment: Deployment) -> float:
    """Return how large what is made is, in sizes of the download: a cast of FP8 to BF16 doubles it."""
    if not is_prepared(deployment):
        return 0.0
    if deployment.prepare.bf16:
        return 2.0
    return 1.0 if deployment.engine in OWN_STEPS else 0.0


def derived_of(plan: Plan, hosts: Sequence[str]) -> Derived | None:
    """Turn a plan's preparations into commands for the deployment's hosts; None where there are none."""
    steps = plan.preparations
    if not steps:
        return None
    spec, folder, download = plan.deployment, steps[-1].folder, download_folder(plan.deployment)
    given = [place for place in (folder, download, spec.scripts, spec.prepare.overlay) if place]
    rows = []
    for one in steps:
        command = once(spec, one.command, given)
        row = {"why": one.why, "argv": list(command.argv), "env": dict(command.env)}
        rows.append({**row, "stdin": one.stdin, "files": dict(one.files)})
    return Derived(plan.name, folder, download, steps[-1].why, weight_of(spec), tuple(rows), tuple(hosts))


def each_once(found: Sequence[Derived]) -> tuple[Derived, ...]:
    """Return each folder once, for the hosts of all its deployments; refuse two that make different things in one."""
    seen: dict[str, Derived] = {}
    for one in found:
        other = seen.get(one.folder, one)
        seen[one.folder] = replace(other, hosts=tuple(dict.fromkeys((*other.hosts, *one.hosts))))
        if other.steps != one.steps:
            raise SpecError(
                f"deployments {other.deployment} and {one.deployment} prepare different things in {one.folder}",
                hint="give one of them a prepare.folder of its own",
            )
    return tuple(seen.values())


def holders(contact: Contact, hosts: Sequence[str], one: Derived, source: Manifest) -> dict[str, Manifest]:
    """Return the hosts that have it, made of this very download by these very steps."""
    key = one.key(source)
    found = {}
    for host, answer in contact.ask_all("fleet_weights", {host: {"paths": [one.folder]} for host in hosts}).items():
        text = None if isinstance(answer, FleetError) else answer["folders"][0].get("manifest")
        try:
            if text and json.loads(text).get("made_of") == key:
                found[host] = parse(text, Where(path=f"{one.folder}/{MANIFEST}", host=host))
        except (ValueError, AttributeError, FleetError):
            continue  # a damaged seal is as good as none
    return found


def refuse_lack_of_room(contact: Contact, hosts: Sequence[str], one: Derived, source: Manifest) -> None:
    """Compare what will be made with what is free, on every host that is to have it."""
    needs, lacking = round(source.size * one.weighs) + SPARE, []
    for host, answer in contact.ask_all("fleet_weights", {host: {"paths": [one.folder]} for host in hosts}).items():
        told = {} if isinstance(answer, FleetError) else answer["folders"][0]
        free = told.get("room", {}).get("free")
        if free is not None and free < needs:
            lacking.append(f"{host} has {spell(free)} free")
    if lacking:
        raise HostFailed(
            f"{one.folder} needs {spell(needs)} beside the download, and {', '.join(lacking)}",
            hint="make room there: r1fleet weights prune",
        )


def make(contact: Contact, host: str, one: Derived, source: Manifest, observer: Observer) -> Manifest:
    """Make it on one host and publish it there."""
    path = PurePosixPath(one.folder)
    staging = str(path.with_name(f".{path.name}.prepare.part"))
    seal = {
        "schema": 1,
        "name": source.name,
        "revision": source.revision,
        "origin": f"{one.why}, of {source.digest}",
        "made_of": one.key(source),
    }
    given = {"folder": one.folder, "staging": staging, "seal": seal, "steps": list(one.steps)}
    needs = round(source.size * one.weighs)
    future = contact.submit(host, "fleet_prepare", {**given, "needs": needs}, partial(_told, observer, host))
    try:
        reply = contact.settle(host, future)
    finally:
        future.cancel()  # what still runs there would hold up all that is asked of the host afterwards
    if isinstance(reply, FleetError):
        observer(Step(STEP, "failed", one.why, host))
        raise HostFailed(f"{one.folder} was not made: {reply.what}", where=Where(host=host), hint=reply.hint)
    manifest = parse(reply["manifest"], Where(path=one.folder, host=host))
    contact.ask(host, "fleet_publish", {**publication(manifest, staging, one.folder), "verified": True})
    observer(Step(STEP, "done", f"{one.why}: {one.folder}", host))
    return manifest


def _told(observer: Observer, host: str, line: str) -> None:
    row = json.loads(line)
    observer(Step(STEP, "running", row["why"], host, row["step"] - 1, row["of"], "steps"))

"""Provision: wheelhouses for the hosts' Python, the playbook, then each deployment's weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from r1fleet.errors import ExitCode, FleetError, Interrupted
from r1fleet.events import Note, Observer, Recap
from r1fleet.inventory import Host, Inventory
from r1fleet.playbook import Options, exit_code, load_playbook, resolve, run
from r1fleet.provision import pip
from r1fleet.provision.brought import brought_vars, missing
from r1fleet.provision.library import libtorrent_wheel
from r1fleet.provision.lock import packaged_lock
from r1fleet.provision.target import Target, target_of
from r1fleet.provision.wanted import lock_name
from r1fleet.provision.wheelhouse import Download, Wheelhouse, build
from r1fleet.status import Access, Contact, root_on
from r1fleet.transport import Transport
from r1fleet.weights import Model, Synced, SyncOptions, bring, models_of, within
from r1fleet.weights.planned import planner
from r1fleet.weights.swarm import SwarmSettings
from r1fleet.weights.wanted import TINY, Variables, Wanted, wanted

PLAYBOOK = "provision.yaml"


@dataclass(frozen=True, slots=True)
class ProvisionOptions:
    """What the command line says; ``play`` goes to the playbook engine."""

    play: Options = field(default_factory=Options)
    playbook: str = PLAYBOOK
    skip_weights: bool = False
    download: Download = pip.download


@dataclass(frozen=True, slots=True)
class Provisioned:
    """The end of a provisioning: the playbook's recap and what became of the weights."""

    recap: Recap
    weights: tuple[Synced, ...] = ()
    weights_failed: bool = False

    @property
    def exit_code(self) -> ExitCode:
        """The playbook's verdict, and then the weights'."""
        code = exit_code(self.recap)
        return ExitCode.HOST_FAILED if code == ExitCode.OK and self.weights_failed else code


def wants(inventory: Inventory, options: ProvisionOptions) -> tuple[Wanted, ...]:
    """Return what the deployments want, for showing before anything is done; connects to no host."""
    return wanted(inventory, _variables(inventory, options))


def own_modules(inventory: Inventory, options: ProvisionOptions) -> Mapping[str, str]:
    """Return the sources of the user's own modules that the playbook names: its transport must have them."""
    return load_playbook(options.playbook, inventory=inventory, extra_vars=options.play.extra_vars).library.sources


def provision(inventory: Inventory, transport: Transport, observer: Observer, options: ProvisionOptions) -> Provisioned:
    """Make every host able to serve its deployments."""
    limited = inventory.limit(options.play.limit) if options.play.limit else inventory
    access = Access(transport, lambda host: root_on(host, options.play.become_password))
    asked = wants(inventory, options)
    load_playbook(options.playbook, inventory=inventory, extra_vars=options.play.extra_vars)
    chosen = [_within(one, limited, _variables(inventory, options)) for one in asked]
    models = models_of(one for one in chosen if one.hosts)
    made = {**_venv_vars(chosen, access, observer, options), **_model_vars(models), **brought_vars(chosen)}
    given = {**made, **options.play.extra_vars}
    playbook = load_playbook(options.playbook, inventory=inventory, extra_vars=given)
    recap = run(playbook, inventory, transport, observer, replace(options.play, extra_vars=given))
    if options.skip_weights or options.play.check:
        return Provisioned(recap)
    plan_of = planner(inventory, _variables(inventory, options))
    settings = SyncOptions(leave_unsealed=True, swarm=SwarmSettings(wheel_for=libtorrent_wheel), plan_of=plan_of)
    return _bring(models, access, observer, recap, settings)


def _variables(inventory: Inventory, options: ProvisionOptions) -> Variables:
    @cache
    def of(name: str) -> Mapping[str, Any]:
        return resolve(inventory, inventory.host(name), options.play.extra_vars)

    return lambda host: of(host.name)


def _within(one: Wanted, limited: Inventory, variables_of: Variables) -> Wanted:
    """Keep the hosts that ``--limit`` names, with plain variables: those say how a host is reached."""
    names = {host.name for host in limited.select("all")}
    kept = (replace(host, variables=variables_of(host)) for host in one.hosts if host.name in names)
    return replace(one, hosts=tuple(kept))


def _venv_vars(
    chosen: Sequence[Wanted], access: Access, observer: Observer, options: ProvisionOptions
) -> dict[str, Any]:
    """Make the wheelhouses and say which host gets one."""
    installed = [one for one in chosen if one.installs and one.hosts]
    for one in chosen:
        told = missing(one) if one.hosts else None
        if told:
            observer(Note(told, "warning"))
    lock = lock_name(installed)
    if lock is None:
        return {"provision_vllm_cpu_hosts": []}
    hosts = tuple({host.name: host for one in installed for host in one.hosts}.values())
    houses = [
        build(packaged_lock(lock), target, options.download, observer) for target in _targets(hosts, access, observer)
    ]
    return {
        "provision_vllm_cpu_hosts": [host.name for host in hosts],
        "provision_vllm_cpu_wheelhouses": {house.target.kind: _as_variable(house) for house in houses},
    }


def _as_variable(house: Wheelhouse) -> dict[str, str]:
    return {"path": str(house.path), "digest": house.digest}


def _targets(hosts: Sequence[Host], access: Access, observer: Observer) -> tuple[Target, ...]:
    """Ask all hosts; of those with the same Python and machine, the oldest C library counts."""
    with Contact(access, hosts) as contact:
        told = contact.ask_all("setup", {host.name: {"gather_subset": ["!all", "min"]} for host in hosts})
        said = contact.ask_all("command", {host.name: {"argv": ["getconf", "GNU_LIBC_VERSION"]} for host in hosts})
    found: dict[str, Target] = {}
    for host, facts in told.items():
        library = said[host]
        try:
            if isinstance(facts, FleetError):
                raise facts
            said_of_it = "" if isinstance(library, FleetError) else str(library.get("stdout", ""))
            target = target_of(host, facts["ansible_facts"], said_of_it)
        except FleetError as error:
            observer(Note(error.what, "warning", host=host))
            continue
        found[target.kind] = min(target, found.get(target.kind, target))
    return tuple(found.values())


def _model_vars(models: Sequence[Model]) -> dict[str, Any]:
    rows = [{"family": TINY[one.name], "path": one.path, "host": one.hosts[0].name} for one in models if one.made]
    return {"tiny_model_models": rows}


def _bring(
    models: Sequence[Model], access: Access, observer: Observer, recap: Recap, options: SyncOptions
) -> Provisioned:
    """Bring the models to the hosts that the playbook has left in order; tiny ones from the host that made them."""
    alive = [name for name in recap.hosts if _alive(recap, name)]
    kept = [one for one in models if not one.made or one.hosts[0].name in alive]
    complete = len(kept) == len(models) and all(host.name in alive for one in kept for host in one.hosts)
    try:
        done = bring(within(kept, alive), access, observer, options)
    except Interrupted:
        raise
    except FleetError as error:
        observer(Note(str(error), "error"))
        return Provisioned(recap, (), weights_failed=True)
    for failed in done.errors:
        observer(Note(str(failed), "error"))
    return Provisioned(recap, done.models, weights_failed=not complete or done.exit_code != ExitCode.OK)


def _alive(recap: Recap, name: str) -> bool:
    counts = recap.hosts.get(name)
    return counts is not None and not counts.failed and not counts.unreachable

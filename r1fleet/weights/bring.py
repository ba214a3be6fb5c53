"""Sync: plan, fetch once, refuse what is unfit, distribute, verify, publish, flip the link."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from r1fleet.errors import ExitCode, FleetError, HostFailed, HostUnreachable, Interrupted, Where
from r1fleet.events import Note, Observer
from r1fleet.status.contact import Access, Contact
from r1fleet.weights import kept
from r1fleet.weights.fetching import fetched
from r1fleet.weights.held import held
from r1fleet.weights.look import hosts_of, look, look_again, relooked
from r1fleet.weights.manifest import Manifest
from r1fleet.weights.models import Model
from r1fleet.weights.options import Show, SyncOptions, unseen
from r1fleet.weights.plan import HOLDS, LOST, HostRow, ModelPlan, SyncPlan, problems
from r1fleet.weights.prepare import Derived, derived_of, each_once, holders, make, refuse_lack_of_room
from r1fleet.weights.shared import prefetch_note
from r1fleet.weights.sync import HostOutcome, Synced, read_manifest
from r1fleet.weights.ways import Ways


@dataclass(frozen=True, slots=True)
class Brought:
    """The end of a sync: what was planned, and what became of each model on each host."""

    plan: SyncPlan
    models: tuple[Synced, ...] = ()
    errors: tuple[FleetError, ...] = field(default=())

    @property
    def exit_code(self) -> ExitCode:
        """4 where a host did not answer, else 2 where one lacks a model in the end; a source's refusal is more."""
        failed = [outcome.error for one in self.models for outcome in one.failed if outcome.error is not None]
        codes = [error.exit_code for error in (*self.errors, *failed, *self.plan.lost.values())]
        stuck = any(one.stuck for one in self.plan.models)
        return max(codes, default=ExitCode.OK) or (ExitCode.HOST_FAILED if stuck else ExitCode.OK)

    def as_json(self) -> dict[str, Any]:
        """Turn into plain data."""
        return {
            "exit_code": int(self.exit_code),
            "models": [
                {
                    "path": one.path,
                    "digest": one.digest,
                    "hosts": {
                        outcome.host: outcome.error.what if outcome.error else "brought" if outcome.changed else "held"
                        for outcome in one.outcomes
                    },
                }
                for one in self.models
            ],
            "errors": [str(error) for error in self.errors],
            "lost": {host: error.what for host, error in self.plan.lost.items()},
        }


def bring(
    models: Sequence[Model], access: Access, observer: Observer, options: SyncOptions, show: Show = unseen
) -> Brought:
    """Make every host hold the models of its deployments; a host that fails stops no other.

    Raises what stands in the way of all before a byte moves: no room, a read-only disk, another sync, a bad source.
    """
    with Contact(access, hosts_of(models)) as contact:
        ways = Ways(contact, access, observer, options)
        plan = look(models, ways)
        show(plan)
        for note in _notes(plan):
            observer(note)
        prepares = options.plan_of is not None and any(one.model.prepared for one in plan.models)
        if not plan.moves and not prepares and not any(map(plan.lacks_link, plan.models)):
            return Brought(plan, tuple(_stands(one) for one in plan.models), plan.errors)
        _refuse(plan)
        if options.check:
            for note in _Bringing(ways).pending(plan):
                observer(note)
            return Brought(plan, (), plan.errors)
        with held(contact, list(contact.sessions), options.by), _said_to_stay():
            if plan.moves:  # another sync may have ended between the look and the lock
                plan = _looked_again(plan, ways)
            return _carried_out(plan, _Bringing(ways))


def _looked_again(plan: SyncPlan, ways: Ways) -> SyncPlan:
    """Plan anew from what hosts hold by now, and tell what is new."""
    again, told = look_again(plan, ways), list(_notes(plan))
    for note in _notes(again):
        if note not in told:
            ways.observer(note)
    _refuse(again)
    for before, one in zip(plan.models, again.models, strict=True):
        if before.moves and all(row.state == HOLDS for row in one.rows):
            ways.observer(Note(f"{one.model.title}: another sync has brought it meanwhile"))
    return again


def _carried_out(plan: SyncPlan, bringing: _Bringing) -> Brought:
    done: list[Synced] = []
    errors = list(plan.errors)
    for one in plan.models:
        try:
            synced = bringing.bring(one) if one.moves else bringing.stand(one, plan)
            done.append(synced)
            done += bringing.prepare(one, synced)
        except Interrupted:
            raise
        except FleetError as error:
            errors.append(error)
    return Brought(plan, tuple(done), tuple(errors))


@contextmanager
def _said_to_stay() -> Iterator[None]:
    """Say what Ctrl-C leaves."""
    try:
        yield
    except KeyboardInterrupt:
        what = "ended before every host had everything; what has come stays"
        raise Interrupted(what, hint="r1fleet sync goes on there") from None


def _notes(plan: SyncPlan) -> Iterator[Note]:
    for one in plan.models:
        if one.note:
            yield Note(f"{one.model.title}: {one.note}", "error" if one.stuck else "warning")
        prefetch = prefetch_note(one)
        if prefetch:
            yield Note(prefetch, "warning")
    for host, error in plan.lost.items():
        yield Note(error.what, "error", host)


def _refuse(plan: SyncPlan) -> None:
    """Raise everything that stands in the way, host by host."""
    found = list(problems(plan))
    if found:
        rows = "\n".join(f"  {host}: {text}" for host, text in found)
        raise HostFailed(
            f"nothing was moved, because not every host can take it:\n{rows}",
            hint="make room there (r1fleet weights prune), set weights_dir to another disk, or use --limit",
        )


def _stands(plan: ModelPlan) -> Synced:
    """Tell what is already so."""
    digest = plan.manifest.digest if plan.manifest else ""
    return Synced(plan.model.path, digest, tuple(HostOutcome(row.host) for row in plan.rows if row.state == HOLDS))


class _Bringing:
    """One model at a time, on its way to its hosts."""

    def __init__(self, ways: Ways) -> None:
        self._ways = ways
        self._contact = ways.contact
        self._observer = ways.observer

    def bring(self, plan: ModelPlan) -> Synced:
        """Fetch where needed, distribute, and flip the link once every host has passed."""
        assert plan.origin is not None
        manifest, source, outcomes = plan.manifest, plan.origin.host, dict[str, HostOutcome]()
        if manifest is None:
            manifest, source, outcomes = fetched(plan, self._ways)
        targets = [row.host for row in plan.waiting if row.host not in (source, *outcomes)]
        outcomes = {**outcomes, **self._ways.distribute(plan.model.path, manifest, source, targets)}
        again = relooked(plan, self._contact, manifest.digest)
        rows = [outcomes.get(row.host) or self._unchanged(row) for row in again.rows]
        synced = Synced(plan.model.path, manifest.digest, tuple(rows))
        self._forget(manifest)
        if not synced.failed:
            self._flip(plan.model)
        return synced

    def stand(self, plan: ModelPlan, whole: SyncPlan) -> Synced:
        """Leave what is there, and give it the link that an earlier sync did not come to."""
        if whole.lacks_link(plan) and self._flip(plan.model):
            self._observer(Note(f"the link to {plan.model.path} was not there, or led elsewhere: it leads there now"))
        return _stands(plan)

    def prepare(self, plan: ModelPlan, synced: Synced) -> Iterator[Synced]:
        """Make of the download what engines read: on one host of theirs, sealed, and from there on their others.

        A deployment that cannot be planned holds up no other.
        """
        holding = [outcome.host for outcome in synced.outcomes if outcome.error is None]
        if plan.model.prepared and holding:
            session, become = self._ways.reach(holding[0])
            source = read_manifest(session, plan.model.path, become)
            assert source is not None  # it has just been held against its digest
            wanted, refused = self._wanted(plan.model, holding)
            for one in wanted:
                yield self._derived(one, source, [host for host in holding if host in one.hosts])
            for error in refused:
                raise error

    def pending(self, plan: SyncPlan) -> Iterator[Note]:
        """Tell what is still to be linked, and to be made of downloads."""
        for one in plan.models:
            if plan.lacks_link(one):
                yield Note(f"then the link to {one.model.path}, which is not there, or leads elsewhere")
            wanted, refused = self._wanted(one.model, self._contact.sessions)
            for derived in wanted:
                hosts = [row.host for row in one.rows if row.state == HOLDS and row.host in derived.hosts]
                if one.moves or not one.manifest or not holders(self._contact, hosts, derived, one.manifest):
                    yield Note(f"then to be made of it: {derived.folder}: {derived.why}")
            for error in refused:
                raise error

    def _wanted(self, model: Model, near: Collection[str]) -> tuple[tuple[Derived, ...], list[FleetError]]:
        """Return what is to be made of a model for any of the hosts, and why other deployments cannot be planned."""
        plan_of, found, refused = self._ways.options.plan_of, list[Derived](), list[FleetError]()
        if plan_of is None:
            return (), refused
        for one in [one for one in model.prepared if not set(near).isdisjoint(one.hosts)]:
            try:
                derived = derived_of(plan_of(one.deployment, self._contact), one.hosts)
            except Interrupted:
                raise
            except FleetError as error:
                refused.append(error)
                continue
            found += [derived] if derived is not None else []
        return each_once(found), refused

    def _derived(self, one: Derived, source: Manifest, hosts: Sequence[str]) -> Synced:
        held_by = holders(self._contact, hosts, one, source)
        host = next(iter(held_by), hosts[0])
        manifest = held_by.get(host)
        outcomes = {name: HostOutcome(name) for name in held_by}
        if manifest is None:
            refuse_lack_of_room(self._contact, hosts, one, source)
            manifest = make(self._contact, host, one, source, self._observer)
            seen = holders(self._contact, hosts, one, source)  # more than one, where they share storage
            outcomes = {name: HostOutcome(name, changed=True) for name in seen}
        lacking = [name for name in hosts if name not in outcomes]
        outcomes.update(self._ways.distribute(one.folder, manifest, host, lacking))
        self._forget(manifest)
        return Synced(one.folder, manifest.digest, tuple(outcomes[name] for name in hosts if name in outcomes))

    def _forget(self, manifest: Manifest) -> None:
        """Keep no second copy on the controller."""
        if not self._ways.options.is_small(manifest.size):
            kept.forget(manifest.digest)

    def _flip(self, model: Model) -> bool:
        """Let the name without a revision lead to what every host now has; tell whether it does everywhere."""
        path = PurePosixPath(model.path)
        name, at, _ = path.name.rpartition("@")
        if not at or not model.repository:
            return True
        given = {"path": str(path.with_name(name)), "src": path.name, "state": "link", "force": False, "follow": False}
        answers = self._contact.ask_all("file", dict.fromkeys([host.name for host in model.hosts], given))
        for host, answer in answers.items():
            if isinstance(answer, FleetError):
                later = "; the next sync sets it" if isinstance(answer, HostUnreachable) else ""
                self._observer(Note(f"the link {given['path']} stays as it is: {answer.what}{later}", "warning", host))
        return not any(isinstance(answer, FleetError) for answer in answers.values())

    def _unchanged(self, row: HostRow) -> HostOutcome:
        """Say what became of a host to which nothing was sent."""
        where, lost = Where(host=row.host), self._contact.lost.get(row.host)
        if row.state == HOLDS:
            return HostOutcome(row.host)
        if row.state == LOST or lost is not None:
            what = row.problem or (lost.what if lost else "it could not be reached")
            return HostOutcome(row.host, error=HostUnreachable(what, where=where))
        if row.by:
            what = f"it does not see what {row.by} has received, though both seemed to share their storage"
            return HostOutcome(row.host, error=HostFailed(what, where=where, hint="run it again"))
        return HostOutcome(row.host, error=HostFailed(row.problem or "it does not hold the model", where=where))

"""Look at all hosts, and at the source where one is needed: what a sync would do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from r1fleet.errors import FleetError, HostUnreachable, UsageError, Where
from r1fleet.events import Note
from r1fleet.inventory import Host
from r1fleet.status.contact import Answer, Contact
from r1fleet.weights.manifest import MANIFEST, Manifest, parse
from r1fleet.weights.models import Model
from r1fleet.weights.plan import (
    CONTROLLER,
    HOLDS,
    LACKS,
    LOST,
    OTHER,
    UNSEALED,
    HostRow,
    ModelPlan,
    Origin,
    Room,
    SyncPlan,
)
from r1fleet.weights.shared import with_shared
from r1fleet.weights.sources import Listing, listing
from r1fleet.weights.ways import Ways

_NAMED = 6
_NONE: Mapping[str, int] = {}


def look(models: Sequence[Model], ways: Ways) -> SyncPlan:
    """Ask every host once for all its models, and a source for those that no host holds."""
    contact, options = ways.contact, ways.options
    known = dict.fromkeys(host.name for one in models for host in one.hosts)
    if options.on and options.on not in (*known, "controller", CONTROLLER):
        raise UsageError(
            f"--on {options.on} is no host of these models", hint=f"it can be controller, {', '.join(known)}"
        )
    told = _tell(models, contact)
    return _whole([_planned(_Looking(one, told, ways), alone=len(models) == 1) for one in models], ways)


def look_again(plan: SyncPlan, ways: Ways) -> SyncPlan:
    """Ask every host once more, now that no other sync changes them; what sources have told is not asked again."""
    told = _tell([one.model for one in plan.models], ways.contact)
    return _whole([_planned(_Looking(one.model, told, ways, one), alone=False) for one in plan.models], ways)


def _whole(planned: Iterable[ModelPlan], ways: Ways) -> SyncPlan:
    plan = SyncPlan(tuple(planned), dict(ways.contact.lost))
    return with_shared(plan, ways.contact, check=ways.options.check) if plan.moves else plan


def _planned(looking: _Looking, *, alone: bool) -> ModelPlan:
    """Plan one model; what its source refuses holds up no other."""
    if looking.before is not None and looking.before.error is not None:
        return looking.refused(looking.before.error)
    try:
        return looking.plan()
    except FleetError as error:
        if alone:
            raise
        return looking.refused(error)


def _tell(models: Sequence[Model], contact: Contact) -> dict[str, dict[str, Mapping[str, Any]]]:
    wanted: dict[str, list[str]] = {}
    for model in models:
        for host in model.hosts:
            wanted.setdefault(host.name, []).append(model.path)
    asked: dict[str, Mapping[str, Any]] = {host: {"paths": paths} for host, paths in wanted.items()}
    answers = contact.ask_all("fleet_weights", asked)
    return {host: _by_path(host, wanted[host], answer) for host, answer in answers.items()}


def _by_path(host: str, paths: Iterable[str], answer: Answer) -> dict[str, Mapping[str, Any]]:
    if isinstance(answer, HostUnreachable):
        return {path: {"lost": True, "problem": answer.what} for path in paths}
    if isinstance(answer, FleetError):
        return {path: {"problem": answer.what} for path in paths}
    return {row["path"]: row for row in answer["folders"]}


class _Looking:
    """One model: who holds it, what it should be, and where that comes from; ``before`` is an earlier answer."""

    def __init__(
        self,
        model: Model,
        told: Mapping[str, Mapping[str, Mapping[str, Any]]],
        ways: Ways,
        before: ModelPlan | None = None,
    ) -> None:
        self.before = before
        self._model = model
        self._told = {host.name: told[host.name][model.path] for host in model.hosts}
        self._ways = ways
        self._contact = ways.contact
        self._options = ways.options
        self._damaged: dict[str, str] = {}
        self._held = dict(self._holders())

    def plan(self) -> ModelPlan:
        """Decide what the content is, and compare every host with it."""
        chosen = self._agreed()
        if chosen is not None:
            host, manifest = chosen
            return self._compared(manifest, Origin(host), None)
        note = self._unsealed() or self._stuck()
        if note:
            stuck = not self._unsealed()
            return ModelPlan(self._model, 0, tuple(self._rows(None, 0)), note=note, stuck=stuck)
        on, found = self._listed()
        same = next((pair for pair in self._held.items() if found.is_held_by(pair[1])), None)
        if same is not None and not (found.in_place and on not in self._held):
            return self._compared(same[1], Origin(same[0]), found)
        origin = Origin(on, found.origin, found.commit)
        rows = tuple(self._rows(same[1].digest if same else None, found.size, {on: found.shared}))
        note = _stays(found) if found.in_place else ""
        return ModelPlan(self._model, found.size, rows, origin, len(found.files), note, listing=found)

    def refused(self, error: FleetError) -> ModelPlan:
        """Keep what a source has refused."""
        return ModelPlan(self._model, 0, tuple(self._rows(None, 0)), error=error)

    def _holders(self) -> Iterator[tuple[str, Manifest]]:
        for host, row in self._told.items():
            if row.get("manifest"):
                try:
                    yield host, parse(row["manifest"], Where(path=f"{self._model.path}/{MANIFEST}", host=host))
                except FleetError as error:
                    self._damaged[host] = error.what

    def _agreed(self) -> tuple[str, Manifest] | None:
        """Return a host that holds the content, where no source has to say what it is."""
        if self._model.made:
            first = self._model.hosts[0].name
            return (first, self._held[first]) if first in self._held else None
        if self._options.again and (self._model.repository or self._options.source.folder):
            return None
        if self._options.on in self._held:
            return self._options.on, self._held[self._options.on]
        if len({manifest.digest for manifest in self._held.values()}) == 1:
            return next(iter(self._held.items()))
        return None

    def _unsealed(self) -> str:
        """Say that what lies there is taken as it is; empty where it is not."""
        unsealed = [host for host, row in self._told.items() if row.get("content") and not row.get("manifest")]
        if not self._options.leave_unsealed or len(unsealed) < len(self._told):
            return ""
        seal = f"r1fleet sync --from {self._model.path} --on {unsealed[0]}"
        return f"lies there without a seal, unchecked; {seal} seals it"

    def _stuck(self) -> str:
        """Say why no source can be asked; empty where one can."""
        model = self._model
        if model.made:
            return f"{model.hosts[0].name} has not made it yet: r1fleet provision does"
        if model.repository or self._options.source.folder:
            return ""
        if len(self._held) > 1:
            return f"hosts hold different contents of it ({', '.join(self._held)}): say which is right with --on"
        return "no host holds it sealed: r1fleet sync --from FOLDER brings it"

    def _listed(self) -> tuple[str, Listing]:
        """Ask the source, from the first place that has a route to it."""
        before = self.before
        if before is not None and before.listing is not None and before.origin is not None and before.origin.fetches:
            return before.origin.host, before.listing
        refused: dict[str, HostUnreachable] = {}
        for name in self._places():
            try:
                return name, self._ask(name)
            except HostUnreachable as error:
                refused[name] = error
        raise _unreached(self._model, refused)

    def _places(self) -> Iterator[str]:
        known = [host.name for host in self._model.hosts]
        on = CONTROLLER if self._options.on == "controller" else self._options.on
        if on and on not in (*known, CONTROLLER):
            raise UsageError(
                f"--on {on} is no host that holds {self._model.title}", hint=f"it can be controller, {', '.join(known)}"
            )
        if on:
            yield on
            return
        if not self._options.source.place:
            yield from [name for name in known if name in self._contact.sessions][:1]
        yield CONTROLLER

    def _ask(self, name: str) -> Listing:
        host, access = self._contact.hosts.get(name, self._options.controller), self._ways.access
        own = self._contact.sessions.get(name)
        become = access.become_of(host) if own else None
        session = own or access.transport.open(host, become)
        if self._options.source.hubs:  # one that does not answer takes its time
            self._ways.observer(Note(f"asking {self._options.source} for {self._model.title}", host=name))
        try:
            target = self._model.path if name in self._contact.hosts else ""
            return listing(session, self._options.source, self._model.name, self._model.revision, become, target=target)
        finally:
            if own is None:
                session.close()

    def _compared(self, manifest: Manifest, origin: Origin, found: Listing | None) -> ModelPlan:
        rows = tuple(self._rows(manifest.digest, manifest.size))
        moving = origin if any(row.waits for row in rows) else None
        files = len(manifest.files)
        return ModelPlan(self._model, manifest.size, rows, moving, files, manifest=manifest, listing=found)

    def _rows(self, digest: str | None, size: int, shared: Mapping[str, int] = _NONE) -> Iterator[HostRow]:
        """Compare every host with the content; ``shared`` bytes need no room there."""
        for host, told in self._told.items():
            if told.get("lost"):
                yield HostRow(host, LOST, problem=told["problem"])
                continue
            held = self._held.get(host)
            state = self._state(told, held, digest)
            made = round(size * self._model.extra_on(host))
            there = max(shared.get(host, 0), int(told.get("staged", 0)))
            needs = 0 if state == HOLDS else max(0, size - there) + made
            room = told.get("room") or {}
            yield HostRow(
                host,
                state,
                held.digest if held else "",
                needs,
                Room(room.get("free", 0), room.get("kind", ""), room.get("source", ""), bool(room.get("read_only"))),
                problem=told.get("problem", "") or "",
                fault=self._damaged.get(host, ""),
                link=told.get("link"),
            )

    def _state(self, told: Mapping[str, Any], held: Manifest | None, digest: str | None) -> str:
        if held is not None:
            return HOLDS if held.digest == digest else OTHER
        return UNSEALED if told.get("content") else LACKS


def _stays(found: Listing) -> str:
    """Say what of a folder that is sealed where it lies does not belong to the model."""
    if not found.left_out:
        return ""
    more = f" and {len(found.left_out) - _NAMED} more" if len(found.left_out) > _NAMED else ""
    return f"no part of the model, and left in {found.folder}: {', '.join(found.left_out[:_NAMED])}{more}"


def _unreached(model: Model, refused: Mapping[str, HostUnreachable]) -> HostUnreachable:
    """Say that no source answers: first what to do, then what each place has heard."""
    places = ["this controller" if name == CONTROLLER else name for name in refused]
    todo, rows = "", list[str]()
    for name, error in zip(places, refused.values(), strict=True):
        first, *others = (error.hint or "").split("\n")
        todo = todo or first
        rows += [f"{name}: {text}" for text in (error.what, *others)]
    neither = "neither " if len(places) > 1 else "not "
    what = f"no source answers for {model.title}, {neither}{' nor '.join(places)} has reached one"
    return HostUnreachable(what, hint="\n".join(filter(None, (todo, *rows))))


def hosts_of(models: Iterable[Model]) -> tuple[Host, ...]:
    """Return every host of some models once, in order."""
    return tuple({host.name: host for one in models for host in one.hosts}.values())


def relooked(plan: ModelPlan, contact: Contact, digest: str) -> ModelPlan:
    """Ask the plan's sharing hosts again, after their representative has received the content of this digest."""
    sharing = [row.host for row in plan.rows if row.by]
    answers = contact.ask_all("fleet_weights", {host: {"paths": [plan.model.path]} for host in sharing})
    rows = []
    for row in plan.rows:
        rows.append(replace(row, state=HOLDS) if _digest(answers.get(row.host)) == digest else row)
    return replace(plan, rows=tuple(rows))


def _digest(answer: Answer | None) -> str:
    text = None if answer is None or isinstance(answer, FleetError) else answer["folders"][0].get("manifest")
    try:
        return parse(text, Where()).digest if text else ""
    except FleetError:
        return ""

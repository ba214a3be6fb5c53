"""Which models a cluster's deployments read, and which hosts must hold them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from r1fleet.errors import SpecError, UsageError
from r1fleet.inventory import Host
from r1fleet.spec.resolve import OWN_STEPS
from r1fleet.weights.prepare import is_prepared, weight_of
from r1fleet.weights.wanted import Wanted


@dataclass(frozen=True, slots=True)
class Making:
    """What one deployment's hosts read instead of a download; it takes ``weighs`` times the download's room.

    ``folder`` is empty where only a plan knows it.
    """

    deployment: str
    hosts: tuple[str, ...]
    weighs: float
    folder: str


@dataclass(frozen=True, slots=True)
class Model:
    """One model's folder: what it holds, which hosts must have it, and which deployments read it.

    ``made`` says that the first host makes it, so that nothing is downloaded. ``prepared`` is what is made of it for
    deployments.
    """

    name: str
    revision: str
    path: str
    hosts: tuple[Host, ...]
    deployments: tuple[str, ...]
    engines: tuple[str, ...] = ()
    made: bool = False
    prepared: tuple[Making, ...] = ()

    @property
    def repository(self) -> bool:
        """Whether a hub can have it: a deployment may also name a folder of its hosts."""
        return not self.made and not self.name.startswith("/")

    @property
    def title(self) -> str:
        """The model as a person names it."""
        return f"{self.name}@{self.revision}" if self.repository else self.name

    def extra_on(self, host: str) -> float:
        """Return how large all is that is made of it for a host, in its own sizes: each folder once."""
        found = {one.folder or one.deployment: one.weighs for one in self.prepared if host in one.hosts}
        return sum(found.values())


def models_of(asked: Iterable[Wanted]) -> tuple[Model, ...]:
    """Return each model's folder once, with the hosts of all deployments that read it."""
    found: dict[str, Model] = {}
    for one in asked:
        spec = one.deployment
        made = one.family is not None
        new = Model(spec.model, spec.revision, one.path, one.hosts, (one.name,), (spec.engine,), made)
        if is_prepared(spec):
            new = replace(new, prepared=(_making(one),))
        old = found.get(new.path)
        found[new.path] = _joined(old, new) if old else new
    _refuse_clashes(found)
    return tuple(found.values())


def chosen(models: Sequence[Model], *, deployment: str | None = None, model: str | None = None) -> tuple[Model, ...]:
    """Keep the models that the command line names; a name that means nothing is refused with the nearest."""
    _refuse_unknown("deployment", deployment, [name for one in models for name in one.deployments])
    _refuse_unknown("model", model, [one.name for one in models])
    return tuple(
        one for one in models if deployment in (None, *one.deployments) and model in (None, one.name, one.title)
    )


def within(models: Iterable[Model], names: Iterable[str]) -> tuple[Model, ...]:
    """Keep the hosts called so, and the models that any of them must hold."""
    kept = frozenset(names)
    narrowed = (replace(one, hosts=tuple(host for host in one.hosts if host.name in kept)) for one in models)
    return tuple(one for one in narrowed if one.hosts)


def _making(one: Wanted) -> Making:
    spec = one.deployment
    folder = spec.prepare.folder or ("" if spec.engine in OWN_STEPS else str(spec.model_path))
    return Making(one.name, tuple(host.name for host in one.hosts), weight_of(spec), folder)


def _refuse_clashes(models: Mapping[str, Model]) -> None:
    """Refuse what is made of a model in a folder where that of another is made, or where a download lies."""
    seen: dict[str, tuple[str, str]] = {}
    for path, model in models.items():
        for one in model.prepared:
            other = models.get(one.folder)
            if other is not None and (other is model or other.repository or other.made):
                raise SpecError(
                    f"deployment {one.deployment} has its model prepared in {one.folder}, where the download of "
                    f"deployment {other.deployments[0]} lies",
                    hint="give it another prepare.folder; a deployment that reads the result names that as its model",
                )
            name, source = seen.setdefault(one.folder, (one.deployment, path)) if one.folder else ("", path)
            if source != path:
                raise SpecError(
                    f"deployments {name} and {one.deployment} have different models prepared in one folder, "
                    f"{one.folder}",
                    hint="give one of them a prepare.folder of its own",
                )


def _joined(old: Model, new: Model) -> Model:
    if (old.name, old.revision) != (new.name, new.revision):
        raise SpecError(
            f"deployments {old.deployments[0]} and {new.deployments[0]} want {old.title} and {new.title} in one "
            f"folder, {old.path}",
            hint="give one of them a model_path of its own, or leave model_path out",
        )
    hosts = {host.name: host for host in (*old.hosts, *new.hosts)}
    names = tuple(dict.fromkeys((*old.deployments, *new.deployments)))
    engines = tuple(dict.fromkeys((*old.engines, *new.engines)))
    return replace(
        old,
        hosts=tuple(hosts.values()),
        deployments=names,
        engines=engines,
        prepared=(*old.prepared, *new.prepared),
    )


def _refuse_unknown(kind: str, name: str | None, known: Sequence[str]) -> None:
    if name is None or name in known or name.rpartition("@")[0] in known:
        return
    near = difflib.get_close_matches(name, known, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    listed = ", ".join(dict.fromkeys(known))
    raise UsageError(f"there is no {kind} {name}{meant}", hint=f"known: {listed}" if listed else None)

"""Choose how a model is divided: the user's numbers win where they are legal, ``auto`` fills the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from r1fleet.errors import SpecError
from r1fleet.spec import AUTO, Deployment, Ways
from r1fleet.topology.gang import Considered, Parallelism
from r1fleet.topology.ground import Ground
from r1fleet.topology.rules import notes, refusals


@dataclass(frozen=True, slots=True)
class Division:
    """The division that was chosen, why, and the others that were looked at."""

    ways: Parallelism
    reasons: tuple[str, ...]
    considered: tuple[Considered, ...]


class Undivided(SpecError):
    """No division is legal; ``considered`` are those that were looked at."""

    def __init__(self, what: str, *, hint: str, considered: tuple[Considered, ...]) -> None:
        super().__init__(what, hint=hint)
        self.considered = considered


def divide(name: str, deployment: Deployment, ground: Ground) -> Division:
    """Return the division and its explanation, or refuse with the reason and the nearest legal plan."""
    wanted = [Considered(ways, tuple(refusals(ground, ways))) for ways in _candidates(deployment, ground)]
    legal = [one.ways for one in wanted if not one.refusals]
    if not legal:
        raise _refusal(name, deployment, ground, wanted)
    chosen = max(legal, key=lambda ways: _preference(deployment, ground, ways))
    reasons = (*notes(ground, chosen), *_fewer(deployment, ground, chosen))
    return Division(chosen, reasons, tuple(_worth_telling(wanted, chosen, ground)))


def _candidates(deployment: Deployment, ground: Ground) -> Iterator[Parallelism]:
    """Offer every division that keeps the user's numbers and uses no more devices than there are."""
    data, expert = _written(deployment.data_parallel), _written(deployment.expert_parallel)
    attention = _written(deployment.attention_data_parallel)
    for tensor in _choices(deployment.tensor_parallel, ground.devices):
        for pipeline in _choices(deployment.pipeline_parallel, ground.devices // tensor):
            ways = Parallelism(tensor, pipeline, data, expert, attention)
            if ways.world <= ground.devices or _all_written(deployment):
                yield ways


def _choices(ways: Ways, most: int) -> Iterable[int]:
    return range(1, most + 1) if ways == AUTO else [int(ways)]


def _written(ways: Ways) -> int:
    return 1 if ways == AUTO else int(ways)


def _all_written(deployment: Deployment) -> bool:
    return AUTO not in (deployment.tensor_parallel, deployment.pipeline_parallel)


def _preference(deployment: Deployment, ground: Ground, ways: Parallelism) -> tuple[int, ...]:
    """Rank divisions: fill all devices, then the widest tensor parallel; a written tp on one host stays alone."""
    if deployment.tensor_parallel != AUTO and ground.hosts == 1:
        return (-ways.pipeline,)
    return (ways.world, ways.tensor)


def _worth_telling(wanted: Iterable[Considered], chosen: Parallelism | None, ground: Ground) -> Iterator[Considered]:
    """Keep the choice and what would have filled all devices, the widest tensor parallel first."""
    told = [one for one in wanted if one.ways == chosen or one.ways.world == ground.devices]
    yield from sorted(told, key=lambda one: -one.ways.tensor)


def _fewer(deployment: Deployment, ground: Ground, chosen: Parallelism) -> Iterator[str]:
    """Say when ``auto`` would also do with fewer hosts, or fewer devices of one host."""
    automatic = AUTO in (deployment.tensor_parallel, deployment.pipeline_parallel)
    if not automatic or ground.shape is None or ground.shape.weight_bytes is None:
        return
    if ground.machine.memory_bytes is None or chosen.world == 1:
        return
    for hosts in range(1, ground.hosts):
        less = replace(ground, hosts=hosts)
        if any(not list(refusals(less, ways)) for ways in _candidates(deployment, less)):
            plural = "host" if hosts == 1 else "hosts"
            yield f"{hosts} {plural} would do: consider replicas: {ground.hosts // hosts}"
            return
    if ground.hosts == 1 and deployment.tensor_parallel == AUTO:
        enough = min(ways.world for ways in _candidates(deployment, ground) if not list(refusals(ground, ways)))
        if enough < chosen.world:
            yield f"{enough} of the {ground.devices} devices would do: set tensor_parallel"


def _refusal(name: str, deployment: Deployment, ground: Ground, wanted: list[Considered]) -> SpecError:
    free = deployment.model_copy(
        update={
            "tensor_parallel": AUTO,
            "pipeline_parallel": AUTO,
            "data_parallel": AUTO,
            "expert_parallel": AUTO,
            "attention_data_parallel": AUTO,
        }
    )
    asked = _as_written(deployment)
    widest = max(wanted, key=_width) if wanted else Considered(asked, tuple(refusals(ground, asked)))
    return Undivided(
        f"deployment {name} cannot be divided as asked ({_text(widest.ways)}): " + "; ".join(_against(widest, wanted)),
        hint=_nearest(deployment, ground, free),
        considered=tuple(_worth_telling(wanted, widest.ways, ground)),
    )


def _width(one: Considered) -> tuple[int, int]:
    return one.ways.world, one.ways.tensor


def _against(widest: Considered, wanted: list[Considered]) -> Iterator[str]:
    """Tell what stands against the widest division, and against the one that comes nearest to being legal."""
    yield from widest.refusals or ("no division fits",)
    nearest = min(wanted, key=lambda one: (len(one.refusals), -one.ways.world, -one.ways.tensor), default=widest)
    if not set(nearest.refusals) <= set(widest.refusals):
        yield f"nor {nearest.ways}: {'; '.join(nearest.refusals)}"


def _as_written(deployment: Deployment) -> Parallelism:
    return Parallelism(
        _written(deployment.tensor_parallel),
        _written(deployment.pipeline_parallel),
        _written(deployment.data_parallel),
        _written(deployment.expert_parallel),
        _written(deployment.attention_data_parallel),
    )


def _nearest(deployment: Deployment, ground: Ground, free: Deployment) -> str:
    if ground.accelerator == "vastai" and ground.hosts > 1:
        return f"set replicas: {ground.hosts * deployment.replicas}"
    legal = [ways for ways in _candidates(free, ground) if not list(refusals(ground, ways))]
    if not legal:
        return "no other division fits either: use more hosts, larger devices or smaller weights"
    asked = _as_written(deployment)
    best = min(legal, key=lambda ways: (abs(ways.world - asked.world), abs(ways.tensor - asked.tensor)))
    return f"the nearest legal plan is {_text(best)}"


def _text(ways: Parallelism) -> str:
    parts = [f"tensor_parallel {ways.tensor}", f"pipeline_parallel {ways.pipeline}"]
    more = {
        "data_parallel": ways.data,
        "expert_parallel": ways.expert,
        "attention_data_parallel": ways.attention,
    }
    return ", ".join([*parts, *(f"{key} {count}" for key, count in more.items() if count > 1)])

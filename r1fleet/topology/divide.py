"""Choose how a model is divided: the user's numbers win where they are legal, ``auto`` fills the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from r1fleet.errors import SpecError
from r1fleet.spec import AUTO, Deployment, Ways
from r1fleet.topology.gang import Parallelism
from r1fleet.topology.rules import Ground, notes, refusals, world


def divide(name: str, deployment: Deployment, ground: Ground) -> tuple[Parallelism, tuple[str, ...]]:
    """Return the division and its explanation, or refuse with the reason and the nearest legal plan."""
    wanted = list(_candidates(deployment, ground))
    legal = [ways for ways in wanted if not list(refusals(ground, ways))]
    if not legal:
        raise _refusal(name, deployment, ground, wanted)
    chosen = max(legal, key=lambda ways: _preference(deployment, ground, ways))
    return chosen, (*notes(ground, chosen), *_fewer(deployment, ground, chosen))


def _candidates(deployment: Deployment, ground: Ground) -> Iterator[Parallelism]:
    """Offer every division that keeps the user's numbers and uses no more devices than there are."""
    for tensor in _choices(deployment.tensor_parallel, ground.devices):
        for pipeline in _choices(deployment.pipeline_parallel, ground.devices // tensor):
            for data in [1] if deployment.data_parallel == AUTO else [int(deployment.data_parallel)]:
                expert = 1 if deployment.expert_parallel == AUTO else int(deployment.expert_parallel)
                ways = Parallelism(tensor, pipeline, data, expert)
                if world(ways) <= ground.devices or _all_written(deployment):
                    yield ways


def _choices(ways: Ways, most: int) -> Iterable[int]:
    return range(1, most + 1) if ways == AUTO else [int(ways)]


def _all_written(deployment: Deployment) -> bool:
    return AUTO not in (deployment.tensor_parallel, deployment.pipeline_parallel)


def _preference(deployment: Deployment, ground: Ground, ways: Parallelism) -> tuple[int, ...]:
    """Rank divisions: fill all devices, then the widest tensor parallel; a written tp on one host stays alone."""
    if deployment.tensor_parallel != AUTO and ground.hosts == 1:
        return (-ways.pipeline,)
    return (world(ways), ways.tensor)


def _fewer(deployment: Deployment, ground: Ground, chosen: Parallelism) -> Iterator[str]:
    """Say when ``auto`` would also do with fewer hosts, or fewer devices of one host."""
    automatic = AUTO in (deployment.tensor_parallel, deployment.pipeline_parallel)
    if not automatic or ground.shape is None or ground.shape.weight_bytes is None:
        return
    if ground.machine.memory_bytes is None or world(chosen) == 1:
        return
    for hosts in range(1, ground.hosts):
        less = replace(ground, hosts=hosts)
        if any(not list(refusals(less, ways)) for ways in _candidates(deployment, less)):
            plural = "host" if hosts == 1 else "hosts"
            yield f"{hosts} {plural} would do: consider replicas: {ground.hosts // hosts}"
            return
    if ground.hosts == 1 and deployment.tensor_parallel == AUTO:
        enough = min(world(ways) for ways in _candidates(deployment, ground) if not list(refusals(ground, ways)))
        if enough < world(chosen):
            yield f"{enough} of the {ground.devices} devices would do: set tensor_parallel"


def _refusal(name: str, deployment: Deployment, ground: Ground, wanted: list[Parallelism]) -> SpecError:
    closest = max(wanted, key=lambda ways: (world(ways), ways.tensor)) if wanted else _as_written(deployment)
    reasons = list(refusals(ground, closest)) or ["no division fits"]
    free = deployment.model_copy(
        update={"tensor_parallel": AUTO, "pipeline_parallel": AUTO, "data_parallel": AUTO, "expert_parallel": AUTO}
    )
    return SpecError(
        f"deployment {name} cannot be divided as asked ({_text(closest)}): " + "; ".join(reasons),
        hint=_nearest(deployment, ground, free),
    )


def _as_written(deployment: Deployment) -> Parallelism:
    numbers = (
        deployment.tensor_parallel,
        deployment.pipeline_parallel,
        deployment.data_parallel,
        deployment.expert_parallel,
    )
    return Parallelism(*(1 if number == AUTO else int(number) for number in numbers))


def _nearest(deployment: Deployment, ground: Ground, free: Deployment) -> str:
    if ground.accelerator == "vastai" and ground.hosts > 1:
        return f"set replicas: {ground.hosts * deployment.replicas}"
    legal = [ways for ways in _candidates(free, ground) if not list(refusals(ground, ways))]
    if not legal:
        return "no other division fits either: use more hosts, larger devices or smaller weights"
    asked = _as_written(deployment)
    best = min(legal, key=lambda ways: (abs(world(ways) - world(asked)), abs(ways.tensor - asked.tensor)))
    return f"the nearest legal plan is {_text(best)}"


def _text(ways: Parallelism) -> str:
    parts = [f"tensor_parallel {ways.tensor}", f"pipeline_parallel {ways.pipeline}"]
    if ways.data > 1:
        parts.append(f"data_parallel {ways.data}")
    if ways.expert > 1:
        parts.append(f"expert_parallel {ways.expert}")
    return ", ".join(parts)

"""A Ray cluster of one gang, for an engine that reaches other hosts through one: a head and its members."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Final

from r1fleet.command import Command
from r1fleet.engines.interface import RankRequest

SCRIPT: Final = "ray_rank.py"
FIXED: Final = (
    "port",
    "node-manager-port",
    "object-manager-port",
    "runtime-env-agent-port",
    "dashboard-agent-grpc-port",
    "dashboard-agent-listen-port",
    "metrics-export-port",
)
"""What Ray listens on, in the order of the ports from the rendezvous port on."""
PORTS: Final = len(FIXED) + 1
"""With the one behind them, where the engine's own processes meet."""
WORKERS: Final = range(10002, 20000)
"""The ports of Ray's workers, on every host; below those that Linux gives to outgoing connections."""


def ray_rank(request: RankRequest, command: Command) -> Command:
    """Return one rank's command: the leader starts the head and then ``command``, the others join it."""
    role = _head(request, command) if request.leads else _member(request)
    return Command((*_prepared(request), *role), command.env)


def ray_files() -> Mapping[str, str]:
    """Return what the ranks read in the launch's folder, by name."""
    return {SCRIPT: resources.files("r1fleet.engines").joinpath("scripts", SCRIPT).read_text(encoding="utf-8")}


def ray_environment(request: RankRequest) -> Mapping[str, str]:
    """Return the variables by which the engine finds this cluster and no other one of the host."""
    return {"RAY_ADDRESS": request.rendezvous} if request.leads else {}


def meeting_port(request: RankRequest) -> int:
    """Return the port that is left for the engine's own processes."""
    return request.gang.rendezvous_port + len(FIXED)


def _prepared(request: RankRequest) -> Iterator[str]:
    yield from (request.program("python3"), f"{request.folder}/{SCRIPT}")
    if not request.leads:
        yield from ("--wait-for", request.rendezvous)
    # Ray puts sockets below it, whose paths may have 107 bytes: the launch's folder would be too long.
    yield from ("--temporary", _temporary(request), "--")


def _head(request: RankRequest, command: Command) -> Iterator[str]:
    yield from _started(request, "--head", "--include-dashboard=false")
    yield "--"
    yield from command.argv


def _member(request: RankRequest) -> Iterator[str]:
    yield from _started(request, f"--address={request.rendezvous}", "--block")


def _started(request: RankRequest, *role: str) -> Iterator[str]:
    """Yield Ray's own command; a member is told the head's port by its address."""
    first = request.gang.rendezvous_port
    yield from (request.program("ray"), "start", *role, f"--node-ip-address={request.node.address}")
    yield f"--num-gpus={request.node.devices}"
    yield from (f"--{name}={first + at}" for at, name in enumerate(FIXED) if at or request.leads)
    yield from (f"--min-worker-port={WORKERS.start}", f"--max-worker-port={WORKERS.stop - 1}")
    yield from (f"--temp-dir={_temporary(request)}", "--disable-usage-stats")


def _temporary(request: RankRequest) -> str:
    return f"/tmp/ray-{request.gang.rendezvous_port}"

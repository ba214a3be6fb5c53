"""LMDeploy's API server, over several hosts by TurboMind, by Ray or by data parallel; or one offline generation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from r1fleet.command import Command, cmd
from r1fleet.engines.derive import DERIVES
from r1fleet.engines.interface import Kind, RankRequest
from r1fleet.engines.jobs import job_files, job_words
from r1fleet.engines.network import device_environment, network_environment
from r1fleet.engines.openai import Server, refuse_accelerator, refuse_prepare
from r1fleet.engines.options import Written
from r1fleet.engines.ray import PORTS, WORKERS, meeting_port, ray_environment, ray_files, ray_rank
from r1fleet.engines.spellings import Spelling
from r1fleet.errors import SpecError
from r1fleet.spec import Deployment
from r1fleet.topology.gang import Gang
from r1fleet.topology.models import ModelShape

SCRIPT: Final = "lmdeploy_generate.py"
TURBOMIND: Final = ("qwen2", "llama", "")
"""Families that TurboMind serves; one that is not known is left to LMDeploy to find out."""
OWNED: Final[Mapping[str, str]] = {
    **{
        option: f"use the deployment's key {key}"
        for option, key in {
            "model-name": "served_model_name",
            "server-name": "bind",
            "server-port": "port",
            "tp": "tensor_parallel",
            "dp": "attention_data_parallel",
            "ep": "expert_parallel",
            "session-len": "max_model_len",
            "api-keys": "api_key",
            "revision": "revision",
            "download-dir": "model_path",
        }.items()
    },
    **dict.fromkeys(("nnodes", "node-rank"), "leave it out: it follows from `hosts` and `replicas`"),
    "dist-init-addr": "leave it out: it is the first host's r1fleet_address and rendezvous_port",
}


class LMDeploy(Server):
    """LMDeploy 0.7 and later, on CUDA."""

    name = "lmdeploy"
    keyless = "takes it only on its command line"

    def kind_of(self, deployment: Deployment) -> Kind:
        """Tell whether it serves, or generates once and ends."""
        return "job" if deployment.job else "service"

    def refuse(self, name: str, deployment: Deployment, shape: ModelShape | None) -> None:
        """Raise SpecError for what LMDeploy cannot do."""
        refuse_accelerator(name, self.name, deployment, "nvidia")
        refuse_prepare(name, self.name, deployment, *DERIVES)

    def lacks(self, deployment: Deployment) -> Mapping[str, str]:
        """Say which kinds of division this version, or a job, does not have."""
        found = dict(super().lacks(deployment))
        if deployment.job:
            found["hosts"] = "LMDeploy's pipeline is planned on one host"
        return found

    def ports(self, deployment: Deployment, gang: Gang) -> int:
        """Return how many ports the leader takes; whether Ray is needed is not known before the model is."""
        joined = len(gang.nodes) > 1 and gang.parallel.attention == 1
        return PORTS if joined and deployment.args.get("backend") != "turbomind" else 1

    def command(self, request: RankRequest) -> Command:
        """Return the API server's command for one node, or the offline generation."""
        _refuse(request)
        if request.deployment.job:
            return _offline(request)
        return ray_rank(request, _serve(request)) if _by_ray(request) else _serve(request)

    def files(self, request: RankRequest) -> Mapping[str, str]:
        """Return what the offline generation reads, or the start of a Ray cluster."""
        if request.deployment.job:
            return job_files(request, SCRIPT)
        return ray_files() if _by_ray(request) else {}

    def notes(self, request: RankRequest) -> tuple[str, ...]:
        """Tell what was not checked, and what LMDeploy does in silence."""
        return tuple(note for note in (_written(request).note(), *_notes(request)) if note)


def _serve(request: RankRequest) -> Command:
    deployment, ways = request.deployment, request.gang.parallel
    spell = Spelling("lmdeploy", deployment.engine_version).words
    return cmd(
        request.started(spell("program")),
        deployment.model_path,
        spell("name", deployment.served_model_name),
        spell("bind", deployment.bind),
        spell("port", deployment.port),
        spell("tensor", ways.tensor),
        spell("attention", ways.attention) if ways.attention > 1 else None,
        spell("expert", ways.expert) if ways.expert > 1 else None,
        _meeting(request),
        spell("length", deployment.max_model_len),
        _written(request).words(),
        env=_environment(request),
    )


def _offline(request: RankRequest) -> Command:
    """Return the offline generation: a script of ours around LMDeploy's `pipeline`."""
    deployment, ways = request.deployment, request.gang.parallel
    options = dict(_written(request).checked())
    backend = options.pop("backend", "pytorch")
    config: dict[str, Any] = {"tp": ways.tensor}
    config |= {"dp": ways.attention} if ways.attention > 1 else {}
    config |= {"ep": ways.expert} if ways.expert > 1 else {}
    config |= {"session_len": deployment.max_model_len} if deployment.max_model_len else {}
    config |= {option.replace("-", "_"): value for option, value in options.items()}
    return cmd(
        request.program("python3"),
        f"{request.folder}/{SCRIPT}",
        deployment.model_path,
        {"--backend": backend, "--engine-config": json.dumps(config, separators=(",", ":"))},
        job_words(request),
        env=_environment(request),
    )


def _meeting(request: RankRequest) -> Iterator[str]:
    """Yield how hosts meet: TurboMind by an address, PyTorch's data parallel by variables, Ray by itself."""
    spell = Spelling("lmdeploy", request.deployment.engine_version).words
    yield from spell("backend", _backend(request))
    if request.hosts > 1 and not _by_ray(request):
        yield from spell("hosts", request.hosts)
        yield from spell("rank", request.node.rank)
        yield from () if _apart(request) else spell("rendezvous", request.rendezvous)


def _apart(request: RankRequest) -> bool:
    """Tell whether attention is divided by data parallel."""
    return request.gang.parallel.attention > 1


def _backend(request: RankRequest) -> str | None:
    """Return the backend that the division needs; None where LMDeploy or ``args`` may choose."""
    if _apart(request):
        return "pytorch"
    if request.hosts == 1:
        return None
    return str(request.deployment.args.get("backend") or ("turbomind" if _turbomind(request) else "pytorch"))


def _by_ray(request: RankRequest) -> bool:
    """Tell whether hosts meet in a Ray cluster: PyTorch's tensor parallel knows no other way."""
    return request.hosts > 1 and not _apart(request) and _backend(request) == "pytorch"


def _turbomind(request: RankRequest) -> bool:
    return (request.shape.family if request.shape else "") in TURBOMIND


def _refuse(request: RankRequest) -> None:
    name, chosen = request.name, request.deployment.args.get("backend")
    if _apart(request) and chosen not in (None, "pytorch"):
        raise SpecError(
            f"deployment {name}: attention_data_parallel is of LMDeploy's PyTorch backend, not of {chosen}",
            hint="leave backend out of args",
        )
    if request.hosts == 1 or _apart(request):
        return
    if ":" in request.gang.leader.address:
        raise SpecError(
            f"deployment {name}: LMDeploy cannot meet at the IPv6 address {request.gang.leader.address}",
            hint="set r1fleet_address to an IPv4 address",
        )
    if chosen == "turbomind" and not _turbomind(request):
        family = request.shape.family if request.shape else "this model"
        raise SpecError(
            f"deployment {name}: TurboMind does not serve {family}",
            hint="leave backend out of args: hosts then meet in a Ray cluster; or set attention_data_parallel",
        )


def _written(request: RankRequest) -> Written:
    deployment = request.deployment
    args = {key: value for key, value in deployment.args.items() if key != "backend" or _backend(request) is None}
    return Written(request.name, "lmdeploy", deployment.engine_version, args, OWNED)


def _environment(request: RankRequest) -> Mapping[str, str]:
    """Return the variables of one rank; what the user wrote wins."""
    base = dict(network_environment(request)) | dict(device_environment(request))
    if _by_ray(request):
        base |= ray_environment(request)
        base["LMDEPLOY_DIST_MASTER_ADDR"] = request.gang.leader.address
        base["LMDEPLOY_DIST_MASTER_PORT"] = str(meeting_port(request))
    if _apart(request):
        base["LMDEPLOY_DP_MASTER_ADDR"] = request.gang.leader.address
        base["LMDEPLOY_DP_MASTER_PORT"] = str(request.gang.rendezvous_port)
    return base | {"HF_HUB_OFFLINE": "1"} | request.deployment.env


def _notes(request: RankRequest) -> Iterator[str]:
    apart = request.gang.parallel.attention
    if apart > 1:
        each, port = apart // request.hosts, request.deployment.port or 0
        yield (
            f"every host answers on {each} ports, {port} to {port + each - 1}, one for each data parallel part: "
            "put `lmdeploy serve proxy` before them"
        )
    elif _by_ray(request):
        last = request.gang.rendezvous_port + PORTS - 1
        yield (
            f"hosts meet in a Ray cluster: besides {request.gang.rendezvous_port} to {last} its workers take ports "
            f"{WORKERS.start} to {WORKERS.stop - 1} on every host"
        )
    elif request.hosts > 1 and request.shape is None:
        yield (
            "over several hosts LMDeploy needs a model that TurboMind supports: for others it falls back in silence "
            "to its PyTorch engine, which does not join hosts this way"
        )

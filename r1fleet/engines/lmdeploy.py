"""LMDeploy: `lmdeploy serve api_server`; over several hosts its TurboMind engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from r1fleet.command import Command, cmd
from r1fleet.engines.interface import Kind, RankRequest
from r1fleet.engines.openai import chat_completion
from r1fleet.engines.options import Written
from r1fleet.errors import SpecError
from r1fleet.spec import Deployment

OWNED: Final[Mapping[str, str]] = {
    **{
        option: f"use the deployment's key {key}"
        for option, key in {
            "model-name": "served_model_name",
            "server-name": "bind",
            "server-port": "port",
            "tp": "tensor_parallel",
            "dp": "data_parallel",
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


class LMDeploy:
    """LMDeploy 0.18, on CUDA."""

    name = "lmdeploy"
    kind: Kind = "service"
    default_port: int | None = 23333
    completion_path = "/v1/chat/completions"
    leader_stops_first = False

    def command(self, request: RankRequest) -> Command:
        """Return the API server's command for one node."""
        deployment = request.deployment
        _refuse(request)
        return cmd(
            (request.program("lmdeploy"), "serve", "api_server"),
            deployment.model_path,
            {
                "--model-name": deployment.served_model_name,
                "--server-name": deployment.bind,
                "--server-port": deployment.port,
                "--tp": request.gang.parallel.tensor,
            },
            {
                "--backend": "turbomind",
                "--nnodes": request.hosts,
                "--node-rank": request.node.rank,
                "--dist-init-addr": request.rendezvous,
            }
            if request.hosts > 1
            else None,
            {"--session-len": deployment.max_model_len},
            _written(request.name, deployment).words(),
            env=dict(_environment(request)),
        )

    def notes(self, request: RankRequest) -> tuple[str, ...]:
        """Tell what was not checked, and what LMDeploy does in silence."""
        unchecked = _written(request.name, request.deployment).note()
        falls_back = (
            "over several hosts LMDeploy needs a model that TurboMind supports: for others it falls back in silence "
            "to its PyTorch engine, which does not join hosts this way"
        )
        return tuple(note for note in (unchecked, falls_back if request.hosts > 1 else None) if note)

    def secret_environment(self, api_key: str) -> Mapping[str, str]:
        """Refuse: there is no such variable."""
        raise _no_key("it")

    def refuse_secret(self, name: str) -> None:
        """Raise: LMDeploy has no way to take a key that stays secret."""
        raise _no_key(f"deployment {name}")

    def completion_request(self, model: str, prompt: str, *, max_tokens: int) -> Mapping[str, Any]:
        """Return the body of a chat completion request."""
        return chat_completion(model, prompt, max_tokens)


def _refuse(request: RankRequest) -> None:
    name, deployment = request.name, request.deployment
    if deployment.accelerator != "nvidia":
        raise SpecError(
            f"deployment {name}: LMDeploy is not planned for accelerator {deployment.accelerator}",
            hint="use engine: vllm",
        )
    if request.hosts > 1 and "backend" in deployment.args:
        raise SpecError(
            f"deployment {name}: over several hosts args may not hold backend: only TurboMind joins hosts",
            hint="leave it out, or use engine: vllm or sglang",
        )
    if request.hosts > 1 and ":" in request.gang.leader.address:
        raise SpecError(
            f"deployment {name}: LMDeploy cannot meet at the IPv6 address {request.gang.leader.address}",
            hint="set r1fleet_address to an IPv4 address",
        )


def _written(name: str, deployment: Deployment) -> Written:
    return Written(name, "lmdeploy", deployment.engine_version, deployment.args, OWNED)


def _environment(request: RankRequest) -> Iterator[tuple[str, str]]:
    """Yield the variables of one rank; what the user wrote wins."""
    base: dict[str, str] = {}
    if request.hosts > 1:
        base |= {"GLOO_SOCKET_IFNAME": request.node.interface, "NCCL_SOCKET_IFNAME": request.node.interface}
    base |= {"HF_HUB_OFFLINE": "1"}
    yield from (base | request.deployment.env).items()


def _no_key(what: str) -> SpecError:
    return SpecError(
        f"{what} has an api_key, but LMDeploy takes it only on its command line",
        hint="leave api_key out and put a proxy that checks keys before it, or use engine: vllm",
    )

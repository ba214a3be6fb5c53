"""vLLM: `vllm serve` on every node; the node with rank 0 answers, the others run headless."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from r1fleet.command import Command, cmd
from r1fleet.engines.interface import Kind, RankRequest
from r1fleet.engines.openai import chat_completion
from r1fleet.engines.options import Written
from r1fleet.spec import Deployment

_KEY: Final = "use the deployment's key {}"
OWNED: Final[Mapping[str, str]] = {
    **{
        option: _KEY.format(key)
        for option, key in {
            "model": "model_path",
            "served-model-name": "served_model_name",
            "host": "bind",
            "port": "port",
            "tensor-parallel-size": "tensor_parallel",
            "tp": "tensor_parallel",
            "pipeline-parallel-size": "pipeline_parallel",
            "pp": "pipeline_parallel",
            "data-parallel-size": "data_parallel",
            "dp": "data_parallel",
            "enable-expert-parallel": "expert_parallel",
            "ep": "expert_parallel",
            "max-model-len": "max_model_len",
            "api-key": "api_key, which keeps the secret out of the command line",
            "master-port": "rendezvous_port",
        }.items()
    },
    **dict.fromkeys(
        ("nnodes", "n", "node-rank", "r", "headless", "no-headless"),
        "leave it out: it follows from `hosts` and `replicas`",
    ),
    "hf-token": "leave it out: weights are read from model_path, offline",
    "master-addr": "leave it out: it is the first host's r1fleet_address",
    "distributed-executor-backend": "leave it out: ranks on several hosts meet without Ray",
    **dict.fromkeys(
        (
            "data-parallel-size-local",
            "dpl",
            "data-parallel-rank",
            "dpn",
            "data-parallel-start-rank",
            "dpr",
            "data-parallel-address",
            "dpa",
            "data-parallel-backend",
            "dpb",
        ),
        "leave it out: it follows from data_parallel and `hosts`",
    ),
}


class VLLM:
    """vLLM 0.30 and later, on CUDA, on CPU, and the vendor's build for Vastai."""

    name = "vllm"
    kind: Kind = "service"
    default_port: int | None = 8000
    completion_path = "/v1/chat/completions"
    leader_stops_first = False

    def command(self, request: RankRequest) -> Command:
        """Return `vllm serve` for one node."""
        deployment, ways = request.deployment, request.gang.parallel
        several = request.hosts > 1
        return cmd(
            request.program("vllm"),
            "serve",
            deployment.model_path,
            {
                "--served-model-name": deployment.served_model_name,
                "--host": deployment.bind,
                "--port": deployment.port,
                "--tensor-parallel-size": ways.tensor,
                "--pipeline-parallel-size": ways.pipeline if ways.pipeline > 1 else None,
                "--data-parallel-size": ways.data if ways.data > 1 else None,
                "--enable-expert-parallel": ways.expert > 1,
            },
            {
                "--nnodes": request.hosts,
                "--node-rank": request.node.rank,
                "--master-addr": request.gang.leader.address,
                "--master-port": request.gang.rendezvous_port,
                "--distributed-executor-backend": "mp",
                "--headless": not request.leads,
            }
            if several
            else None,
            {"--max-model-len": deployment.max_model_len},
            _written(request.name, deployment).words(),
            env=dict(_environment(request)),
        )

    def notes(self, request: RankRequest) -> tuple[str, ...]:
        """Tell what was not checked."""
        note = _written(request.name, request.deployment).note()
        return (note,) if note else ()

    def secret_environment(self, api_key: str) -> Mapping[str, str]:
        """Return the key as vLLM reads it from its environment."""
        return {"VLLM_API_KEY": api_key}

    def refuse_secret(self, name: str) -> None:
        """Accept: vLLM reads its key from the environment."""

    def completion_request(self, model: str, prompt: str, *, max_tokens: int) -> Mapping[str, Any]:
        """Return the body of a chat completion request."""
        return chat_completion(model, prompt, max_tokens)


def _written(name: str, deployment: Deployment) -> Written:
    return Written(name, "vllm", deployment.engine_version, deployment.args, OWNED)


def _environment(request: RankRequest) -> Iterator[tuple[str, str]]:
    """Yield the variables of one rank; what the user wrote wins."""
    base = dict(_several_hosts(request)) if request.hosts > 1 else {}
    if request.deployment.accelerator == "cpu":
        base |= {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1", "TORCHDYNAMO_DISABLE": "1"}
    if request.deployment.accelerator == "vastai":
        dies = ",".join(str(die) for die in range(request.node.devices))
        base |= {"VACC_VISIBLE_DEVICES": dies, "VCCL_SOCKET_IFNAME": "lo"}
    base |= {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    yield from (base | request.deployment.env).items()


def _several_hosts(request: RankRequest) -> Iterator[tuple[str, str]]:
    """Yield this host's own address and interface: they differ between hosts."""
    yield "VLLM_HOST_IP", request.node.address
    yield "GLOO_SOCKET_IFNAME", request.node.interface
    if request.deployment.accelerator == "nvidia":
        yield "NCCL_SOCKET_IFNAME", request.node.interface

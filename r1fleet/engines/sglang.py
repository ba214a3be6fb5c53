"""SGLang: one server process per node; the node with rank 0 answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from r1fleet.command import Command, cmd
from r1fleet.engines.interface import Kind, RankRequest
from r1fleet.engines.openai import chat_completion
from r1fleet.engines.options import Written, at_least
from r1fleet.errors import SpecError
from r1fleet.spec import Deployment

_KEY: Final = "use the deployment's key {}"
OWNED: Final[Mapping[str, str]] = {
    **{
        option: _KEY.format(key)
        for option, key in {
            "model": "model_path",
            "model-path": "model_path",
            "served-model-name": "served_model_name",
            "host": "bind",
            "port": "port",
            "tp": "tensor_parallel",
            "tp-size": "tensor_parallel",
            "tensor-parallel-size": "tensor_parallel",
            "pp": "pipeline_parallel",
            "pp-size": "pipeline_parallel",
            "pipeline-parallel-size": "pipeline_parallel",
            "dp": "data_parallel",
            "dp-size": "data_parallel",
            "data-parallel-size": "data_parallel",
            "ep": "expert_parallel",
            "ep-size": "expert_parallel",
            "expert-parallel-size": "expert_parallel",
            "context-length": "max_model_len",
            "api-key": "api_key",
        }.items()
    },
    **dict.fromkeys(("nnodes", "node-rank"), "leave it out: it follows from `hosts` and `replicas`"),
    **dict.fromkeys(
        ("dist-init-addr", "nccl-init-addr"), "leave it out: it is the first host's r1fleet_address and rendezvous_port"
    ),
    "config": "write its options under args",
}


class SGLang:
    """SGLang 0.4 and later, on CUDA."""

    name = "sglang"
    kind: Kind = "service"
    default_port: int | None = 30000
    completion_path = "/v1/chat/completions"
    leader_stops_first = True

    def command(self, request: RankRequest) -> Command:
        """Return the server's command for one node."""
        deployment, ways = request.deployment, request.gang.parallel
        self._refuse(request)
        return cmd(
            _launcher(request),
            {
                "--model-path": deployment.model_path,
                "--served-model-name": deployment.served_model_name,
                "--host": deployment.bind,
                "--port": deployment.port,
                "--tp-size": ways.tensor,
                "--pp-size": ways.pipeline if ways.pipeline > 1 else None,
                "--dp-size": ways.data if ways.data > 1 else None,
                "--ep-size": ways.expert if ways.expert > 1 else None,
            },
            {
                "--nnodes": request.hosts,
                "--node-rank": request.node.rank,
                "--dist-init-addr": request.rendezvous,
            }
            if request.hosts > 1
            else None,
            {"--context-length": deployment.max_model_len},
            _written(request.name, deployment).words(),
            env=dict(_environment(request)),
        )

    def notes(self, request: RankRequest) -> tuple[str, ...]:
        """Tell what was not checked."""
        note = _written(request.name, request.deployment).note()
        return (note,) if note else ()

    def secret_environment(self, api_key: str) -> Mapping[str, str]:
        """Refuse: there is no such variable."""
        raise _no_key("it")

    def refuse_secret(self, name: str) -> None:
        """Raise: SGLang has no way to take a key that stays secret."""
        raise _no_key(f"deployment {name}")

    def completion_request(self, model: str, prompt: str, *, max_tokens: int) -> Mapping[str, Any]:
        """Return the body of a chat completion request."""
        return chat_completion(model, prompt, max_tokens)

    def _refuse(self, request: RankRequest) -> None:
        accelerator = request.deployment.accelerator
        if accelerator != "nvidia":
            raise SpecError(
                f"deployment {request.name}: SGLang is not planned for accelerator {accelerator}",
                hint="use engine: vllm",
            )


def _launcher(request: RankRequest) -> tuple[str, ...]:
    """Return how this version is started: `sglang serve` since 0.5.5, before as a Python module."""
    if at_least(request.deployment.engine_version, 0, 5, 5):
        return (request.program("sglang"), "serve")
    return (request.program("python3"), "-m", "sglang.launch_server")


def _written(name: str, deployment: Deployment) -> Written:
    return Written(name, "sglang", deployment.engine_version, deployment.args, OWNED)


def _environment(request: RankRequest) -> Iterator[tuple[str, str]]:
    """Yield the variables of one rank; what the user wrote wins."""
    base: dict[str, str] = {}
    if request.hosts > 1:
        interface = request.node.interface
        base |= {"GLOO_SOCKET_IFNAME": interface, "NCCL_SOCKET_IFNAME": interface}
    base |= {"HF_HUB_OFFLINE": "1"}
    yield from (base | request.deployment.env).items()


def _no_key(what: str) -> SpecError:
    return SpecError(
        f"{what} has an api_key, but SGLang takes it only on its command line or from a file whose content it logs",
        hint="leave api_key out and put a proxy that checks keys before it, or use engine: vllm",
    )

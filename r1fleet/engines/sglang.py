"""SGLang: one server process per node; the node with rank 0 answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from r1fleet.command import Command, cmd
from r1fleet.engines.derive import DERIVES
from r1fleet.engines.interface import RankRequest
from r1fleet.engines.network import device_environment, network_environment
from r1fleet.engines.openai import Server, refuse_accelerator, refuse_job, refuse_prepare
from r1fleet.engines.options import Written
from r1fleet.engines.spellings import Spelling
from r1fleet.spec import Deployment
from r1fleet.topology.gang import Gang
from r1fleet.topology.models import ModelShape

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
            "attn-dp-size": "attention_data_parallel",
            "attention-data-parallel-size": "attention_data_parallel",
            "ep": "expert_parallel",
            "ep-size": "expert_parallel",
            "expert-parallel-size": "expert_parallel",
            "context-length": "max_model_len",
            "api-key": "api_key",
            "base-gpu-id": "devices",
        }.items()
    },
    **dict.fromkeys(("nnodes", "node-rank"), "leave it out: it follows from `hosts` and `replicas`"),
    **dict.fromkeys(
        ("dist-init-addr", "nccl-init-addr"), "leave it out: it is the first host's r1fleet_address and rendezvous_port"
    ),
    "config": "write its options under args",
}
ATTENTION_PORTS: Final = 6
"""How many ports after the rendezvous port data parallel attention takes, too."""


class SGLang(Server):
    """SGLang 0.4.1 and later, on CUDA."""

    name = "sglang"
    leader_stops_first = True
    keyless = "takes it only on its command line or from a file whose content it logs"

    def refuse(self, name: str, deployment: Deployment, shape: ModelShape | None) -> None:
        """Raise SpecError for what SGLang cannot do."""
        refuse_accelerator(name, self.name, deployment, "nvidia")
        refuse_job(name, self.name, deployment)
        refuse_prepare(name, self.name, deployment, *DERIVES)

    def ports(self, deployment: Deployment, gang: Gang) -> int:
        """Return how many ports, from the rendezvous port on, the leader takes."""
        return 1 + (ATTENTION_PORTS if gang.parallel.attention > 1 else 0)

    def command(self, request: RankRequest) -> Command:
        """Return the server's command for one node."""
        deployment, ways = request.deployment, request.gang.parallel
        spell = Spelling(self.name, deployment.engine_version).words
        return cmd(
            request.started(spell("program")),
            spell("model", deployment.model_path),
            spell("name", deployment.served_model_name),
            spell("bind", deployment.bind),
            spell("port", deployment.port),
            spell("tensor", ways.tensor),
            spell("pipeline", ways.pipeline) if ways.pipeline > 1 else None,
            spell("data", ways.data) if ways.data > 1 else None,
            spell("attention", ways.attention) if ways.attention > 1 else None,
            spell("expert", ways.expert) if ways.expert > 1 else None,
            _meeting(request) if request.hosts > 1 else None,
            spell("length", deployment.max_model_len),
            _written(request).words(),
            env=_environment(request),
        )

    def notes(self, request: RankRequest) -> tuple[str, ...]:
        """Tell what was not checked."""
        note = _written(request).note()
        return (note,) if note else ()


def _meeting(request: RankRequest) -> tuple[str, ...]:
    spell = Spelling("sglang", request.deployment.engine_version).words
    return (
        *spell("hosts", request.hosts),
        *spell("rank", request.node.rank),
        *spell("rendezvous", request.rendezvous),
    )


def _written(request: RankRequest) -> Written:
    deployment = request.deployment
    return Written(request.name, "sglang", deployment.engine_version, deployment.args, OWNED)


def _environment(request: RankRequest) -> Mapping[str, str]:
    """Return the variables of one rank; what the user wrote wins."""
    base = dict(network_environment(request)) | dict(device_environment(request)) | {"HF_HUB_OFFLINE": "1"}
    return base | request.deployment.env

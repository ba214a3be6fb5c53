"""vLLM: `vllm serve` on every node, where rank 0 answers and the others run headless; or one offline generation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from r1fleet.command import Command, cmd
from r1fleet.engines.derive import DERIVES
from r1fleet.engines.interface import Kind, RankRequest
from r1fleet.engines.jobs import job_files, job_words
from r1fleet.engines.network import device_environment, network_environment
from r1fleet.engines.openai import Server, refuse_prepare
from r1fleet.engines.options import Written, table_of
from r1fleet.engines.spellings import Spelling
from r1fleet.engines.vastai import vastai_environment
from r1fleet.errors import SpecError
from r1fleet.spec import Deployment
from r1fleet.topology.models import ModelShape
from r1fleet.topology.vendor import limit_of

SCRIPT: Final = "vllm_generate.py"
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


class VLLM(Server):
    """vLLM 0.7.2 and later, on CUDA, on CPU, and the vendor's build for Vastai."""

    name = "vllm"

    def kind_of(self, deployment: Deployment) -> Kind:
        """Tell whether it serves, or generates once and ends."""
        return "job" if deployment.job else "service"

    def refuse(self, name: str, deployment: Deployment, shape: ModelShape | None) -> None:
        """Raise SpecError for what vLLM cannot do."""
        refuse_prepare(name, self.name, deployment, *DERIVES)
        if deployment.accelerator == "vastai" and deployment.args.get("enforce-eager") is False:
            raise SpecError(
                f"deployment {name}: the vendor's vLLM runs with enforce-eager only",
                hint="leave it out of args: it is set on Vastai",
            )

    def lacks(self, deployment: Deployment) -> Mapping[str, str]:
        """Say which kinds of division this version, or a job, does not have."""
        found = dict(super().lacks(deployment))
        if deployment.job:
            found["hosts"] = "vLLM's offline generation runs on one host"
            found["data"] = "vLLM's offline generation holds one copy of the model"
        return found

    def command(self, request: RankRequest) -> Command:
        """Return `vllm serve` for one node, or the offline generation."""
        return offline(request) if request.deployment.job else _serve(request)

    def files(self, request: RankRequest) -> Mapping[str, str]:
        """Return what the offline generation reads."""
        return job_files(request, SCRIPT) if request.deployment.job else {}

    def notes(self, request: RankRequest) -> tuple[str, ...]:
        """Tell what was not checked."""
        note = _written(request).note()
        return (note,) if note else ()

    def secret_environment(self, api_key: str) -> Mapping[str, str]:
        """Return the key as vLLM reads it from its environment."""
        return {"VLLM_API_KEY": api_key}


def _serve(request: RankRequest) -> Command:
    deployment = request.deployment
    spell = Spelling("vllm", deployment.engine_version).words
    return cmd(
        request.started(spell("program")),
        deployment.model_path,
        spell("name", deployment.served_model_name),
        spell("bind", deployment.bind),
        spell("port", deployment.port),
        _division(request),
        _meeting(request) if request.hosts > 1 else None,
        _engine_options(request),
        env=_environment(request),
    )


def offline(request: RankRequest) -> Command:
    """Return the offline generation: a script of ours around `LLM.generate`, with vLLM's own engine options."""
    deployment = request.deployment
    return cmd(
        request.program("python3"),
        f"{request.folder}/{SCRIPT}",
        ("--model", deployment.model_path),
        _division(request),
        _engine_options(request),
        job_words(request),
        env=_environment(request),
    )


def _division(request: RankRequest) -> Iterator[str]:
    ways, spell = request.gang.parallel, Spelling("vllm", request.deployment.engine_version).words
    yield from spell("tensor", ways.tensor)
    yield from spell("pipeline", ways.pipeline) if ways.pipeline > 1 else ()
    yield from spell("data", ways.data) if ways.data > 1 else ()
    yield from spell("expert") if ways.expert > 1 else ()


def _meeting(request: RankRequest) -> Iterator[str]:
    spell = Spelling("vllm", request.deployment.engine_version).words
    yield from spell("hosts", request.hosts)
    yield from spell("rank", request.node.rank)
    yield from spell("rendezvous", request.gang.leader.address)
    yield from spell("rendezvous port", request.gang.rendezvous_port)
    yield from spell("executor")
    yield from () if request.leads else spell("worker")


def _engine_options(request: RankRequest) -> Iterator[str]:
    """Yield the length, what the accelerator wants, and what the user wrote."""
    deployment = request.deployment
    spelling, written = Spelling("vllm", deployment.engine_version), _written(request)
    options = written.checked()
    vastai = deployment.accelerator == "vastai"
    row = limit_of(request.gang.parallel) if vastai else None
    yield from spelling.words("length", deployment.max_model_len or (row.length if row else None))
    if vastai and "enforce-eager" not in options:
        yield "--enforce-eager"
    table = table_of("vllm", deployment.engine_version)
    asynchronous = table is not None and "async-scheduling" in table.switches
    if vastai and asynchronous and not {"async-scheduling", "no-async-scheduling"} & set(options):
        ordered = request.gang.parallel.pipeline > 1 or "speculative-config" in options
        yield from ("--no-async-scheduling",) if ordered else ()
    if "reasoning-parser" in options and "enable-reasoning" not in options:
        yield from spelling.words("reasoning")
    yield from written.words()


def _written(request: RankRequest) -> Written:
    deployment = request.deployment
    return Written(request.name, "vllm", deployment.engine_version, deployment.args, OWNED)


def _environment(request: RankRequest) -> Mapping[str, str]:
    """Return the variables of one rank; what the user wrote wins."""
    base = {"VLLM_HOST_IP": request.node.address} if request.hosts > 1 else {}
    base |= dict(network_environment(request)) | dict(device_environment(request))
    if request.deployment.accelerator == "cpu":
        base |= {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1", "TORCHDYNAMO_DISABLE": "1"}
    if request.deployment.accelerator == "vastai":
        base |= dict(vastai_environment(request))
    return base | {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"} | request.deployment.env

"""DeepSeek's own scripts: convert.py makes a checkpoint for each rank, torchrun starts generate.py; always a job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from r1fleet.command import Command, cmd
from r1fleet.engines.interface import Kind, Preparation, RankRequest
from r1fleet.engines.jobs import job_files, job_words
from r1fleet.engines.network import device_environment, network_environment
from r1fleet.engines.openai import Server, refuse_accelerator, refuse_prepare
from r1fleet.engines.spellings import Spelling
from r1fleet.errors import SpecError
from r1fleet.spec import Deployment, Job
from r1fleet.topology.models import ModelShape

FAMILY: Final = "deepseek_v3"
CONFIGS: Final = (("V3.1", "config_v3.1.json"), ("", "config_671B.json"))
"""Which of the scripts' own configurations a model has, by a part of its name; the first that fits."""
_INSTEAD: Final[Mapping[str, str]] = {
    "qwen2": "a Qwen2 model: use engine: vllm, sglang, lmdeploy or transformers",
    "llama": "a Llama model: use engine: vllm, sglang, lmdeploy or transformers",
    "deepseek_v32": "a DeepSeek-V3.2 model, which has scripts of its own: use engine: sglang or vllm",
}


class DeepSeek(Server):
    """The `inference` folder of DeepSeek-V3, as of 2025-08-28, on CUDA."""

    name = "deepseek"
    keyless = "serves nothing: a job has no endpoint"

    def kind_of(self, deployment: Deployment) -> Kind:
        """Tell what it is: a job."""
        return "job"

    def refuse(self, name: str, deployment: Deployment, shape: ModelShape | None) -> None:
        """Raise SpecError for models that convert.py does not know, and for numbers that are not the model's."""
        refuse_accelerator(name, self.name, deployment, "nvidia")
        refuse_prepare(name, self.name, deployment, "folder", "experts", "model_parallel")
        if deployment.args:
            raise SpecError(
                f"deployment {name}: generate.py has no other options than the plan's: args cannot be passed on",
                hint="use the keys of `job:`: input, prompts, max_new_tokens, temperature",
            )
        if deployment.job is not None and deployment.job.top_p is not None:
            raise SpecError(f"deployment {name}: generate.py has no top_p", hint="leave job.top_p out")
        if shape is not None:
            _refuse_model(name, deployment, shape)

    def command(self, request: RankRequest) -> Command:
        """Return torchrun for one node."""
        deployment, node = request.deployment, request.node
        spell = Spelling(self.name, None).words
        return cmd(
            request.started(spell("program")),
            spell("hosts", request.hosts),
            spell("devices", node.devices),
            (*spell("rank", node.rank), *spell("rendezvous", request.gang.leader.address))
            if request.hosts > 1
            else None,
            spell("rendezvous port", request.gang.rendezvous_port),
            f"{deployment.scripts}/generate.py",
            {"--ckpt-path": _converted(request), "--config": f"{deployment.scripts}/configs/{_config(deployment)}"},
            job_words(_as_job(request)),
            env=_environment(request),
        )

    def files(self, request: RankRequest) -> Mapping[str, str]:
        """Return the prompts, where the deployment holds them."""
        return job_files(request)

    def reads(self, request: RankRequest) -> tuple[str, ...]:
        """Return the host's folders that the command reads: what convert.py made, and the scripts."""
        return (_converted(request), str(request.deployment.scripts))

    def preparations(self, request: RankRequest) -> tuple[Preparation, ...]:
        """Return convert.py's command: it makes one checkpoint for each rank."""
        deployment, ways = request.deployment, request.gang.parallel
        experts = deployment.prepare.experts or (request.shape.experts if request.shape else None) or 256
        parallel = deployment.prepare.model_parallel or ways.world
        if parallel != ways.world:
            raise SpecError(
                f"deployment {request.name}: convert.py would make {parallel} parts, but generate.py runs as "
                f"{ways.world} ranks and reads one part for each",
                hint=f"set prepare.model_parallel: {ways.world}, or leave it out",
            )
        convert = cmd(
            request.program("python"),
            f"{deployment.scripts}/convert.py",
            {
                "--hf-ckpt-path": deployment.model_path,
                "--save-path": _converted(request),
                "--n-experts": experts,
                "--model-parallel": parallel,
            },
        )
        why = "one checkpoint for each rank, about as large as the download"
        return (Preparation(why, convert, {}, folder=_converted(request)),)

    def notes(self, request: RankRequest) -> tuple[str, ...]:
        """Tell what was not checked."""
        return tuple(_notes(request))


def _refuse_model(name: str, deployment: Deployment, shape: ModelShape) -> None:
    if shape.family and shape.family != FAMILY:
        what = _INSTEAD.get(shape.family, f"a {shape.family} model: use engine: vllm or sglang")
        raise SpecError(
            f"deployment {name}: convert.py knows DeepSeek-V3's weights only (`Key ... not found in mapping` for any "
            f"other), and {deployment.model} is {what.partition(':')[0]}",
            hint=what.partition(": ")[2],
        )
    if shape.weights not in ("fp8", "bf16"):
        raise SpecError(
            f"deployment {name}: convert.py reads FP8 or BF16 weights, not {shape.weights}",
            hint="use the weights as DeepSeek published them",
        )
    problems = list(_numbers(deployment, shape))
    if problems:
        raise SpecError(
            f"deployment {name}: {'; '.join(problems)}",
            hint=f"set prepare.experts: {shape.experts}, or leave both numbers out: they follow from model and hosts",
        )


def _numbers(deployment: Deployment, shape: ModelShape) -> Iterator[str]:
    asked, parallel = deployment.prepare.experts, deployment.prepare.model_parallel
    if asked is not None and asked != shape.experts:
        yield f"convert.py is told {asked} experts, and {deployment.model} has {shape.experts}"
    if parallel is not None and shape.experts and shape.experts % parallel:
        yield f"{shape.experts} experts cannot be divided by model_parallel {parallel}"
    written = deployment.tensor_parallel
    if parallel is not None and isinstance(written, int) and written != parallel:
        yield f"model_parallel {parallel} is not tensor_parallel {written}"


def _converted(request: RankRequest) -> str:
    deployment = request.deployment
    return deployment.prepare.folder or f"{deployment.model_path}-mp{request.gang.parallel.world}"


def _config(deployment: Deployment) -> str:
    return next(config for part, config in CONFIGS if part in deployment.model)


def _as_job(request: RankRequest) -> RankRequest:
    """Fill in an interactive job: this engine knows nothing else."""
    if request.deployment.job is not None:
        return request
    job = request.deployment.model_copy(update={"job": Job()})
    return RankRequest(request.name, job, request.gang, request.node, request.programs, request.folder, request.shape)


def _environment(request: RankRequest) -> Mapping[str, str]:
    """Return the variables of one rank; what the user wrote wins."""
    return dict(network_environment(request)) | dict(device_environment(request)) | request.deployment.env


def _notes(request: RankRequest) -> Iterator[str]:
    yield "the scripts want Python 3.10, torch 2.4.1, triton 3.0.0 and transformers 4.46.3"
    yield "at most 8 prompts at once, of at most 16384 tokens with the answer"
    if request.shape is None:
        yield "the model is not known: convert.py's numbers were not checked"

"""The vendor's engine for distilled models on Vastai cards: vamc compiles the model, `vastgenx serve` answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from r1fleet.command import Command, cmd
from r1fleet.engines.interface import Preparation, RankRequest
from r1fleet.engines.openai import Server, refuse_accelerator, refuse_job, refuse_prepare
from r1fleet.engines.options import Written
from r1fleet.engines.spellings import Spelling
from r1fleet.engines.vastai import dies_of, vastai_environment
from r1fleet.errors import SpecError
from r1fleet.spec import Deployment
from r1fleet.topology.models import ModelShape

OWNED: Final[Mapping[str, str]] = {
    "model": "leave it out: it is what vamc compiled",
    "host": "use the deployment's key bind",
    "port": "use the deployment's key port",
    "llm-devices": "use the deployment's key devices",
    "tensor-parallel-size": "use the deployment's key tensor_parallel",
}
LENGTH: Final = 2048
"""The longest sequence that the vendor's own examples compile for."""
OVERLAY: Final = ("modeling_qwen2_vacc.py", "configuration_qwen2_vacc.py", "quantization_vacc.py", "config_vacc.json")
"""The vendor's files for Qwen models; Llama models need none."""
CALIBRATION: Final = "allenai/c4, ceval/ceval-exam and yahma/alpaca-cleaned"


class VastGenX(Server):
    """vastgenx 1.1 and later, as the vendor documents it."""

    name = "vastgenx"
    keyless = "takes none"

    def refuse(self, name: str, deployment: Deployment, shape: ModelShape | None) -> None:
        """Raise SpecError for what vastgenx cannot do."""
        refuse_accelerator(name, self.name, deployment, "vastai")
        refuse_job(name, self.name, deployment)
        refuse_prepare(name, self.name, deployment, "folder", "precision", "input_len", "overlay")
        if shape is not None and shape.family == "qwen2" and deployment.prepare.overlay is None:
            raise SpecError(
                f"deployment {name}: {deployment.model} is a Qwen2 model, which vamc compiles with the vendor's files "
                f"laid over it: {', '.join(OVERLAY)}",
                hint="put them into a folder on every host and name it in prepare.overlay",
            )
        if deployment.prepare.input_len > (deployment.max_model_len or LENGTH):
            raise SpecError(
                f"deployment {name}: prepare.input_len {deployment.prepare.input_len} is longer than max_model_len "
                f"{deployment.max_model_len or LENGTH}",
                hint="the first is compiled for prefill, the second for all",
            )

    def command(self, request: RankRequest) -> Command:
        """Return the server's command."""
        deployment = request.deployment
        spell = Spelling(self.name, deployment.engine_version).words
        return cmd(
            request.started(spell("program")),
            spell("model", f"{_work(request)}/{_compiled(request)}"),
            spell("bind", deployment.bind),
            spell("port", deployment.port),
            spell("devices", f"[{','.join(map(str, dies_of(request)))}]"),
            _written(request).words(),
            env=dict(vastai_environment(request)) | deployment.env,
        )

    def reads(self, request: RankRequest) -> tuple[str, ...]:
        """Return the host's folders that the command reads: what vamc compiled."""
        return (f"{_work(request)}/{_compiled(request)}",)

    def preparations(self, request: RankRequest) -> tuple[Preparation, ...]:
        """Return the steps of vamc: lay the vendor's files over the model, compile it."""
        work, overlay = _work(request), request.deployment.prepare.overlay
        config = f"{work}/{_compiled(request)}.yaml"
        compiled = Preparation(
            f"compile for tp {request.gang.parallel.tensor} in {request.deployment.prepare.precision}",
            cmd(request.program("vamc"), "compile", config),
            {config: _configuration(request)},
        )
        room = Preparation("a folder for what vamc reads and makes", cmd("mkdir", "-p", _made_in(request)), {})
        return (room, *(_laid_over(request, overlay) if overlay else ()), compiled)

    def notes(self, request: RankRequest) -> tuple[str, ...]:
        """Tell what was not checked, and what must be brought."""
        return tuple(_notes(request))


def _laid_over(request: RankRequest, overlay: str) -> Iterator[Preparation]:
    model, target = request.deployment.model_path, _checkpoint(request)
    yield Preparation("links to the model's files in it", cmd("cp", "-rs", f"{model}/.", target), {})
    yield Preparation(
        "the vendor's files over them", cmd("cp", "--remove-destination", "-r", f"{overlay}/.", target), {}
    )


def _work(request: RankRequest) -> str:
    return request.deployment.prepare.folder or f"{request.deployment.model_path}-vacc"


def _checkpoint(request: RankRequest) -> str:
    overlaid = request.deployment.prepare.overlay is not None
    return f"{_work(request)}/checkpoint" if overlaid else str(request.deployment.model_path)


def _made_in(request: RankRequest) -> str:
    return _checkpoint(request) if request.deployment.prepare.overlay else _work(request)


def _compiled(request: RankRequest) -> str:
    """Name the result as the vendor does: model, precision, tp, prefill's length, longest sequence."""
    deployment = request.deployment
    model, prepare = deployment.model.rstrip("/").rpartition("/")[2], deployment.prepare
    length = deployment.max_model_len or LENGTH
    return f"{model}-{prepare.precision}-tp{request.gang.parallel.tensor}-{prepare.input_len}-{length}"


def _configuration(request: RankRequest) -> str:
    """Write what `vamc compile` reads."""
    deployment = request.deployment
    prepare, length = deployment.prepare, deployment.max_model_len or LENGTH
    quantize = ["  quantize:", "    type: w8a16_gptq"] if prepare.precision == "int8" else []
    rows = [
        f"name: {_compiled(request)}",
        "frontend:",
        f"  checkpoint: {_checkpoint(request)}",
        "  type: huggingface",
        "  shape:",
        f"    input_ids: [[{prepare.input_len}], [{length}]]",
        "  model_kwargs:",
        "    b2s: true",
        f"    tp: {request.gang.parallel.tensor}",
        "    model_arch: vacc",
        *quantize,
        "backend:",
        "  type: tvm_vacc",
        f"  dtype: {prepare.precision}",
        "  merge_params: true",
        "  compile:",
        "    data_type: 0",
        "    gather_data_vccl_dsp_enable: true",
        "workspace:",
        f"  path: {_work(request)}",
        "  workers: 4",
    ]
    return "\n".join([*rows, ""])


def _written(request: RankRequest) -> Written:
    deployment = request.deployment
    return Written(request.name, "vastgenx", deployment.engine_version, deployment.args, OWNED)


def _notes(request: RankRequest) -> Iterator[str]:
    yield f"clients call the model {_compiled(request)}, as vamc named it"
    if request.deployment.prepare.precision == "int8":
        yield f"int8 is calibrated with {CALIBRATION}: put them where the vendor's vamc looks for them"
    note = _written(request).note()
    if note:
        yield note

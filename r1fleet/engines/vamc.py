"""What Vastai's own engines read: a model that vamc has compiled for their cards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from r1fleet.command import cmd
from r1fleet.engines.interface import Preparation, RankRequest
from r1fleet.errors import SpecError
from r1fleet.spec import Deployment
from r1fleet.topology.models import ModelShape

PREPARES: Final = ("folder", "precision", "input_len", "overlay")
"""The keys of ``prepare`` that have a meaning here."""
LENGTH: Final = 2048
"""The longest sequence that the vendor's own examples compile for."""
OVERLAY: Final = ("modeling_qwen2_vacc.py", "configuration_qwen2_vacc.py", "quantization_vacc.py", "config_vacc.json")
"""The vendor's files for Qwen models; Llama models need none."""
CALIBRATION: Final = "allenai/c4, ceval/ceval-exam and yahma/alpaca-cleaned"


def refuse_uncompilable(name: str, deployment: Deployment, shape: ModelShape | None) -> None:
    """Raise SpecError for what vamc could not compile."""
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


def compilations(request: RankRequest) -> tuple[Preparation, ...]:
    """Return the steps of vamc: lay the vendor's files over the model, compile it."""
    overlay = request.deployment.prepare.overlay
    config = f"{compiled_folder(request)}.yaml"
    compiled = Preparation(
        f"compile for tp {request.gang.parallel.tensor} in {request.deployment.prepare.precision}",
        cmd(request.program("vamc"), "compile", config),
        {config: _configuration(request)},
        folder=_work(request),
    )
    made_in = cmd("mkdir", "-p", _made_in(request))
    room = Preparation("a folder for what vamc reads and makes", made_in, {}, folder=_work(request))
    return (room, *(_laid_over(request, overlay) if overlay else ()), compiled)


def compiled_folder(request: RankRequest) -> str:
    """Return where vamc leaves its result."""
    return f"{_work(request)}/{compiled_name(request)}"


def compiled_name(request: RankRequest) -> str:
    """Name the result as the vendor does: model, precision, tp, prefill's length, longest sequence."""
    deployment = request.deployment
    model, prepare = deployment.model.rstrip("/").rpartition("/")[2], deployment.prepare
    length = deployment.max_model_len or LENGTH
    return f"{model}-{prepare.precision}-tp{request.gang.parallel.tensor}-{prepare.input_len}-{length}"


def calibration_note(request: RankRequest) -> Iterator[str]:
    """Yield which data a quantized model is calibrated with."""
    if request.deployment.prepare.precision == "int8":
        yield f"int8 is calibrated with {CALIBRATION}: put them where the vendor's vamc looks for them"


def _laid_over(request: RankRequest, overlay: str) -> Iterator[Preparation]:
    model, target, work = request.deployment.model_path, _checkpoint(request), _work(request)
    yield Preparation("links to the model's files in it", cmd("cp", "-rs", f"{model}/.", target), {}, folder=work)
    laid = cmd("cp", "--remove-destination", "-r", f"{overlay}/.", target)
    yield Preparation("the vendor's files over them", laid, {}, folder=work)


def _work(request: RankRequest) -> str:
    return request.deployment.prepare.folder or f"{request.deployment.model_path}-vacc"


def _checkpoint(request: RankRequest) -> str:
    overlaid = request.deployment.prepare.overlay is not None
    return f"{_work(request)}/checkpoint" if overlaid else str(request.deployment.model_path)


def _made_in(request: RankRequest) -> str:
    return _checkpoint(request) if request.deployment.prepare.overlay else _work(request)


def _configuration(request: RankRequest) -> str:
    """Write what `vamc compile` reads."""
    deployment = request.deployment
    prepare, length = deployment.prepare, deployment.max_model_len or LENGTH
    quantize = ["  quantize:", "    type: w8a16_gptq"] if prepare.precision == "int8" else []
    rows = [
        f"name: {compiled_name(request)}",
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

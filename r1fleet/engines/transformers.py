"""Hugging Face's transformers: `transformers serve` for a small model on one device, and its chat in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from r1fleet.command import Command, cmd
from r1fleet.engines.derive import DERIVES
from r1fleet.engines.interface import RankRequest
from r1fleet.engines.network import device_environment
from r1fleet.engines.openai import Server, refuse_accelerator, refuse_prepare
from r1fleet.engines.options import Written
from r1fleet.engines.spellings import Spelling
from r1fleet.errors import SpecError
from r1fleet.spec import Deployment
from r1fleet.topology.models import ModelShape

OWNED: Final[Mapping[str, str]] = {
    "host": "use the deployment's key bind",
    "port": "use the deployment's key port",
    "non-blocking": "leave it out: the process is kept alive by the runtime",
}


class Transformers(Server):
    """transformers 5.23, on CUDA and CPU."""

    name = "transformers"
    keyless = "takes none"

    def refuse(self, name: str, deployment: Deployment, shape: ModelShape | None) -> None:
        """Raise SpecError for what transformers cannot do."""
        refuse_accelerator(name, self.name, deployment, "nvidia", "cpu")
        refuse_prepare(name, self.name, deployment, *DERIVES)
        if deployment.job is not None and not deployment.job.interactive:
            raise SpecError(
                f"deployment {name}: transformers answers a person or an endpoint's clients, not a list of prompts",
                hint="leave job.input and job.prompts out, or use engine: vllm or lmdeploy",
            )
        if deployment.max_model_len is not None:
            raise SpecError(
                f"deployment {name}: `transformers serve` has no longest sequence to set",
                hint="leave max_model_len out; what an answer may have is said in each request",
            )

    def command(self, request: RankRequest) -> Command:
        """Return the server's command."""
        deployment = request.deployment
        spell = Spelling(self.name, deployment.engine_version).words
        return cmd(
            request.started(spell("program")),
            deployment.model_path,
            spell("bind", deployment.bind),
            spell("port", deployment.port),
            _written(request).words(),
            env=dict(device_environment(request)) | {"HF_HUB_OFFLINE": "1"} | deployment.env,
        )

    def clients(self, request: RankRequest, endpoint: str) -> tuple[Command, ...]:
        """Return the chat in a terminal, with the generation settings of `job:`."""
        program, model = request.program("transformers"), request.deployment.model_path
        return (cmd(program, "chat", model, f"{endpoint}/v1", _settings(request.deployment)),)

    def notes(self, request: RankRequest) -> tuple[str, ...]:
        """Tell what was not checked."""
        note = _written(request).note()
        return (note,) if note else ()


def _settings(deployment: Deployment) -> Iterator[str]:
    job = deployment.job
    if job is None:
        return
    if job.temperature:
        yield "do_sample=True"
    told = {"temperature": job.temperature, "top_p": job.top_p, "max_new_tokens": job.max_new_tokens}
    yield from (f"{name}={value}" for name, value in told.items() if value is not None)


def _written(request: RankRequest) -> Written:
    deployment = request.deployment
    return Written(request.name, "transformers", deployment.engine_version, deployment.args, OWNED)

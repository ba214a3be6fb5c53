"""The vendor's engine for distilled models on Vastai cards: vamc compiles the model, `vastgenx serve` answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from r1fleet.command import Command, cmd
from r1fleet.engines.interface import Preparation, RankRequest
from r1fleet.engines.openai import Server, refuse_accelerator, refuse_job, refuse_prepare
from r1fleet.engines.options import Written
from r1fleet.engines.spellings import Spelling
from r1fleet.engines.vamc import (
    PREPARES,
    calibration_note,
    compilations,
    compiled_folder,
    compiled_name,
    refuse_uncompilable,
)
from r1fleet.engines.vastai import dies_of, vastai_environment
from r1fleet.spec import Deployment
from r1fleet.topology.models import ModelShape

OWNED: Final[Mapping[str, str]] = {
    "model": "leave it out: it is what vamc compiled",
    "host": "use the deployment's key bind",
    "port": "use the deployment's key port",
    "llm-devices": "use the deployment's key devices",
    "tensor-parallel-size": "use the deployment's key tensor_parallel",
}


class VastGenX(Server):
    """vastgenx 1.1 and later, as the vendor documents it."""

    name = "vastgenx"
    keyless = "takes none"

    def refuse(self, name: str, deployment: Deployment, shape: ModelShape | None) -> None:
        """Raise SpecError for what vastgenx cannot do."""
        refuse_accelerator(name, self.name, deployment, "vastai")
        refuse_job(name, self.name, deployment)
        refuse_prepare(name, self.name, deployment, *PREPARES)
        refuse_uncompilable(name, deployment, shape)

    def command(self, request: RankRequest) -> Command:
        """Return the server's command."""
        deployment = request.deployment
        spell = Spelling(self.name, deployment.engine_version).words
        return cmd(
            request.started(spell("program")),
            spell("model", compiled_folder(request)),
            spell("bind", deployment.bind),
            spell("port", deployment.port),
            spell("devices", f"[{','.join(map(str, dies_of(request)))}]"),
            _written(request).words(),
            env=dict(vastai_environment(request)) | deployment.env,
        )

    def reads(self, request: RankRequest) -> tuple[str, ...]:
        """Return the host's folders that the command reads: what vamc compiled."""
        return (compiled_folder(request),)

    def preparations(self, request: RankRequest) -> tuple[Preparation, ...]:
        """Return the steps of vamc: lay the vendor's files over the model, compile it."""
        return compilations(request)

    def notes(self, request: RankRequest) -> tuple[str, ...]:
        """Tell what was not checked, and what must be brought."""
        return tuple(_notes(request))


def _written(request: RankRequest) -> Written:
    deployment = request.deployment
    return Written(request.name, "vastgenx", deployment.engine_version, deployment.args, OWNED)


def _notes(request: RankRequest) -> Iterator[str]:
    yield f"clients call the model {compiled_name(request)}, as vamc named it"
    yield from calibration_note(request)
    note = _written(request).note()
    if note:
        yield note

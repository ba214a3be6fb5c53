"""The vendor's engine for distilled models on Vastai cards: vamc compiles the model, `vastgenx serve` answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from r1fleet.command import Command, cmd
from r1fleet.engines.compiled import Compiled
from r1fleet.engines.interface import RankRequest
from r1fleet.engines.options import Written
from r1fleet.engines.spellings import Spelling
from r1fleet.engines.vamc import calibration_note, compiled_folder, compiled_name
from r1fleet.engines.vastai import dies_of, vastai_environment

OWNED: Final[Mapping[str, str]] = {
    "model": "leave it out: it is what vamc compiled",
    "host": "use the deployment's key bind",
    "port": "use the deployment's key port",
    "llm-devices": "use the deployment's key devices",
    "tensor-parallel-size": "use the deployment's key tensor_parallel",
}


class VastGenX(Compiled):
    """vastgenx 1.1 and later, as the vendor documents it."""

    name = "vastgenx"

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

"""VastaiTech's llmdeploy, which vastgenx replaced: vamc compiles the model, a file of its own says how it is served."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from r1fleet.command import Command, cmd
from r1fleet.engines.compiled import Compiled
from r1fleet.engines.interface import RankRequest
from r1fleet.engines.options import Written
from r1fleet.engines.spellings import Spelling
from r1fleet.engines.vamc import calibration_note, compiled_name
from r1fleet.engines.vastai import dies_of, vastai_environment
from r1fleet.errors import SpecError
from r1fleet.spec import Deployment
from r1fleet.topology.gang import Gang

CONFIGURATION: Final = "llmdeploy.yaml"
PORTS: Final = 2
"""Its processes publish to and subscribe from one another."""
NEEDED: Final[Mapping[str, str]] = {
    "model-deploy-config": "the `..._deploy.json` that vamc wrote into its result",
    "tp-elf-path-list": "the list of the vendor's programs for the cards",
}
"""What cannot be derived: the vendor names these files differently from model to model."""
DEFAULTS: Final[Mapping[str, Any]] = {"batch_size": 16, "top_k": 1, "top_p": 1.0, "temperature": 0.0}
"""As in the vendor's own example."""
OWNED: Final[Mapping[str, str]] = {
    "model-name": "leave it out: it is the model that vamc compiled",
    "model-infer-type": "leave it out: a model is divided by tensor parallel",
    "tp-device-ids-list": "use the deployment's key devices",
    "publish-port": "use the deployment's key rendezvous_port",
    "subscribe-port": "leave it out: it is the port after rendezvous_port",
    "server-host": "use the deployment's key bind",
    "server-port": "use the deployment's key port",
    "max-answer-tokens": "use the deployment's key max_model_len",
}


class LLMDeploy(Compiled):
    """llmdeploy 1.6 (not LMDeploy), as the vendor documented it."""

    name = "llmdeploy"

    def ports(self, deployment: Deployment, gang: Gang) -> int:
        """Return how many ports, from the rendezvous port on, its processes take."""
        return PORTS

    def command(self, request: RankRequest) -> Command:
        """Return the server's command, which reads a file of the launch's folder."""
        spell = Spelling(self.name, request.deployment.engine_version).words
        return cmd(
            request.started(spell("program")),
            f"{request.folder}/{CONFIGURATION}",
            env=dict(vastai_environment(request)) | request.deployment.env,
        )

    def files(self, request: RankRequest) -> Mapping[str, str]:
        """Return the file that says how the model is served."""
        return {CONFIGURATION: yaml.safe_dump(_configuration(request), sort_keys=False, allow_unicode=True)}

    def reads(self, request: RankRequest) -> tuple[str, ...]:
        """Return the host's folders that the command reads: what vamc compiled, and the vendor's programs."""
        options = _options(request)
        return (*super().reads(request), *map(str, options["tp-elf-path-list"]))

    def notes(self, request: RankRequest) -> tuple[str, ...]:
        """Tell what was not checked, and what must be brought."""
        return (
            "the vendor has replaced llmdeploy by vastgenx; that its two ports are TCP ports is not documented",
            *calibration_note(request),
        )


def _configuration(request: RankRequest) -> Mapping[str, Any]:
    deployment, first = request.deployment, request.gang.rendezvous_port
    model: dict[str, Any] = {
        "model_name": compiled_name(request),
        **DEFAULTS,
        "model_infer_type": "tp",
        "publish_port": first,
        "subscribe_port": first + 1,
        "tp_device_ids_list": list(dies_of(request)),
    }
    model |= {"max_answer_tokens": deployment.max_model_len} if deployment.max_model_len else {}
    model |= {option.replace("-", "_"): value for option, value in _options(request).items()}
    return {"model": model, "api": {"server_host": deployment.bind, "server_port": deployment.port}}


def _options(request: RankRequest) -> Mapping[str, Any]:
    """Return the checked ``args``; raises SpecError where what only the user knows is missing."""
    deployment = request.deployment
    options = Written(request.name, "llmdeploy", deployment.engine_version, deployment.args, OWNED).checked()
    missing = list(_missing(options))
    if missing:
        raise SpecError(
            f"deployment {request.name}: llmdeploy needs args.{missing[0][0].replace('-', '_')}: {missing[0][1]}",
            hint="or use engine: vastgenx, which needs neither",
        )
    return options


def _missing(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for option, what in NEEDED.items():
        if not options.get(option):
            yield option, what

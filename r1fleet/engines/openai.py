"""What engines with an OpenAI-compatible server have in common; each says only what is its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from r1fleet.command import Command
from r1fleet.engines.derive import derivations
from r1fleet.engines.interface import Kind, Preparation, RankRequest
from r1fleet.engines.spellings import KNOWN, Spelling
from r1fleet.errors import SpecError
from r1fleet.spec import Deployment
from r1fleet.topology.gang import Gang


class Server:
    """An engine that serves chat completions, takes one port to meet, and reads a hub's files."""

    name: ClassVar[str]
    completion_path = "/v1/chat/completions"
    leader_stops_first = False
    keyless: ClassVar[str] = ""
    """Why no API key can be given so that it stays secret; empty where it can."""

    def kind_of(self, deployment: Deployment) -> Kind:
        """Tell what the deployment is: a service."""
        return "service"

    def lacks(self, deployment: Deployment) -> Mapping[str, str]:
        """Say which kinds of division this version does not have."""
        return Spelling(self.name, deployment.engine_version).lacks()

    def ports(self, deployment: Deployment, gang: Gang) -> int:
        """Return how many ports, from the rendezvous port on, the leader takes."""
        return 1

    def files(self, request: RankRequest) -> Mapping[str, str]:
        """Return the files that the command reads in the launch's folder, by name."""
        return {}

    def reads(self, request: RankRequest) -> tuple[str, ...]:
        """Return the host's folders that the command reads: the model's."""
        return (str(request.deployment.model_path),)

    def preparations(self, request: RankRequest) -> tuple[Preparation, ...]:
        """Return the steps that make of a download what the engine reads."""
        return tuple(derivations(request))

    def clients(self, request: RankRequest, endpoint: str) -> tuple[Command, ...]:
        """Return programs of the engine's own that talk to it."""
        return ()

    def secret_environment(self, api_key: str) -> Mapping[str, str]:
        """Refuse, unless the engine says how it takes a key."""
        raise self._no_key("it")

    def refuse_secret(self, name: str) -> None:
        """Raise SpecError where the engine takes no key that stays secret."""
        if self.keyless:
            raise self._no_key(f"deployment {name}")

    def completion_request(self, model: str, prompt: str, *, max_tokens: int) -> Mapping[str, Any]:
        """Return the body of a chat completion request whose answer does not vary."""
        return {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": max_tokens,
            "temperature": 0,
        }

    def _no_key(self, what: str) -> SpecError:
        return SpecError(
            f"{what} has an api_key, but {KNOWN[self.name].label} {self.keyless}",
            hint="leave api_key out and put a proxy that checks keys before it, or use engine: vllm",
        )


_OTHERWISE: Final[Mapping[str, str]] = {
    "vastgenx": "set `accelerator: vastai`",
    "llmdeploy": "set `accelerator: vastai`; LMDeploy, for NVIDIA's, is engine: lmdeploy",
}


def refuse_accelerator(name: str, engine: str, deployment: Deployment, *able: str) -> None:
    """Refuse an accelerator that an engine is not planned for."""
    if deployment.accelerator not in able:
        raise SpecError(
            f"deployment {name}: {KNOWN[engine].label} is not planned for accelerator {deployment.accelerator}",
            hint=_OTHERWISE.get(engine, "use engine: vllm"),
        )


def refuse_job(name: str, engine: str, deployment: Deployment) -> None:
    """Refuse a job where an engine only serves."""
    if deployment.job is not None:
        raise SpecError(
            f"deployment {name}: {KNOWN[engine].label} is planned as a service only, not as a job",
            hint="leave `job:` out and ask the endpoint, or use engine: vllm, lmdeploy or deepseek",
        )


def refuse_prepare(name: str, engine: str, deployment: Deployment, *able: str) -> None:
    """Refuse keys of ``prepare`` that an engine has no use for."""
    for key in sorted(deployment.prepare.model_fields_set):
        if key not in (*able, "download"):
            raise SpecError(
                f"deployment {name}: prepare.{key} means nothing to {KNOWN[engine].label}",
                hint=f"its keys are {', '.join(able)}" if able else "leave `prepare:` out",
            )

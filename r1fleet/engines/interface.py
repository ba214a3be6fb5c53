"""What an engine is: it turns one rank of a plan into a command, and says how it is asked and stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from r1fleet.command import Command
from r1fleet.spec import Deployment
from r1fleet.topology.gang import Gang, Node
from r1fleet.topology.models import ModelShape

Kind = Literal["service", "job"]


@dataclass(frozen=True, slots=True)
class RankRequest:
    """One rank, with everything an engine may look at.

    ``deployment`` has its defaults resolved; ``programs`` is the folder of the engine's programs, empty where the PATH
    of an image finds them; ``folder`` is where the files of this launch lie on the host; ``shape`` is None where the
    model is not known.
    """

    name: str
    deployment: Deployment
    gang: Gang
    node: Node
    programs: str = ""
    folder: str = ""
    shape: ModelShape | None = None

    @property
    def leads(self) -> bool:
        """Whether this is the rank that serves."""
        return self.node.rank == 0

    @property
    def hosts(self) -> int:
        """Return how many hosts the gang has."""
        return len(self.gang.nodes)

    @property
    def rendezvous(self) -> str:
        """Return the leader's address and port, as `host:port`."""
        address = self.gang.leader.address
        return (
            f"[{address}]:{self.gang.rendezvous_port}" if ":" in address else f"{address}:{self.gang.rendezvous_port}"
        )

    def program(self, name: str) -> str:
        """Return what to execute for one of the engine's programs."""
        return f"{self.programs.rstrip('/')}/{name}" if self.programs else name

    def started(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """Return the words that start a program, which is the first of them."""
        return (self.program(words[0]), *words[1:])


@dataclass(frozen=True, slots=True)
class Preparation:
    """One step that makes of a download what the engine reads.

    ``files`` must be there before, by path; ``folder`` is where the result lies; ``stdin`` is what the command reads.
    """

    why: str
    command: Command
    files: Mapping[str, str]
    folder: str = ""
    stdin: str = ""


class Engine(Protocol):
    """A pure adapter; it reads nothing and reaches no host."""

    @property
    def name(self) -> str:
        """The name that deployments use."""

    @property
    def completion_path(self) -> str:
        """The path of the URL that answers chat completions."""

    @property
    def leader_stops_first(self) -> bool:
        """Whether the other ranks ignore SIGTERM until the leader is gone."""

    def kind_of(self, deployment: Deployment) -> Kind:
        """A service is ready when a completion answers; a job is done when rank 0 ends with 0."""

    def refuse(self, name: str, deployment: Deployment, shape: ModelShape | None) -> None:
        """Raise SpecError for what the engine cannot do, before anything is divided."""

    def lacks(self, deployment: Deployment) -> Mapping[str, str]:
        """Say which kinds of division this version does not have, each with its reason."""

    def ports(self, deployment: Deployment, gang: Gang) -> int:
        """Return how many ports, from the rendezvous port on, the leader takes."""

    def command(self, request: RankRequest) -> Command:
        """Return the rank's exact command; raises SpecError for what the engine cannot do."""

    def files(self, request: RankRequest) -> Mapping[str, str]:
        """Return the files that the command reads in the launch's folder, by name."""

    def reads(self, request: RankRequest) -> tuple[str, ...]:
        """Return the host's folders that the command reads, which a container must be given."""

    def preparations(self, request: RankRequest) -> tuple[Preparation, ...]:
        """Return the steps that make of a download what the engine reads, in order."""

    def clients(self, request: RankRequest, endpoint: str) -> tuple[Command, ...]:
        """Return programs of the engine's own that talk to it, for a person to start."""

    def notes(self, request: RankRequest) -> tuple[str, ...]:
        """Tell what a person should know about this command."""

    def secret_environment(self, api_key: str) -> Mapping[str, str]:
        """Return the variables that carry the key; raises SpecError where the engine has no safe way."""

    def refuse_secret(self, name: str) -> None:
        """Raise SpecError where the engine takes no key by environment or file."""

    def completion_request(self, model: str, prompt: str, *, max_tokens: int) -> Mapping[str, Any]:
        """Return the body of a chat completion request."""

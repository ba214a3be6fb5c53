"""The ask use case: a question, or a conversation, with a launched endpoint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from r1fleet.errors import FleetError, HostFailed, UsageError, Where
from r1fleet.events import Observer, Said, ignore
from r1fleet.inventory import Host
from r1fleet.status.contact import Access, Contact
from r1fleet.status.judge import FAILED, STOPPED, deployment_state, gangs_of
from r1fleet.status.record import DeploymentRecord, GangRecord
from r1fleet.status.route import Piece, Route, route_to
from r1fleet.status.survey import Survey, survey

GENERATES = frozenset({"sglang"})
"""Engines that have ``/generate`` beside the OpenAI protocol."""


@dataclass(frozen=True, slots=True)
class AskOptions:
    """What to ask, of which deployment (the only one there is when None) and replica (one that is ready when None).

    What is None of the rest is left to the engine; ``seconds`` is the longest silence that is borne.
    """

    prompt: str = ""
    deployment: str | None = None
    replica: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    seconds: float = 120.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and by which way; ``first`` is when the first word came, ``finish`` why it ended."""

    text: str
    thought: str
    model: str
    seconds: float
    first: float
    tokens: int | None
    finish: str
    url: str


@dataclass(slots=True)
class _Heard:
    """An answer that is on its way."""

    text: str = ""
    thought: str = ""
    end: Piece = field(default_factory=dict)


class Conversation:
    """Turns with one endpoint; what was said is sent again with every turn, as the protocol wants it."""

    def __init__(self, record: DeploymentRecord, route: Route, options: AskOptions) -> None:
        self.name = record.name
        self.model = record.model
        self.engine = record.engine
        self.url = route.url
        self._route = route
        self._options = options
        self._said: list[dict[str, str]] = []

    def say(self, text: str, observer: Observer = ignore) -> Answer:
        """Say something and hear the answer, told in pieces as it comes.

        Interrupted, what has come so far stays part of the conversation; failed, the turn is forgotten.
        """
        self._said.append({"role": "user", "content": text})
        heard = _Heard()
        try:
            self._hear(heard, observer)
        except KeyboardInterrupt:
            self._keep(heard)
            raise
        except FleetError as error:
            self._said.pop()
            raise self._explained(error) from error
        self._keep(heard)
        end = heard.end
        shown = ("seconds", "first", "tokens", "finish")
        return Answer(heard.text, heard.thought, end["model"] or self.model, **{k: end[k] for k in shown}, url=self.url)

    def generate(self, text: str, observer: Observer = ignore) -> Answer:
        """Let the engine go on with a text, by SGLang's own ``/generate``."""
        if self.engine not in GENERATES:
            raise UsageError(f"{self.engine} has no /generate", hint="leave --generate out")
        sampling = {"max_new_tokens": self._options.max_tokens, "temperature": self._options.temperature}
        given = {name: value for name, value in sampling.items() if value is not None}
        try:
            said = self._route.generate(text, given, self._options.seconds)
        except FleetError as error:
            raise self._explained(error) from error
        observer(Said(self.name, said["text"]))
        took = said["seconds"]
        return Answer(said["text"], "", self.model, took, took, said["tokens"], said["finish"], self.url)

    def _hear(self, heard: _Heard, observer: Observer) -> None:
        options = self._options
        body: dict[str, Any] = {"model": self.model, "messages": self._said}
        given = {"max_tokens": options.max_tokens, "temperature": options.temperature}
        body.update({name: value for name, value in given.items() if value is not None})
        with closing(self._route.converse(body, options.seconds)) as pieces:
            for piece in pieces:
                heard.end = piece.get("end", heard.end)
                heard.text += piece.get("text", "")
                heard.thought += piece.get("thought", "")
                if "end" not in piece:
                    observer(Said(self.name, piece.get("text") or piece["thought"], "thought" in piece))

    def _keep(self, heard: _Heard) -> None:
        """Keep the answer without the thoughts: models are not to be given those again."""
        if heard.text:
            self._said.append({"role": "assistant", "content": heard.text})
        else:
            self._said.pop()

    def _explained(self, error: FleetError) -> FleetError:
        hint = error.hint or f"r1fleet status; r1fleet logs {self.name}"
        return type(error)(error.what, where=error.where, hint=hint)


@contextmanager
def conversation(hosts: Iterable[Host], access: Access, options: AskOptions) -> Iterator[Conversation]:
    """Find the endpoint and the way to it: straight where no key is needed and it is reached, else by its leader."""
    with Contact(access, hosts) as contact:
        seen = survey(contact, options.deployment)
        record = seen.one(options.deployment)
        gang = _gang(record, seen, options.replica)
        contact.keep(gang.leader)
        yield Conversation(record, route_to(contact, record, gang), options)


def ask(hosts: Iterable[Host], access: Access, options: AskOptions, observer: Observer = ignore) -> Answer:
    """Ask one question."""
    with conversation(hosts, access, options) as talk:
        return talk.say(options.prompt, observer)


def _gang(record: DeploymentRecord, seen: Survey, replica: int | None) -> GangRecord:
    """Pick a gang that answers, by what its judge has said; refuse where nothing runs that could."""
    views = seen.current_views(record)
    state, detail = deployment_state(record, views, seen.absent(record))
    if not record.endpoints:
        hint = f"r1fleet logs {record.name}"
        raise UsageError(f"{record.name} is a job and has no endpoint", hint=hint)
    judged = gangs_of(views.values())
    ready = [gang for gang in record.gangs if gang.replica in judged and judged[gang.replica].ready]
    if state == STOPPED or (state == FAILED and not ready):
        hint = f"r1fleet launch {record.name}" if state == STOPPED else f"r1fleet status; r1fleet restart {record.name}"
        why = f": {detail}" if detail else ""
        raise HostFailed(f"{record.name} has {state}{why}", where=Where(host=record.leader), hint=hint)
    if replica is None:
        return (ready or list(record.gangs))[0]
    by_number = {gang.replica: gang for gang in record.gangs}
    if replica not in by_number:
        raise UsageError(f"{record.name} has no replica {replica}", hint=f"it has 0 to {max(by_number)}")
    return by_number[replica]

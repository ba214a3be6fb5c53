"""The ask use case: one chat completion from a launched endpoint."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from r1fleet.agent.completion import NoAnswer, complete
from r1fleet.errors import HostFailed, Where
from r1fleet.inventory import Host
from r1fleet.status.contact import Access, Contact
from r1fleet.status.record import DeploymentRecord, GangRecord
from r1fleet.status.survey import survey

DIRECT_SECONDS = 5.0
"""How long the controller itself waits for the endpoint before it asks by way of the leader."""


@dataclass(frozen=True, slots=True)
class AskOptions:
    """What to ask, and of which deployment (the only one there is when None)."""

    prompt: str
    deployment: str | None = None
    max_tokens: int = 256
    seconds: float = 120.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and by which way."""

    text: str
    model: str
    seconds: float
    tokens: int | None
    url: str


def ask(hosts: Iterable[Host], access: Access, options: AskOptions) -> Answer:
    """Ask the deployment's first endpoint: directly where no key is needed and it is reached, else from its leader."""
    with Contact(access, hosts) as contact:
        record = survey(contact, options.deployment).one(options.deployment)
        gang = record.gangs[0]
        return _direct(record, options) or _from_leader(contact, record, gang, options)


def _direct(record: DeploymentRecord, options: AskOptions) -> Answer | None:
    if record.key_file or not record.endpoints:
        return None
    url = record.endpoints[0]
    if not _reaches(url):
        return None
    try:
        reply = complete(url, record.model, options.prompt, max_tokens=options.max_tokens, timeout=options.seconds)
    except NoAnswer as error:
        hint = f"r1fleet status; r1fleet logs {record.name}"
        raise HostFailed(f"{url}: {error}", where=Where(host=record.leader), hint=hint) from error
    return Answer(reply["text"], reply["model"], reply["seconds"], reply["tokens"], url)


def _from_leader(contact: Contact, record: DeploymentRecord, gang: GangRecord, options: AskOptions) -> Answer:
    try:
        reply = contact.ask(
            gang.leader,
            "fleet_ask",
            {
                "url": gang.url,
                "model": record.model,
                "prompt": options.prompt,
                "max_tokens": options.max_tokens,
                "seconds": options.seconds,
                "key_file": record.key_file,
                "key_name": record.key_name,
            },
        )
    except HostFailed as error:
        raise HostFailed(error.what, where=error.where, hint=f"r1fleet status; r1fleet logs {record.name}") from error
    return Answer(reply["text"], reply["model"], reply["seconds"], reply["tokens"], f"{gang.url} on {gang.leader}")


def _reaches(url: str) -> bool:
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), DIRECT_SECONDS):
            return True
    except OSError:
        return False

"""What a hub means when it refuses, and what to do about it."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from r1fleet.modules._hub_tokens import PLACES

LASTING = ("route", "busy", "token", "licence", "html", "model", "revision", "listing")
"""Reasons for which a hub will refuse every other file, too."""


class Asked(NamedTuple):
    """What a hub was asked for: a model, a file of it, or a revision of it."""

    model: str
    path: str = ""
    revision: str = ""

    def __str__(self) -> str:
        """Name it."""
        return self.path or (self.revision and "%s at %s" % (self.model, self.revision)) or self.model


class Refused(Exception):
    """A hub does not give what it was asked for, and asking again would not help."""

    def __init__(self, reason: str, text: str, todo: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text
        self.todo = todo

    @property
    def is_mendable(self) -> bool:
        """Tell whether the user can do something about it at this hub."""
        return self.reason in ("licence", "token")

    @property
    def is_lasting(self) -> bool:
        """Tell whether the hub will refuse every other file, too."""
        return self.reason in LASTING


def of_answer(hub: Any, status: int, answer: Any, asked: Asked) -> Refused:
    """Read an answer of 400 to 499."""
    code = answer.headers.get("X-Error-Code", "")
    told = _plain(answer.headers.get("X-Error-Message", "") or _message(answer))
    model = asked.model
    if code == "GatedRepo" or (status == 403 and hub.kind == "modelscope"):
        return _gated(hub, model, told)
    if code == "RevisionNotFound":
        text = "%s: %s has no revision %s" % (hub.name, model, asked.revision)
        return Refused("revision", text, "see its revisions at %s/%s/tree/main" % (hub.endpoint, model))
    if code == "EntryNotFound" or (status == 404 and asked.path):
        return Refused(
            "file", "%s: %s is not there" % (hub.name, asked.path), "list the model again: it may have changed"
        )
    if status in (401, 403) and (code != "RepoNotFound" or hub.has_token and "credentials" in told.lower()):
        return _denied(hub, model, told)
    if status in (401, 404):
        return _absent(hub, model)
    text = "%s: it refuses %s: %d %s" % (hub.name, asked, status, told or answer.reason)
    return Refused("refused", text, "take another source")


def _gated(hub: Any, model: str, told: str) -> Refused:
    page = "%s/%s" % (hub.endpoint, model if hub.kind == "huggingface" else "models/" + model)
    if hub.has_token:
        text = "%s: the token's account has not been let in to %s%s" % (hub.name, model, " (%s)" % told if told else "")
        return Refused("licence", text, "accept the licence with that account at %s, then try again" % page)
    text = "%s: %s is open only to those who have accepted its licence, and there is no token" % (hub.name, model)
    return Refused("licence", text, "accept it at %s, and set %s" % (page, PLACES[hub.kind]))


def _denied(hub: Any, model: str, told: str) -> Refused:
    if hub.has_token:
        text = "%s: the token is not accepted for %s%s" % (hub.name, model, " (%s)" % told if told else "")
        return Refused(
            "token", text, "renew the token, or give it the right to read; it comes from %s" % PLACES[hub.kind]
        )
    if not hub.trusted:
        text = "%s: it wants a token for %s, and is shown none" % (hub.name, model)
        return Refused("token", text, "only a hub that you name gets your token: name it with --from")
    return Refused("token", "%s: it wants a token for %s" % (hub.name, model), "set %s" % PLACES[hub.kind])


def _absent(hub: Any, model: str) -> Refused:
    private = "or the token's account may not see it" if hub.has_token else "or it is private and there is no token"
    text = "%s: there is no model %s, %s" % (hub.name, model, private)
    todo = "look for it at %s; its name is written owner/name. A token comes from %s" % (hub.endpoint, PLACES[hub.kind])
    return Refused("model", text, todo)


def _message(answer: Any) -> str:
    """Return what a refusal says of itself in its body."""
    try:
        told = json.loads(answer.read(65536).decode("utf-8"))
        found = told.get("Message") or told.get("error") or ""
    except (OSError, ValueError, AttributeError, RecursionError):
        return ""
    return str(found)


def _plain(told: str) -> str:
    """Make one short line of what a hub says; it may say anything to a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in told).strip()[:200]

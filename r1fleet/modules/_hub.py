"""Ask a hub over HTTP: the user's token for that hub alone, patience where it helps, refusals in words."""

from __future__ import annotations

import email.utils
import http.client
import json
import os
import re
import ssl
import threading
import time
import urllib.parse
import urllib.request
from typing import Any, NamedTuple

from r1fleet.agent.context import Context
from r1fleet.modules import _hub_tokens
from r1fleet.modules._http import opened
from r1fleet.modules._hub_refusals import Asked, Refused, of_answer

_LONGEST_WAIT = 330.0  # Hugging Face counts requests in windows of five minutes
_LONGEST_PAUSE = 30.0
_TODO = {
    "busy": "try again later (what has come is kept), or take another source",
    "route": "give that machine a route or a proxy (https_proxy), fetch on one that has it, or take another source",
    "range": "take another source",
}
_LONGEST_ANSWER = 256 * 1024 * 1024


class Stopped(Exception):
    """The call is ending: nothing more is to be done."""


class Broken(Exception):
    """This attempt has failed, another may succeed; ``wait`` is what the hub asked for, in seconds."""

    def __init__(self, text: str, wait: float | None = None, reason: str = "busy") -> None:
        super().__init__(text)
        self.text = text
        self.wait = wait
        self.reason = reason


class Patience(NamedTuple):
    """How often to try without a new byte, the first pause, how long a silence may last; ``stop`` ends all waiting."""

    attempts: int
    pause: float
    silence: float
    stop: threading.Event

    def wait(self, seconds: float) -> None:
        """Wait, unless the call ends meanwhile."""
        if self.stop.wait(seconds):
            raise Stopped


class Hub:
    """One hub, as the controller described it."""

    def __init__(self, ctx: Context, row: dict[str, str], patience: Patience) -> None:
        self._ctx = ctx
        self.name = row["name"]
        self.kind = row["kind"]
        self.endpoint = row["endpoint"].rstrip("/")
        self.trusted = bool(row.get("trusted"))
        self._token = row.get("token") or (self.trusted and _hub_tokens.find(self.kind, os.environ)) or ""
        self.patience = patience
        self._free_at = 0.0  # all workers wait together when the hub is asked too often

    @property
    def has_token(self) -> bool:
        """Tell whether it is shown a token."""
        return bool(self._token)

    def json(self, path: str, asked: Asked) -> tuple[Any, str]:
        """Return the answer to a question of its interface, and the address of the next page, if there is one."""
        answer: tuple[Any, str] = self.persist(lambda: self._json(path, asked))
        return answer

    def open(self, path: str, asked: Asked, start: int = 0) -> Any:
        """Open a file from a byte on; raises Broken where another attempt may succeed."""
        headers = {"Range": "bytes=%d-" % start} if start else {}
        answer = self._answer(path, asked, headers)
        kind = answer.headers.get("Content-Type", "")
        if kind.startswith("text/html") and not asked.path.endswith((".html", ".htm")):
            answer.close()
            raise self._web_page()
        return answer

    def persist(self, attempt: Any, progress: Any = lambda: 0) -> Any:
        """Try until it succeeds, or as often as patience says without progress."""
        failures, before = 0, progress()
        while True:
            self._wait_until_free()
            try:
                return attempt()
            except Broken as broken:
                now = progress()
                failures = 1 if now > before else failures + 1
                before = max(before, now)
                self._pause(broken, failures)

    def _pause(self, broken: Broken, failures: int) -> None:
        patience = self.patience
        if failures >= patience.attempts:
            text = "%s: %s, %d times in a row" % (self.name, broken.text, failures)
            raise Refused(broken.reason, text, _TODO[broken.reason])
        if broken.wait is not None:
            if broken.wait > _LONGEST_WAIT:
                text = "%s: %s, and asks to wait %d s" % (self.name, broken.text, broken.wait)
                raise Refused("busy", text, "try again then (what has come is kept), or take another source")
            self._free_at = max(self._free_at, time.monotonic() + broken.wait)
        else:
            patience.wait(min(patience.pause * 2 ** (failures - 1), _LONGEST_PAUSE))

    def _wait_until_free(self) -> None:
        self.patience.wait(max(0.0, self._free_at - time.monotonic()))

    def _json(self, path: str, asked: Asked) -> tuple[Any, str]:
        with self._answer(path, asked, {"Accept": "application/json"}) as answer:
            try:
                text = answer.read(_LONGEST_ANSWER)
            except (OSError, http.client.HTTPException) as error:
                raise Broken("the answer was cut: %s" % _reason(error)) from error
            link = answer.headers.get("Link", "")
        try:
            return json.loads(text.decode("utf-8")), _next(link)
        except (ValueError, RecursionError) as error:
            raise self._web_page() from error

    def _answer(self, path: str, asked: Asked, headers: dict[str, str]) -> Any:
        request = urllib.request.Request(self.endpoint + path, headers={"User-Agent": "r1fleet", **headers})
        if self._token:
            request.add_header("Authorization", "Bearer " + self._token)
            if self.kind == "modelscope":
                request.add_unredirected_header("Cookie", "m_session_id=" + self._token)
        try:
            answer = opened(self._ctx, request, timeout=self.patience.silence)
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        status = answer.getcode()
        if status < 400:
            return answer
        with answer:
            if status in (408, 429) or status >= 500:
                raise Broken("it answers %d %s" % (status, answer.reason), _retry_after(answer.headers))
            if status != 416 and self._is_storage(answer.geturl()):
                # A signed address that has run out, say: the next attempt gets a new one.
                raise Broken("its storage %s answers %d %s" % (_host(answer.geturl()), status, answer.reason))
            if status == 416:
                raise Broken("it has no byte %s" % headers.get("Range", ""), reason="range")
            raise of_answer(self, status, answer, asked)

    def _is_storage(self, url: str) -> bool:
        return _host(url) != _host(self.endpoint)

    def _unreachable(self, error: Exception) -> Exception:
        cause = getattr(error, "reason", error)
        if isinstance(cause, ssl.SSLCertVerificationError):
            text = "%s: the certificate of %s is not trusted: %s" % (self.name, self.endpoint, _reason(error))
            todo = "add the authority that signed it to the host's certificates (or SSL_CERT_FILE), or mend the clock"
            return Refused("route", text, todo)
        return Broken("no answer from %s: %s" % (self.endpoint, _reason(error)), reason="route")

    def _web_page(self) -> Refused:
        text = "%s: %s answers with a web page in place of its interface" % (self.name, self.endpoint)
        todo = "a proxy or a login page may stand between: look with `curl -I %s`; else take another source"
        return Refused("html", text, todo % self.endpoint)


def _reason(error: Exception) -> str:
    cause = getattr(error, "reason", error)
    return str(getattr(cause, "strerror", None) or cause or type(cause).__name__)


def _host(url: str) -> str:
    return urllib.parse.urlsplit(url).netloc


def _retry_after(headers: Any) -> float | None:
    value = headers.get("Retry-After", "").strip()
    if re.match(r"^\d+(\.\d+)?$", value):
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time()) if value else None
    except (TypeError, ValueError):
        return None


def _next(link: str) -> str:
    """Return path and query of the next page; a mirror may still write the address of the hub that it mirrors."""
    found = re.search(r'<([^>]+)>;\s*rel="?next"?', link)
    if not found:
        return ""
    parts = urllib.parse.urlsplit(found.group(1))
    return urllib.parse.urlunsplit(("", "", parts.path, parts.query, ""))

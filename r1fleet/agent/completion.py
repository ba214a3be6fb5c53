"""One chat completion over HTTP, without proxies: the only proof that a gang serves."""

from __future__ import annotations

import contextlib
import http.client
import json
import shlex
import time
import urllib.error
import urllib.request
from typing import Any, Iterator

BODY_LIMIT = 1 << 20


class NoAnswer(Exception):
    """No completion came; ``status`` is the HTTP status, 0 when nothing spoke HTTP."""

    def __init__(self, what: str, status: int = 0) -> None:
        super().__init__(what)
        self.status = status


def complete(
    base: str,
    model: str,
    prompt: str,
    *,
    key: str = "",
    max_tokens: int = 16,
    timeout: float = 60.0,
) -> dict[str, Any]:
    """Ask ``base``/v1/chat/completions once; returns text, seconds, model and tokens, or raises NoAnswer."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": max_tokens,
        "temperature": 0,
    }
    began = time.monotonic()
    with posted(base, "/v1/chat/completions", body, key=key, timeout=timeout) as reply:
        answer = read_completion(reply.read(BODY_LIMIT))
    del answer["thought"], answer["finish"]
    answer["seconds"] = round(time.monotonic() - began, 3)
    return answer


@contextlib.contextmanager
def posted(base: str, path: str, body: dict[str, Any], *, key: str = "", timeout: float = 60.0) -> Iterator[Any]:
    """Post JSON to an endpoint and yield the reply; whatever goes wrong, while it is read too, is a NoAnswer."""
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = "Bearer " + key
    url = base.rstrip("/")
    url = url[:-3] if url.endswith("/v1") else url
    request = urllib.request.Request(url + path, json.dumps(body).encode(), headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout) as reply:
            yield reply
    except urllib.error.HTTPError as error:
        with error:
            text = error.read(2000).decode("utf-8", "replace").strip()
        raise NoAnswer("HTTP %d: %s" % (error.code, text[:400]), error.code) from error
    except urllib.error.URLError as error:
        raise NoAnswer(str(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(str(error) or type(error).__name__) from error


def key_from(path: str, name: str) -> str:
    """Read one NAME=value of a secrets file; empty when it isn't there."""
    if not path or not name:
        return ""
    with open(path, encoding="utf-8") as stream:
        for line in stream:
            left, _, right = line.strip().partition("=")
            if left.replace("export ", "", 1).strip() == name:
                return "".join(shlex.split(right))
    return ""


def read_completion(raw: bytes) -> dict[str, Any]:
    """Read a whole chat completion; where there is no answer beside the model's thoughts, they are the text."""
    try:
        reply = json.loads(raw.decode("utf-8", "replace"))
        choice = reply["choices"][0]
        text, thought = words_of(choice["message"])
        return {
            "text": text or thought,
            "thought": thought if text else "",
            "model": str(reply.get("model", "")),
            "tokens": (reply.get("usage") or {}).get("completion_tokens"),
            "finish": choice.get("finish_reason") or "",
        }
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        start = raw[:200].decode("utf-8", "replace")
        raise NoAnswer("the answer is no chat completion: %s" % start, 200) from error


def words_of(message: dict[str, Any]) -> tuple[str, str]:
    """Return what a message, or a piece of one, says and what the model thought, which engines name differently."""
    thought = message.get("reasoning_content") or message.get("reasoning") or ""
    return str(message.get("content") or ""), str(thought)

"""One chat completion over HTTP, without proxies: the only proof that a gang serves."""

from __future__ import annotations

import http.client
import json
import shlex
import time
import urllib.error
import urllib.request
from typing import Any

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
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = "Bearer " + key
    url = base.rstrip("/")
    url = url[:-3] if url.endswith("/v1") else url
    request = urllib.request.Request(url + "/v1/chat/completions", json.dumps(body).encode(), headers)
    began = time.monotonic()
    answer = _parse(_post(request, timeout))
    answer["seconds"] = round(time.monotonic() - began, 3)
    return answer


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


def _post(request: urllib.request.Request, timeout: float) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout) as reply:
            return bytes(reply.read(BODY_LIMIT))
    except urllib.error.HTTPError as error:
        with error:
            text = error.read(2000).decode("utf-8", "replace").strip()
        raise NoAnswer("HTTP %d: %s" % (error.code, text[:400]), error.code) from error
    except urllib.error.URLError as error:
        raise NoAnswer(str(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(str(error) or type(error).__name__) from error


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        reply = json.loads(raw.decode("utf-8", "replace"))
        choice = reply["choices"][0]
        message = choice["message"]
        text = message.get("content") or message.get("reasoning_content") or message.get("reasoning") or ""
        usage = reply.get("usage") or {}
        return {"text": str(text), "model": str(reply.get("model", "")), "tokens": usage.get("completion_tokens")}
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        start = raw[:200].decode("utf-8", "replace")
        raise NoAnswer("the answer is no chat completion: %s" % start, 200) from error

"""An endpoint's answer as it comes: a streamed chat completion, or SGLang's own ``/generate``."""

from __future__ import annotations

import json
import time
from typing import Any, Generator, Iterator

from r1fleet.agent.completion import BODY_LIMIT, NoAnswer, posted, read_completion, words_of


def converse(
    base: str, body: dict[str, Any], *, key: str = "", timeout: float = 60.0
) -> Generator[dict[str, Any], None, None]:
    """Ask for a chat completion; yields pieces ``{"text"}`` and ``{"thought"}``, at last ``{"end"}`` with its figures.

    ``timeout`` is for the longest silence. Whoever stops reading closes the connection, by which the engine stops, too.
    """
    began = time.monotonic()
    asked = dict(body, stream=True, stream_options={"include_usage": True})
    first = None
    with posted(base, "/v1/chat/completions", asked, key=key, timeout=timeout) as reply:
        streams = "event-stream" in (reply.headers.get("Content-Type") or "")
        for piece in _streamed(reply) if streams else _whole(reply.read(BODY_LIMIT)):
            if first is None:
                first = time.monotonic() - began
            if "end" in piece:
                piece["end"].update(first=round(first, 3), seconds=round(time.monotonic() - began, 3))
            yield piece


def generate(
    base: str, prompt: str, sampling: dict[str, Any], *, key: str = "", timeout: float = 60.0
) -> dict[str, Any]:
    """Let SGLang's ``/generate`` go on with a text: no chat template, no roles."""
    began = time.monotonic()
    body = {"text": prompt, "sampling_params": sampling}
    with posted(base, "/generate", body, key=key, timeout=timeout) as reply:
        raw = reply.read(BODY_LIMIT)
    try:
        said = json.loads(raw.decode("utf-8", "replace"))
        about = said.get("meta_info") or {}
        finish = about.get("finish_reason") or {}
        return {
            "text": str(said["text"]),
            "tokens": about.get("completion_tokens"),
            "finish": str(finish.get("type", "") if isinstance(finish, dict) else finish),
            "seconds": round(time.monotonic() - began, 3),
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        start = raw[:200].decode("utf-8", "replace")
        raise NoAnswer("the answer is not what /generate answers: %s" % start, 200) from error


def _whole(raw: bytes) -> Iterator[dict[str, Any]]:
    """Cut the answer of an endpoint that does not stream."""
    said = read_completion(raw)
    if said["thought"]:
        yield {"thought": said["thought"]}
    yield {"text": said["text"]}
    yield {"end": {name: said[name] for name in ("model", "tokens", "finish")}}


def _streamed(reply: Any) -> Iterator[dict[str, Any]]:
    end = {"model": "", "tokens": None, "finish": ""}
    over = False
    for line in reply:
        data = line[5:].strip() if line.startswith(b"data:") else b""
        if data == b"[DONE]":
            over = True
            break
        if data:
            yield from _read(data, end)
    if not over and not end["finish"]:
        raise NoAnswer("the answer broke off")
    yield {"end": end}


def _read(data: bytes, end: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Read one event: its words are yielded, its figures kept in ``end``."""
    try:
        event = json.loads(data.decode("utf-8", "replace"))
        if event.get("error"):
            error = event["error"]
            raise NoAnswer(str(error.get("message") if isinstance(error, dict) else error), 200)
        end["model"] = str(event.get("model") or end["model"])
        end["tokens"] = (event.get("usage") or {}).get("completion_tokens", end["tokens"])
        for choice in event.get("choices") or ():
            end["finish"] = choice.get("finish_reason") or end["finish"]
            text, thought = words_of(choice.get("delta") or {})
            if thought:
                yield {"thought": thought}
            if text:
                yield {"text": text}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        start = data[:200].decode("utf-8", "replace")
        raise NoAnswer("the answer is no chat completion: %s" % start, 200) from error

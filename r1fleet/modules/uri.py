"""Ask a web service."""

from __future__ import annotations

import glob
import json
import os
import time
import urllib.parse
import uuid
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.files import FILE_ARGUMENTS, apply_permissions, digest, install, path_info
from r1fleet.modules._edits import wanted_mode
from r1fleet.modules._http import ARGUMENTS as HTTP_ARGUMENTS
from r1fleet.modules._http import opened, request

ARGUMENTS = dict(
    FILE_ARGUMENTS,
    body={"type": "raw"},
    body_format={"type": "str", "default": "raw", "choices": ["form-urlencoded", "json", "raw", "form-multipart"]},
    creates={"type": "path"},
    removes={"type": "path"},
    dest={"type": "path"},
    follow_redirects={
        "type": "str",
        "default": "safe",
        "choices": ["all", "no", "none", "safe", "urllib2", "yes"],
    },
    force={"type": "bool", "default": False},
    method={"type": "str", "default": "GET"},
    remote_src={"type": "bool", "default": False},
    return_content={"type": "bool", "default": False},
    src={"type": "path"},
    status_code={"type": "list", "elements": "int", "default": [200]},
    timeout={"type": "int", "default": 30},
    _entries={"type": "list", "elements": "dict"},
    **HTTP_ARGUMENTS,
)
ARGUMENTS["url_username"] = {"type": "str", "aliases": ["user"]}
MUTUALLY_EXCLUSIVE = [["body", "src"]]
LOCAL = False
CHECK_MODE = False

_JSON = ("application/json", "application/ld+json")


def run(ctx: Context) -> dict[str, Any]:
    """Send the request and tell what came back; a status outside ``status_code`` is a failure."""
    args = ctx.args
    for argument, wanted, state in (("creates", True, "exists"), ("removes", False, "does not exist")):
        if args[argument] and bool(glob.glob(args[argument])) is wanted:
            text = "skipped, since '{}' {}".format(args[argument], state)
            return {"changed": False, "stdout": text, "stdout_lines": [text]}
    body, kind = _body(ctx)
    headers = {"Content-Type": kind} if kind and not _has_type(ctx) else {}
    built = request(ctx, args["url"], method=args["method"].upper(), data=body, headers=headers)
    started = time.monotonic()
    try:
        with opened(ctx, built, timeout=args["timeout"], redirects=args["follow_redirects"]) as answer:
            content = answer.read()
            reply = _read(answer, args["url"])
    except OSError as error:
        return _unanswered(ctx, error, int(time.monotonic() - started))
    reply["elapsed"] = int(time.monotonic() - started)
    return _judge(ctx, reply, content)


def _unanswered(ctx: Context, error: OSError, elapsed: int) -> dict[str, Any]:
    """Return or fail with status -1: a caller may expect that nobody answers."""
    args = ctx.args
    msg = "Request failed: {}".format(error)
    told = {"status": -1, "url": args["url"], "redirected": False, "elapsed": elapsed}
    if -1 not in args["status_code"]:
        ctx.fail("Status code was -1 and not {}: {}".format(args["status_code"], msg), **told)
    return dict(told, changed=False, msg=msg)


def _has_type(ctx: Context) -> bool:
    return any(name.lower() == "content-type" for name in ctx.args["headers"] or {})


def _body(ctx: Context) -> tuple[bytes | None, str]:
    """Return the request's body and its content type."""
    args = ctx.args
    if args["src"]:
        return _content(ctx, args["src"]), ""
    body = args["body"]
    if body is None:
        return None, ""
    if args["body_format"] == "json":
        return (body if isinstance(body, str) else json.dumps(body)).encode("utf-8"), "application/json"
    if args["body_format"] == "form-urlencoded":
        text = body if isinstance(body, str) else urllib.parse.urlencode(_pairs(body), doseq=True)
        return text.encode("utf-8"), "application/x-www-form-urlencoded"
    if args["body_format"] == "form-multipart":
        return _multipart(ctx, body)
    return (body if isinstance(body, str) else json.dumps(body)).encode("utf-8"), ""


def _content(ctx: Context, name: str) -> bytes:
    """Read a file of the host, or one that the controller offers under its name."""
    offered = next((entry for entry in ctx.args["_entries"] or [] if entry["path"] == name), None)
    try:
        with open(ctx.blob(offered["sha256"]) if offered else name, "rb") as stream:
            return stream.read()
    except OSError as error:
        ctx.fail("Unable to open source file {}: {}".format(name, error.strerror))


def _pairs(body: Any) -> list[tuple[str, Any]]:
    return list(body.items()) if isinstance(body, dict) else [tuple(pair) for pair in body]


def _multipart(ctx: Context, body: Any) -> tuple[bytes, str]:
    if not isinstance(body, dict):
        ctx.fail("failed to parse body as form-multipart: body must be a mapping")
    boundary = uuid.uuid4().hex
    parts = []
    for name, value in body.items():
        field = value if isinstance(value, dict) else {"content": value}
        head = 'Content-Disposition: form-data; name="{}"'.format(name)
        content = field.get("content")
        if field.get("filename"):
            head += '; filename="{}"'.format(os.path.basename(field["filename"]))
            if content is None:
                content = _content(ctx, field["filename"])
        if field.get("mime_type") or field.get("filename"):
            head += "\r\nContent-Type: {}".format(field.get("mime_type") or "application/octet-stream")
        raw = content if isinstance(content, bytes) else str("" if content is None else content).encode("utf-8")
        parts.append("--{}\r\n{}\r\n\r\n".format(boundary, head).encode("utf-8") + raw + b"\r\n")
    return b"".join(parts) + "--{}--\r\n".format(boundary).encode(), "multipart/form-data; boundary=" + boundary


def _read(answer: Any, url: str) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    for name, value in answer.headers.items():
        key = name.lower().replace("-", "_")
        headers[key] = "{}, {}".format(headers[key], value) if key in headers else value
    status, length = answer.getcode(), answer.headers.get("Content-Length", "unknown")
    good = status is None or status < 300
    text = "OK ({} bytes)".format(length) if good else "HTTP Error {}: {}".format(status, answer.reason)
    final = answer.geturl() or url
    if "location" in headers:
        headers["location"] = urllib.parse.urljoin(final, headers["location"])
    cookies = dict(
        pair.split(";", 1)[0].split("=", 1) for pair in answer.headers.get_all("Set-Cookie") or [] if "=" in pair
    )
    told = "; ".join("{}={}".format(name, value) for name, value in cookies.items())
    extra = {"cookies": cookies, "cookies_string": told} if good else {}
    return dict(headers, **extra, changed=False, status=status, msg=text, url=final, redirected=final != url)


def _judge(ctx: Context, reply: dict[str, Any], content: bytes) -> dict[str, Any]:
    args = ctx.args
    accepted = reply["status"] in args["status_code"]
    kind = str(reply.get("content_type", "")).split(";")[0].strip().lower()
    text = content.decode(_charset(reply), "replace")
    if kind in _JSON or kind.endswith("+json"):
        try:
            reply["json"] = json.loads(text)
        except ValueError:
            ctx.warn("{} says that it answers JSON, but it does not parse".format(args["url"]))
    if args["return_content"]:
        reply["content"] = text
    if not accepted:
        reply.pop("changed")
        msg = reply.pop("msg")
        ctx.fail("Status code was {} and not {}: {}".format(reply["status"], args["status_code"], msg), **reply)
    if reply["status"] is not None and reply["status"] >= 300:
        reply["body"] = text
    if args["dest"]:
        reply.update(_save(ctx, reply, content))
    return reply


def _charset(reply: dict[str, Any]) -> str:
    _, found, charset = str(reply.get("content_type", "")).lower().partition("charset=")
    try:
        return charset.strip("\"' ") if found and "".encode(charset.strip("\"' ")) == b"" else "utf-8"
    except LookupError:
        return "utf-8"


def _save(ctx: Context, reply: dict[str, Any], content: bytes) -> dict[str, Any]:
    dest = ctx.args["dest"]
    if os.path.isdir(dest):
        dest = os.path.join(dest, os.path.basename(urllib.parse.urlsplit(reply["url"]).path) or "index.html")
    draft = os.path.join(ctx.scratch(), "answer")
    with open(draft, "wb") as stream:
        stream.write(content)
    if digest(draft, "sha256") != digest(dest, "sha256"):
        install(draft, dest, mode=wanted_mode(ctx, dest), in_place=ctx.args["unsafe_writes"])
    apply_permissions(ctx, dest)
    return dict(path_info(dest), path=dest, changed=True)  # as Ansible calls it, whatever lay there

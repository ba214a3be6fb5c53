"""Look, before a launch, at what would break it on this host; every look is one row of a list."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import socket
from typing import Any

from r1fleet.agent import process, soundness
from r1fleet.agent.context import Context, ModuleFailed
from r1fleet.agent.processes import command_of, listeners, owners
from r1fleet.modules import _images

ARGUMENTS = {"checks": {"type": "list", "required": True}}
LOCAL = True


def run(ctx: Context) -> dict[str, Any]:
    """Answer each row ``{kind, ...}`` with ``{kind, ok, detail, value}``."""
    return {
        "changed": False,
        "answers": [dict(LOOKS[row["kind"]](row), kind=row["kind"]) for row in ctx.args["checks"]],
    }


def _model(row: dict[str, Any]) -> dict[str, Any]:
    path = row["path"]
    if not os.path.isdir(path):
        return _answer(False, "%s is not there" % path)
    if not os.path.isfile(os.path.join(path, "config.json")):
        return _answer(False, "%s holds no config.json" % path)
    return _answer(True, path, _first_hash([os.path.join(path, name) for name in row["manifests"]]))


def _weights(row: dict[str, Any]) -> dict[str, Any]:
    found = list(soundness.problems(row["path"])) if os.path.isdir(row["path"]) else []
    more = " and %d more" % (len(found) - 3) if len(found) > 3 else ""
    return _answer(not found, "; ".join(found[:3]) + more)


def _image(row: dict[str, Any]) -> dict[str, Any]:
    digest, problem = _images.digest_of(row["name"])
    return _answer(not problem, problem or row["name"], digest)


def _container(row: dict[str, Any]) -> dict[str, Any]:
    """Look whether a container that is kept is there, made as it is wanted now, and holds programs."""
    name = row["name"]
    shown = '{{index .Config.Labels "r1fleet.kept"}} {{.State.Running}}'
    try:
        done = process.run(["docker", "inspect", "--type", "container", "--format", shown, "--", name], timeout=30)
        if done.rc:
            return _answer(False, "the container %s is not there" % name)
        digest, runs = done.text.split()[0], done.text.split()[-1] == "true"
        if digest != row["digest"]:
            return _answer(False, "the container %s was made with other settings" % name)
        if not runs:
            return _answer(True, "%s is stopped" % name)
        for path in [path for path in row["paths"] if path.startswith("/")]:
            if process.run(["docker", "exec", name, "test", "-x", path], timeout=30).rc:
                return _answer(False, "%s is not in the container %s, or cannot be run" % (path, name))
        if process.run(["docker", "exec", name, "python3", "-c", ""], timeout=30).rc:
            return _answer(False, "the container %s has no python3" % name)
    except ModuleFailed as failure:
        return _answer(False, failure.msg)
    return _answer(True, name)


def _marker(row: dict[str, Any]) -> dict[str, Any]:
    return _answer(True, "", _first_hash(row["paths"]))


def _executable(row: dict[str, Any]) -> dict[str, Any]:
    path = row["path"]
    if os.path.isfile(path) and os.access(path, os.X_OK):
        return _answer(True, path)
    return _answer(False, "%s is not there or cannot be run" % path)


def _input(row: dict[str, Any]) -> dict[str, Any]:
    there = os.path.exists(row["path"])
    return _answer(there, row["path"] if there else "%s is not there" % row["path"])


def _user(row: dict[str, Any]) -> dict[str, Any]:
    try:
        pwd.getpwnam(row["name"])
    except KeyError:
        return _answer(False, "there is no user %s" % row["name"])
    return _answer(True, row["name"])


def _port(row: dict[str, Any]) -> dict[str, Any]:
    holders = listeners([row["port"]]).get(row["port"])
    if holders is None:
        return _answer(True, "free")
    who = ", ".join("pid %d (%s)" % (pid, command_of(pid)) for pid in sorted(holders)[:3])
    return _answer(False, "port %d (%s) is taken by %s" % (row["port"], row["purpose"], who or "an unknown process"))


def _resolves(row: dict[str, Any]) -> dict[str, Any]:
    """Ask what a name means here: the others must not be sent to their own loopback."""
    name = row["name"]
    try:
        found = sorted({str(entry[4][0]) for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError) as error:
        return _answer(False, "%s does not resolve: %s" % (name, error))
    own = [address for address in found if address.startswith("127.") or address == "::1"]
    if own:
        return _answer(False, "%s resolves to %s, this host's own loopback" % (name, own[0]))
    return _answer(True, ", ".join(found))


def _leftovers(row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, list[int]] = {}
    for pid, names in owners().items():
        for name in names:
            if re.match(row["pattern"], name):
                found.setdefault(name, []).append(pid)
    if not found:
        return _answer(True, "")
    return _answer(False, "; ".join("%s (pid %s)" % (name, pids[0]) for name, pids in sorted(found.items())))


def _first_hash(paths: list[str]) -> str:
    for path in paths:
        try:
            with open(path, "rb") as stream:
                return hashlib.sha256(stream.read(64 << 20)).hexdigest()
        except OSError:
            continue
    return ""


def _answer(ok: bool, detail: str, value: str = "") -> dict[str, Any]:  # noqa: FBT001 -- private, read by its position
    return {"ok": ok, "detail": detail, "value": value}


LOOKS = {
    "model": _model,
    "marker": _marker,
    "executable": _executable,
    "input": _input,
    "user": _user,
    "port": _port,
    "resolves": _resolves,
    "leftovers": _leftovers,
    "weights": _weights,
    "image": _image,
    "container": _container,
}

"""Tell everything about the deployments on this host in one look; changes nothing."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from typing import Any

from r1fleet.agent.context import Context, ModuleFailed
from r1fleet.agent.holes import data_from, without_holes
from r1fleet.agent.processes import main_of, members, oldest, owners, resident
from r1fleet.modules import _gpus, _images

ARGUMENTS = {
    "root": {"type": "path", "default": "/var/lib/r1fleet"},
    "deployment": {"type": "str"},
    "offsets": {"type": "dict", "default": {}},
    "lines": {"type": "int", "default": 0},
    "glance": {"type": "bool", "default": False},
}
LOCAL = True

CHUNK = 64 * 1024
SCAN = 4 << 20
SYNCS, SYNC_FOLDER = "weights", ".sync"  # what syncs lock, and where: models may lie on shared storage
VERDICTS = ("ready", "failed", "progress", "completion")
# Not transfers of the swarm, nor what roles install.
RANK = re.compile(r"r1fleet-(?!swarm-).+-(\d+-(\d+|ready)|kept)$")
ERROR = re.compile(
    r"(\b\w*(Error|Exception)\b.{0,3}(:|$))|\b(ERROR|CRITICAL|FATAL|EADDRINUSE)\b|\berror:|No space left on device"
    r"|^Killed|not found$|Permission denied"
)
NO_ERROR = re.compile(
    r"Traceback \(most recent call last\)|^\s*raise |[Ii]gnor|\b0 errors|\b(WARN|WARNING|INFO|DEBUG)\b"
)


def run(ctx: Context) -> dict[str, Any]:
    """Read plans, locks, ranks, verdicts and logs of one deployment or all."""
    root = ctx.args["root"]
    groups = owners()
    asked = _gpus.asked(ctx) if ctx.args["glance"] and groups else None
    names = [ctx.args["deployment"]] if ctx.args["deployment"] else _folders(root)
    folders = {name: os.path.join(root, SYNC_FOLDER if name == SYNCS else name) for name in names}
    found = [_deployment(ctx, folder, name, groups) for name, folder in folders.items()]
    ranks = [rank for one in found for rank in one["ranks"]]
    if asked:
        _gpus.give(asked, ranks, {rank["name"]: members(groups, rank["name"]) for rank in ranks})
    return {
        "changed": False,
        "now": time.time(),
        "monotonic": time.monotonic(),
        "boot_id": _text("/proc/sys/kernel/random/boot_id"),
        "python": sys.executable,
        "deployments": [one for one in found if one["current"] or one["lock"] is not None or one["problem"]],
        "strays": _strays(ctx, groups, _named(found)) if ctx.args["glance"] else [],
    }


def _folders(root: str) -> list[str]:
    try:
        names = sorted(os.listdir(root))
    except OSError:
        return []
    marks = ("current.json", "lock")
    found = [name for name in names if any(os.path.exists(os.path.join(root, name, mark)) for mark in marks)]
    return [SYNCS if name == SYNC_FOLDER else name for name in found if name != SYNCS]


def _deployment(ctx: Context, folder: str, name: str, groups: dict[int, set[str]]) -> dict[str, Any]:
    view: dict[str, Any] = {"name": name, "problem": "", "plan": None, "ranks": [], "gangs": []}
    view["current"], problem = _json(os.path.join(folder, "current.json"))
    view["lock"] = _lock(os.path.join(folder, "lock"))
    view["generations"] = _generations(folder)
    if view["current"]:
        home = os.path.join(folder, "generations", str(view["current"].get("generation")))
        view["plan"], problem = _json(os.path.join(home, "plan.json"))
        if view["plan"] is None:
            problem = problem or "%s is missing" % os.path.join(home, "plan.json")
        else:
            here = view["current"].get("host")
            mine = [rank for rank in view["plan"]["ranks"] if rank["host"] == here]
            view["ranks"] = [_rank(ctx, rank, groups, view["plan"].get("runtime")) for rank in mine]
            view["gangs"] = [_gang(gang, groups) for gang in view["plan"]["gangs"] if gang["leader"] == here]
    view["problem"] = problem
    return view


def _lock(folder: str) -> Any:
    """Tell who holds a lock: None where nobody does, and nothing of an owner that cannot be read."""
    owner, _ = _json(os.path.join(folder, "owner.json"))
    return {} if not isinstance(owner, dict) and os.path.isdir(folder) else owner


def _rank(ctx: Context, rank: dict[str, Any], groups: dict[int, set[str]], runtime: str) -> dict[str, Any]:
    pids = members(groups, rank["name"])
    return {
        "rank": rank["rank"],
        "replica": rank["replica"],
        "name": rank["name"],
        "inspect": (_alive(rank["name"], pids) if runtime == "venv" else "") or _inspect(ctx, rank["inspect"]),
        "means": _means(ctx, rank.get("image", "")),
        "exit": _exit(rank["exit_record"]),
        "processes": len(pids),
        "resident": resident(pids),
        "seconds": oldest(pids),
        "log": _log(
            rank["log"],
            ctx.args["offsets"].get(rank["log"]),
            ctx.args["lines"],
            errors=not (pids and ctx.args["glance"]),  # looking for errors takes long
        ),
    }


def _alive(service: str, pids: list[int]) -> str:
    """Tell in systemd's words that a service runs, where its processes say so: asking systemd takes far longer."""
    main = main_of(pids, service)
    return "LoadState=loaded\nActiveState=active\nMainPID=%d\n" % main if main else ""


def _inspect(ctx: Context, argv: list[str]) -> str:
    try:
        return ctx.run(argv).text
    except ModuleFailed:
        return ""


def _means(ctx: Context, image: str) -> str:
    """Tell which image a tag means now; whoever watches a launch does not ask it again and again."""
    if not image or "@" in image or ctx.args["offsets"]:
        return ""
    return _images.digest_of(image)[0]


def _gang(gang: dict[str, Any], groups: dict[int, set[str]]) -> dict[str, Any]:
    files = {name: _json(os.path.join(gang["out"], name + ".json"))[0] for name in VERDICTS}
    return dict(files, replica=gang["replica"], judging=bool(members(groups, gang["judge"]["name"])))


def _exit(path: str) -> dict[str, Any] | None:
    try:
        age = max(0.0, time.time() - os.stat(path).st_mtime)
    except OSError:
        return None
    return {"text": _text(path)[:400], "age": age}


def _log(path: str, offset: int | None, lines: int, *, errors: bool = True) -> dict[str, Any]:
    try:
        stream = open(path, "rb")
    except OSError:
        return {"size": 0, "offset": 0, "text": "", "tail": [], "first_error": ""}
    with stream:
        size = os.fstat(stream.fileno()).st_size
        text, end = _since(stream, offset, size) if offset is not None else ("", size)
        tail = _tail(stream, size, lines) if lines else []
        first = _first_error(stream) if lines and errors else ""
    return {"size": size, "offset": end, "text": text, "tail": tail, "first_error": first}


def _since(stream: Any, offset: int, size: int) -> tuple[str, int]:
    start = data_from(stream, 0 if offset > size else offset)
    stream.seek(start)
    raw = stream.read(CHUNK)
    cut = raw.rfind(b"\n") + 1
    if not cut and len(raw) == CHUNK:
        cut = len(raw)
    return without_holes(raw[:cut]).decode("utf-8", "replace"), start + cut


def _tail(stream: Any, size: int, lines: int) -> list[str]:
    start = max(0, size - min(1 << 20, 400 * (lines + 1)))
    stream.seek(start)
    rows = stream.read(size - start).decode("utf-8", "replace").splitlines()
    if start and len(rows) > 1:
        rows = rows[1:]
    return [row[:2000] for row in rows[-lines:]]


def _first_error(stream: Any) -> str:
    stream.seek(0)
    for line in stream.read(SCAN).decode("utf-8", "replace").splitlines():
        if ERROR.search(line) and not NO_ERROR.search(line):
            return str(line.strip()[:400])
    return ""


def _strays(ctx: Context, groups: dict[int, set[str]], known: set[str]) -> list[dict[str, Any]]:
    """Count the processes of what no plan here names: services, containers (ended ones, too), sessions."""
    found = dict.fromkeys(_containers(ctx), 0)
    for names in groups.values():
        for name in names:
            found[name] = found.get(name, 0) + 1
    strays = [name for name in sorted(found) if name not in known and RANK.match(name)]
    return [{"name": name, "processes": found[name]} for name in strays]


def _containers(ctx: Context) -> list[str]:
    if not os.path.exists("/var/run/docker.sock"):
        return []
    done = ctx.run(["docker", "ps", "--all", "--filter", "name=^r1fleet-", "--format", "{{.Names}}"])
    return done.text.split() if done.rc == 0 else []


def _named(found: list[dict[str, Any]]) -> set[str]:
    """Collect the names that plans on this host account for: ranks, judges, and containers that are kept."""
    known = {rank["name"] for one in found for rank in one["ranks"]}
    for one in found:
        known.add("r1fleet-%s-kept" % one["name"])
        known.update(gang["judge"]["name"] for gang in (one["plan"] or {}).get("gangs", ()))
    return known


def _generations(folder: str) -> int:
    try:
        names = os.listdir(os.path.join(folder, "generations"))
    except OSError:
        return 0
    return max([int(name) for name in names if name.isdigit()] or [0])


def _json(path: str) -> tuple[Any, str]:
    try:
        with open(path, encoding="utf-8") as stream:
            return json.load(stream), ""
    except FileNotFoundError:
        return None, ""
    except (OSError, ValueError) as error:
        return None, "%s: %s" % (path, error)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read(4096).strip()
    except OSError:
        return ""

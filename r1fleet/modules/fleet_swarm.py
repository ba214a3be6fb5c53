"""Look at a swarm's part on this host, begin it, give it groups, ask how it goes, and end it without a trace."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import shutil
import socket
import struct
import sys
import zipfile
from typing import Any, Dict, Iterator, List

from r1fleet.agent import swarm_unit
from r1fleet.agent.context import Context
from r1fleet.agent.swarm_files import write_json

ARGUMENTS = {
    "action": {"type": "str", "required": True, "choices": ["look", "begin", "give", "take", "status", "close", "end"]},
    "state": {"type": "path", "required": True},
    "name": {"type": "str", "required": True},
    "place": {"type": "path"},
    "address": {"type": "str"},
    "folder": {"type": "path"},
    "config": {"type": "dict"},
    "code": {"type": "list", "default": []},
    "wheel": {"type": "str"},
    "files": {"type": "list", "default": []},
    "numbers": {"type": "list", "default": []},
    "manifest": {"type": "dict"},
    "sizes": {"type": "dict", "default": {}},
    "reuse": {"type": "list", "default": []},
}
LOCAL = True
CHECK_MODE = False

_SIOCGIFADDR = 0x8915


def run(ctx: Context) -> dict[str, Any]:
    """Do one of the actions; all of them may be done again."""
    try:
        found: dict[str, Any] = _ACTIONS[ctx.args["action"]](ctx)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        return ctx.fail("%s" % error)
    return found


def _look(ctx: Context) -> dict[str, Any]:
    """Tell what the host is, how much room it has, and which swarms it takes part in."""
    folder = ctx.args["place"] or "/"
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    room = os.statvfs(folder)
    state = ctx.args["state"]
    others = [name for name in _listed(state) if name != ctx.args["name"] and any(_parts(os.path.join(state, name)))]
    library = (os.confstr("CS_GNU_LIBC_VERSION") or "") if hasattr(os, "confstr") else ""
    return {
        "changed": False,
        "python": "%d.%d" % sys.version_info[:2],
        "machine": platform.machine(),
        "library": library,
        "free": room.f_bavail * room.f_frsize,
        "writable": os.access(folder, os.W_OK) and not room.f_flag & os.ST_RDONLY,
        "published": _text(os.path.join(ctx.args["place"] or "", ctx.args["manifest"]["name"])),
        "missing": _missing(ctx.args["sizes"], ctx.args["folder"] or "", ctx.args["reuse"]),
        "others": others,
        "speed": _speed(ctx.args["address"] or ""),
        "runs": any(_parts(_home(ctx))),
        "groups": sorted(_numbers(_home(ctx))),
    }


def _begin(ctx: Context) -> dict[str, Any]:
    """Write the program, its library and its configuration where they are missing, and start what does not run."""
    home, config = _home(ctx), ctx.args["config"]
    os.makedirs(home, mode=0o755, exist_ok=True)
    for row in ctx.args["code"]:
        path = os.path.join(home, "code", row["path"])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(row["content"])
    _library(ctx, home)
    if config["role"] == "target":
        os.makedirs(config["folder"], mode=0o755, exist_ok=True)
    if _config(home) != config:
        _stop(home)
        for name in _listed(home):
            if name.startswith("status-"):
                os.unlink(os.path.join(home, name))
        write_json(os.path.join(home, "config.json"), config)
    path = "%s/code:%s/lib" % (home, home)
    started = []
    for part in range(int(config["sessions"])):
        unit = config["unit"] % part
        told = _part(home, part)
        if told.get("state") == "failed":
            swarm_unit.stop(unit, told)  # what was in its way may be mended
        elif told.get("state") == "ended" or swarm_unit.runs(unit, told):
            continue
        argv = [sys.executable, "-B", "-m", "r1fleet.agent.swarm", os.path.join(home, "config.json"), str(part)]
        pid = swarm_unit.start(unit, argv, path, os.path.join(home, "log-%d" % part))
        # What an earlier process has written last is no word of this one.
        write_json(os.path.join(home, "status-%d.json" % part), {"pid": pid})
        started.append(part)
    return {"changed": bool(started), "started": started}


def _library(ctx: Context, home: str) -> None:
    place = os.path.join(home, "lib")
    if os.path.isdir(place):
        return
    part = place + ".part"
    shutil.rmtree(part, ignore_errors=True)
    with zipfile.ZipFile(ctx.blob(ctx.args["wheel"])) as wheel:
        wheel.extractall(part)
    os.rename(part, place)


def _give(ctx: Context) -> dict[str, Any]:
    """Write small files of the swarm's folder: groups, wishes, the seal."""
    for row in ctx.args["files"]:
        write_json(os.path.join(_home(ctx), row["name"]), row["content"])
    return {"changed": True}


def _take(ctx: Context) -> dict[str, Any]:
    """Return groups by their numbers: sealed ones with the hashes of their pieces, others without."""
    return {"changed": False, "groups": [_group(_home(ctx), int(number)) for number in ctx.args["numbers"]]}


def _group(home: str, number: int) -> Any:
    sealed = os.path.join(home, "group-%d.json" % number)
    path = sealed if os.path.exists(sealed) else os.path.join(home, "want-%d.json" % number)
    with open(path, encoding="utf-8") as stream:
        return json.load(stream)


def _tell(ctx: Context) -> dict[str, Any]:
    """Tell how it goes, and let the program know that it is followed."""
    home = _home(ctx)
    if os.path.isdir(home):
        open(os.path.join(home, "followed"), "w").close()
    return {"changed": False, "runs": _alive(home), "status": _status(home), "log": _last_words(home)}


def _close(ctx: Context) -> dict[str, Any]:
    """Stop the program, lay the manifest beside the set's files, and say where what was verified is written."""
    home, manifest = _home(ctx), ctx.args["manifest"]
    _stop(home)
    with open(os.path.join(ctx.args["folder"], manifest["name"]), "w", encoding="utf-8") as stream:
        stream.write(manifest["text"])
    records = [os.path.join(home, name) for name in _listed(home) if name.startswith("verified-")]
    return {"changed": True, "records": records}


def _end(ctx: Context) -> dict[str, Any]:
    """Stop the program and remove all of it; the set's own files stay."""
    home = _home(ctx)
    _stop(home)
    shutil.rmtree(home, ignore_errors=True)
    if os.path.isdir(ctx.args["state"]) and not _listed(ctx.args["state"]):
        os.rmdir(ctx.args["state"])
    return {"changed": True}


def _stop(home: str) -> None:
    config = _config(home)
    for part in range(int(config.get("sessions", 0))):
        swarm_unit.stop(config["unit"] % part, _part(home, part))


def _home(ctx: Context) -> str:
    return os.path.join(str(ctx.args["state"]), str(ctx.args["name"]))


def _listed(folder: str) -> List[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _config(home: str) -> Dict[str, Any]:
    try:
        with open(os.path.join(home, "config.json"), encoding="utf-8") as stream:
            return dict(json.load(stream))
    except (OSError, ValueError):
        return {}


def _part(home: str, part: int) -> Dict[str, Any]:
    try:
        with open(os.path.join(home, "status-%d.json" % part), encoding="utf-8") as stream:
            return dict(json.load(stream))
    except (OSError, ValueError):
        return {}


def _status(home: str) -> List[Dict[str, Any]]:
    return [_part(home, part) for part in range(int(_config(home).get("sessions", 0)))]


def _alive(home: str) -> bool:
    """Tell whether a swarm runs here whole."""
    parts = list(_parts(home))
    return bool(parts) and all(parts)


def _parts(home: str) -> Iterator[bool]:
    """Tell of every part that has not done all it had to do whether it runs."""
    config = _config(home)
    for number in range(int(config.get("sessions", 0))):
        part = _part(home, number)
        if part.get("state") != "ended":
            yield swarm_unit.runs(config["unit"] % number, part)


def _numbers(home: str) -> Iterator[int]:
    """Yield the numbers of groups that are sealed here, or are to be."""
    for name in _listed(home):
        kind, _, rest = name.partition("-")
        if kind in ("group", "want") and rest.endswith(".json"):
            yield int(rest[: -len(".json")])


def _speed(address: str) -> int:
    """Return the speed in Mbit/s of the link that has an address; 0 where it does not say."""
    try:
        with open("/sys/class/net/%s/speed" % _link(address), encoding="ascii") as stream:
            return max(0, int(stream.read()))
    except (OSError, ValueError):
        return 0


def _link(address: str) -> str:
    if ":" in address:
        wanted = socket.inet_pton(socket.AF_INET6, address).hex()
        with open("/proc/net/if_inet6", encoding="ascii") as stream:
            rows = [line.split() for line in stream]
        return next((row[5] for row in rows if row[0] == wanted), "")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                told = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue
            if socket.inet_ntoa(told[20:24]) == address:
                return name
    return ""


def _last_words(home: str) -> str:
    for name in _listed(home):
        if name.startswith("log-"):
            with open(os.path.join(home, name), encoding="utf-8", errors="replace") as stream:
                lines: List[str] = stream.read()[-2000:].strip().splitlines()
            if lines:
                return lines[-1]
    return ""


def _missing(sizes: Dict[str, Any], folder: str, others: List[str]) -> int:
    """Return how many bytes of the set are neither staged on disk nor in a folder that they may be linked from."""
    total = 0
    for path, size in sizes.items():
        try:
            total += max(0, int(size) - os.stat(os.path.join(folder, path)).st_blocks * 512)
        except OSError:
            total += 0 if any(_has_size(os.path.join(other, path), int(size)) for other in others) else int(size)
    return total


def _has_size(path: str, size: int) -> bool:
    try:
        return os.stat(path).st_size == size
    except OSError:
        return False


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


_ACTIONS = {"look": _look, "begin": _begin, "give": _give, "take": _take, "status": _tell, "close": _close, "end": _end}

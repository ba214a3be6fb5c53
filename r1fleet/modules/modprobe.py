"""Load and unload kernel modules, now and at every start."""

from __future__ import annotations

import glob
import os
import re
import shlex
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.files import read_bytes, write_bytes
from r1fleet.modules._proc import read

ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "default": "present", "choices": ["absent", "present"]},
    "params": {"type": "str", "default": ""},
    "persistent": {"type": "str", "default": "disabled", "choices": ["absent", "disabled", "present"]},
}
LOCAL = True
CHECK_MODE = True

LOAD = "/etc/modules-load.d"
OPTIONS = "/etc/modprobe.d"
LOADED = "/proc/modules"
BUILT_IN = "/lib/modules/{}/modules.builtin"


def run(ctx: Context) -> dict[str, Any]:
    """Compare with /proc/modules and the start-up folders, and act on what differs."""
    args = ctx.args
    wanted = args["state"] == "present"
    changed = wanted is not is_loaded(args["name"]) and _probe(ctx, wanted=wanted)
    if args["persistent"] != "disabled":
        changed = _persist(ctx) or changed
    reply = {name: args[name] for name in ("name", "params", "state")}
    return dict(reply, changed=changed)


def is_loaded(name: str) -> bool:
    """Tell whether the module is loaded or part of the kernel itself."""
    plain = name.replace("-", "_")
    if any(line.split(" ", 1)[0] == plain for line in read(LOADED).splitlines()):
        return True
    builtin = read(BUILT_IN.format(os.uname().release))
    return any(line.rpartition("/")[2].replace("-", "_") == plain + ".ko" for line in builtin.splitlines())


def _probe(ctx: Context, *, wanted: bool) -> bool:
    """Load or unload, in check mode by a dry run; tell whether that did it."""
    name = ctx.args["name"]
    words = ["-n"] if ctx.check else []
    words += [name, *shlex.split(ctx.args["params"])] if wanted else ["-r", name]
    done = ctx.run([ctx.need("modprobe"), *words], locale="C")
    if done.rc:
        ctx.fail(done.error.strip() or "modprobe failed", rc=done.rc, name=name)
    if wanted and not ctx.check and not is_loaded(name):
        ctx.warn("modprobe {} succeeded, and the kernel does not list the module as loaded".format(name))
        return False
    return True


def _persist(ctx: Context) -> bool:
    name, params = ctx.args["name"], ctx.args["params"]
    wanted = ctx.args["persistent"] == "present"
    load = [(LOAD, r"^\s*{}\s*$".format(re.escape(name)), name if wanted else "")]
    options = "options {} {}".format(name, params) if wanted and params else ""
    load.append((OPTIONS, r"^\s*options\s+{}\b.*$".format(re.escape(name)), options))
    changes = [_keep(ctx, folder, pattern, line) for folder, pattern, line in load]
    return any(changes)


def _keep(ctx: Context, folder: str, pattern: str, line: str) -> bool:
    """Keep exactly ``line`` among what ``pattern`` finds in the folder's files; an empty one means none."""
    own = os.path.join(folder, ctx.args["name"] + ".conf")
    changed, there = False, False
    for path in sorted(glob.glob(os.path.join(folder, "*.conf"))):
        text = (read_bytes(path) or b"").decode("utf-8", "surrogateescape")
        lines = text.splitlines()
        kept = [each for each in lines if not re.match(pattern, each) or (line and each.strip() == line)]
        there = there or bool(line) and any(each.strip() == line for each in kept)
        if kept != lines:
            changed = True
            _store(ctx, path, kept)
    if line and not there:
        changed = True
        present = (read_bytes(own) or b"").decode("utf-8", "surrogateescape").splitlines()
        _store(ctx, own, [each for each in present if not re.match(pattern, each)] + [line])
    return changed


def _store(ctx: Context, path: str, lines: list[str]) -> None:
    if ctx.check:
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write_bytes(path, "".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape"), mode=0o644)

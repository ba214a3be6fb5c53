"""Ask the host's name service."""

from __future__ import annotations

from typing import Any

from r1fleet.agent.context import Context

ARGUMENTS = {
    "database": {"type": "str", "required": True},
    "key": {"type": "str", "no_log": False},
    "service": {"type": "str"},
    "split": {"type": "str"},
    "fail_key": {"type": "bool", "default": True},
}
LOCAL = True
CHECK_MODE = True

_FAULTS = {
    1: "Missing arguments, or database unknown.",
    2: "One or more supplied key could not be found in the database.",
    3: "Enumeration not supported on this database.",
}
_COLONS = ("passwd", "shadow", "group", "gshadow")


def run(ctx: Context) -> dict[str, Any]:
    """Return the entries as facts named getent_DATABASE."""
    args = ctx.args
    words = [ctx.need("getent")] + (["-s", args["service"]] if args["service"] else [])
    words += [args["database"]] + ([args["key"]] if args["key"] is not None else [])
    done = ctx.run(words, locale="C")
    name = "getent_" + args["database"]
    if done.rc == 2 and not args["fail_key"]:
        return {"changed": False, "msg": _FAULTS[2], "ansible_facts": {name: {args["key"]: None}}}
    if done.rc:
        ctx.fail(_FAULTS.get(done.rc, "Unexpected failure! {}".format(done.error.strip())), rc=done.rc)
    return {"changed": False, "ansible_facts": {name: _entries(ctx, done.text)}}


def _entries(ctx: Context, text: str) -> dict[str, Any]:
    split = ctx.args["split"] or (":" if ctx.args["database"] in _COLONS else None)
    found: dict[str, Any] = {}
    seen: dict[str, int] = {}
    for line in text.splitlines():
        record = line.split(split)
        if not record:
            continue
        # Services come once per protocol: then the entry is a list of lists.
        seen[record[0]] = seen.get(record[0], 0) + 1
        if seen[record[0]] == 1:
            found[record[0]] = record[1:]
        elif seen[record[0]] == 2:
            found[record[0]] = [found[record[0]], record[1:]]
        else:
            found[record[0]].append(record[1:])
    return found

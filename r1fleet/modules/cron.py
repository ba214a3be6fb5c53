"""Keep jobs and variables in the crontab of a user, or in a file of /etc/cron.d."""

from __future__ import annotations

import os
import re
from typing import Any

from r1fleet.agent import places
from r1fleet.agent.context import Context
from r1fleet.agent.files import content_diff, read_bytes, write_bytes
from r1fleet.modules import _crontab as crontab

_TIMES = ("minute", "hour", "day", "month", "weekday")
ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "user": {"type": "str"},
    "job": {"type": "str", "aliases": ["value"]},
    "cron_file": {"type": "path"},
    "state": {"type": "str", "default": "present", "choices": ["absent", "present"]},
    "backup": {"type": "bool", "default": False},
    "minute": {"type": "str", "default": "*"},
    "hour": {"type": "str", "default": "*"},
    "day": {"type": "str", "default": "*", "aliases": ["dom"]},
    "month": {"type": "str", "default": "*"},
    "weekday": {"type": "str", "default": "*", "aliases": ["dow"]},
    "special_time": {
        "type": "str",
        "choices": ["annually", "daily", "hourly", "monthly", "reboot", "weekly", "yearly"],
    },
    "disabled": {"type": "bool", "default": False},
    "env": {"type": "bool", "default": False},
    "insertafter": {"type": "str"},
    "insertbefore": {"type": "str"},
}
MUTUALLY_EXCLUSIVE = [["insertafter", "insertbefore"]]
LOCAL = True
CHECK_MODE = True

FOLDER = "/etc/cron.d"


def run(ctx: Context) -> dict[str, Any]:
    """Read the table, change the entry, and install it if it is another."""
    _refuse(ctx)
    path = _file(ctx)
    before = _read(ctx, path)
    lines = crontab.lines_of(before)
    after = _edited(ctx, lines)
    # A last line without an end is one that cron does not run.
    changed = after != lines or bool(before) and not before.endswith("\n")
    reply: dict[str, Any] = {
        "changed": changed,
        "jobs": crontab.job_names(after),
        "envs": crontab.variable_names(after),
    }
    if path:
        reply["cron_file"] = ctx.args["cron_file"]
    gone = bool(path) and changed and ctx.args["state"] == "absent" and not any(line.strip() for line in after)
    text = crontab.text_of(after) if changed else before
    if ctx.diff:
        table = path or 'crontab for user "{}"'.format(ctx.args["user"] or ctx.identity)
        reply["diff"] = content_diff(
            before.encode("utf-8", "surrogateescape"), text.encode("utf-8", "surrogateescape"), table
        )
    if changed and not ctx.check:
        reply.update(_kept(ctx, before))
        _write(ctx, path, text, gone=gone)
    if gone:
        reply = {name: value for name, value in reply.items() if name not in ("jobs", "envs")}
        reply["state"] = "absent"
    return reply


def job_line(args: dict[str, Any]) -> str:
    """Return the job's line: when, for whom (in files only), what; switched off by a #."""
    when = "@" + args["special_time"] if args["special_time"] else " ".join(args[name] for name in _TIMES)
    words = [when] + ([args["user"]] if args["cron_file"] else []) + [args["job"]]
    return ("#" if args["disabled"] else "") + " ".join(words)


def _refuse(ctx: Context) -> None:
    args = ctx.args
    present = args["state"] == "present"
    if args["special_time"] and any(args[name] != "*" for name in _TIMES):
        ctx.fail("You cannot combine special_time with any of the time or day/date parameters.")
    if args["cron_file"] and present and not args["user"]:
        ctx.fail("To use cron_file=... parameter you must specify user=... as well")
    if present and args["job"] is None:
        ctx.fail("You must specify 'job' to install a new cron job or variable")
    if (args["insertafter"] or args["insertbefore"]) and not (args["env"] and present):
        ctx.fail("Insertafter and insertbefore parameters are valid only with env=yes")
    if present and any(end in args["job"].strip("\r\n") or end in args["name"] for end in "\r\n"):
        ctx.fail("Job should not contain line breaks")


def _file(ctx: Context) -> str:
    name = ctx.args["cron_file"]
    if not name:
        return ""
    if not re.match(r"^[A-Za-z0-9_-]+$", os.path.basename(name)):
        ctx.warn(
            'Filename portion of cron_file ("{}") should consist solely of upper- and lower-case letters, digits,'
            " underscores, and hyphens: cron reads no others".format(os.path.basename(name))
        )
    return os.path.join(FOLDER, name)


def _read(ctx: Context, path: str) -> str:
    if path:
        return (read_bytes(path) or b"").decode("utf-8", "surrogateescape")
    done = ctx.run([*_crontab(ctx), "-l"], locale="C")
    if done.rc not in (0, 1):
        ctx.fail("Unable to read crontab: {}".format(done.error.strip()), rc=done.rc)
    return done.text if done.rc == 0 else ""


def _crontab(ctx: Context) -> list[str]:
    user = ctx.args["user"]
    return [ctx.need("crontab")] + (["-u", user] if user and user != ctx.identity else [])


def _edited(ctx: Context, lines: list[str]) -> list[str]:
    args, name = ctx.args, ctx.args["name"]
    if args["state"] == "absent":
        return crontab.without_variable(lines, name) if args["env"] else crontab.without_job(lines, name)
    if not args["env"]:
        return crontab.with_job(lines, name, job_line(dict(args, job=args["job"].strip("\r\n"))))
    beside = {"after": args["insertafter"] or "", "before": args["insertbefore"] or ""}
    try:
        return crontab.with_variable(lines, name, args["job"], **beside)
    except crontab.NoVariable as error:
        ctx.fail(str(error))


def _kept(ctx: Context, before: str) -> dict[str, str]:
    """Keep a copy of the table where ``backup`` asks; it has no place of its own, so it lies in /tmp."""
    if not ctx.args["backup"]:
        return {}
    path = places.fresh_name("/tmp", "crontab")
    write_bytes(path, before.encode("utf-8", "surrogateescape"), mode=0o600)
    return {"backup_file": path}


def _write(ctx: Context, path: str, text: str, *, gone: bool) -> None:
    if gone:
        os.unlink(path)
    elif path:
        write_bytes(path, text.encode("utf-8", "surrogateescape"), mode=None if os.path.exists(path) else 0o644)
    else:
        done = ctx.run([*_crontab(ctx), "-"], stdin=text, locale="C")
        if done.rc:
            ctx.fail("Failed to install new cronfile", rc=done.rc, stdout=done.text, stderr=done.error)

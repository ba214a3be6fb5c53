"""Start, stop, enable and mask units of systemd."""

from __future__ import annotations

import os
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.process import Done

ARGUMENTS = {
    "name": {"type": "str", "aliases": ["service", "unit"]},
    "state": {"type": "str", "choices": ["reloaded", "restarted", "started", "stopped"]},
    "enabled": {"type": "bool"},
    "masked": {"type": "bool"},
    "force": {"type": "bool"},
    "daemon_reload": {"type": "bool", "default": False, "aliases": ["daemon-reload"]},
    "daemon_reexec": {"type": "bool", "default": False, "aliases": ["daemon-reexec"]},
    "scope": {"type": "str", "default": "system", "choices": ["system", "user", "global"]},
    "no_block": {"type": "bool", "default": False},
}
REQUIRED_ONE_OF = [["state", "enabled", "masked", "daemon_reload", "daemon_reexec"]]
REQUIRED_BY = {"state": ["name"], "enabled": ["name"], "masked": ["name"]}
LOCAL = True
CHECK_MODE = True

_ACTIVE = ("active", "activating")
_ENABLED = ("enabled", "static", "generated", "transient")
_DISABLED = ("disabled", "enabled-runtime", "alias", "linked", "linked-runtime", "masked", "masked-runtime")


def run(ctx: Context) -> dict[str, Any]:
    """Bring the unit into the wanted state."""
    args = ctx.args
    for argument, verb in (("daemon_reexec", "daemon-reexec"), ("daemon_reload", "daemon-reload")):
        if args[argument] and not ctx.check:
            done = _systemctl(ctx, verb)
            if done.rc:
                ctx.fail("failure {} during {}: {}".format(done.rc, verb, done.error), name=args["name"])
    reply: dict[str, Any] = {"name": args["name"], "changed": False, "status": {}}
    if args["name"] is None:
        return reply
    status = _show(ctx)
    reply["status"] = status
    _mask(ctx, status, reply)
    if args["enabled"] is not None:
        _found(ctx, status)
        _enable(ctx, status, reply)
    if args["state"] is not None:
        _found(ctx, status)
        _act(ctx, status, reply)
    return reply


def parse_show(text: str) -> dict[str, str]:
    """Read the output of ``systemctl show``; a value in braces may span lines."""
    status: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        open_brace = name and status[name].startswith("{") and not status[name].rstrip().endswith("}")
        if open_brace or "=" not in line:
            if name:
                status[name] += "\n" + line
            continue
        name, _, value = line.partition("=")
        status[name] = value
    return status


def _show(ctx: Context) -> dict[str, str]:
    done = _systemctl(ctx, "show", "--no-pager", "--", ctx.args["name"])
    if done.rc or not done.stdout.strip():
        ctx.fail("Service is in unknown state: {}".format(done.error.strip() or "systemd tells nothing"), status={})
    return parse_show(done.text)


def _found(ctx: Context, status: dict[str, str]) -> None:
    if status.get("LoadState") != "not-found" or status.get("ActiveState") in _ACTIVE:
        return
    if os.access("/etc/init.d/" + ctx.args["name"], os.X_OK):
        return
    ctx.fail("Could not find the requested service {}: host".format(ctx.args["name"]), name=ctx.args["name"])


def _mask(ctx: Context, status: dict[str, str], reply: dict[str, Any]) -> None:
    wanted = ctx.args["masked"]
    present = status.get("LoadState") == "masked" or status.get("UnitFileState", "").startswith("masked")
    if wanted is None or wanted is present:
        return
    verb = "mask" if wanted else "unmask"
    reply["changed"] = True
    if not ctx.check:
        _must(ctx, verb, ["--force"] if ctx.args["force"] else [])


def _enable(ctx: Context, status: dict[str, str], reply: dict[str, Any]) -> None:
    wanted, present = ctx.args["enabled"], _is_enabled(ctx, status)
    reply["enabled"] = wanted
    if wanted is present:
        return
    reply["changed"] = True
    if not ctx.check:
        _must(ctx, "enable" if wanted else "disable", ["--force"] if ctx.args["force"] else [])


def _is_enabled(ctx: Context, status: dict[str, str]) -> bool:
    state = status.get("UnitFileState", "")
    if ctx.args["scope"] != "global" and state in _ENABLED + _DISABLED:
        # An alias shows the state of the unit that it names.
        return state in _ENABLED
    done = _systemctl(ctx, "is-enabled", "--full", "--", ctx.args["name"])
    words = done.text.split()
    # Where a unit is enabled by way of another one (its socket), the link that does it stands below the word.
    return done.rc == 0 and words not in (["indirect"], ["alias"]) and words[:1] != ["enabled-runtime"]


def _act(ctx: Context, status: dict[str, str], reply: dict[str, Any]) -> None:
    state = ctx.args["state"]
    reply["state"] = state
    if "ActiveState" not in status:
        ctx.fail("Service is in unknown state", status=status)
    running = status["ActiveState"] in _ACTIVE
    verb = ""
    if state == "started":
        verb = "" if running else "start"
    elif state == "stopped":
        verb = "stop" if running or status["ActiveState"] == "deactivating" else ""
    else:
        verb = {"restarted": "restart", "reloaded": "reload"}[state] if running else "start"
        reply["state"] = "started"
    if not verb:
        return
    reply["changed"] = True
    if not ctx.check:
        _must(ctx, verb, [])


def _must(ctx: Context, verb: str, flags: list[str]) -> None:
    done = _systemctl(ctx, verb, *flags, "--", ctx.args["name"])
    if done.rc:
        ctx.fail("Unable to {} service {}: {}".format(verb, ctx.args["name"], done.error), rc=done.rc)


def _systemctl(ctx: Context, verb: str, *words: str) -> Done:
    args, environment = ctx.args, {}
    if args["scope"] == "user" and not os.environ.get("XDG_RUNTIME_DIR"):
        environment["XDG_RUNTIME_DIR"] = "/run/user/{}".format(os.geteuid())
    flags = [] if args["scope"] == "system" else ["--" + args["scope"]]
    flags += ["--no-block"] if args["no_block"] else []
    return ctx.run([ctx.need("systemctl"), *flags, verb, *words], env=environment, locale="C")

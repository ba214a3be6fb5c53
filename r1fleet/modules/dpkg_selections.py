"""Keep what dpkg is to do with a package: install it, hold it, remove or purge it."""

from __future__ import annotations

from typing import Any

from r1fleet.agent.context import Context

ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "selection": {"type": "str", "required": True, "choices": ["deinstall", "hold", "install", "purge"]},
}
LOCAL = True
CHECK_MODE = True


def run(ctx: Context) -> dict[str, Any]:
    """Compare dpkg's selection with the wanted one, and set it."""
    name, wanted = ctx.args["name"], ctx.args["selection"]
    dpkg = ctx.need("dpkg")
    done = ctx.run([dpkg, "--get-selections", name], locale="C")
    words = done.text.split()
    if done.rc or len(words) < 2:
        ctx.fail("Failed to find package '{}' to perform selection '{}'.".format(name, wanted), rc=done.rc)
    before = words[1]
    if before != wanted and not ctx.check:
        done = ctx.run([dpkg, "--set-selections"], stdin="{} {}\n".format(name, wanted), locale="C")
        if done.rc:
            ctx.fail("dpkg refused the selection: {}".format(done.error.strip()), rc=done.rc)
    return {"changed": before != wanted, "before": before, "after": wanted}

"""Install a package file, local or from a URL."""

from __future__ import annotations

import os
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.modules._aptget import apt_get, did_something
from r1fleet.modules._dpkg import compare_versions, installed
from r1fleet.modules._http import download


def install_file(ctx: Context, source: str) -> dict[str, Any]:
    """Install the package file at ``source`` with what it depends on, unless that version is installed."""
    path = source
    if "://" in source:
        path = os.path.join(ctx.scratch(), os.path.basename(source) or "package.deb")
        download(ctx, source, path)
    if not os.path.isfile(path):
        ctx.fail("Unable to install package: there is no file {}".format(path))
    fields = _fields(ctx, path)
    name = "{}:{}".format(fields["Package"], fields["Architecture"])
    present = installed(ctx).installed(fields["Package"] if fields["Architecture"] == "all" else name)
    if present:
        order = compare_versions(fields["Version"], present.version)
        if order == 0:
            return {"changed": False}
        if order < 0 and not (ctx.args["allow_downgrade"] or ctx.args["force"]):
            have = "{} {}".format(fields["Package"], present.version)
            ctx.fail("Unable to install package: a later version is already installed: {}".format(have))
    reply = apt_get(ctx, "install", os.path.abspath(path))
    return dict(reply, changed=did_something(reply["stdout"]))


def _fields(ctx: Context, path: str) -> dict[str, str]:
    done = ctx.run([ctx.need("dpkg-deb"), "--field", path, "Package", "Version", "Architecture"], locale="C")
    if done.rc:
        ctx.fail("Unable to install package: {}".format(done.error.strip()))
    return dict(line.split(": ", 1) for line in done.text.splitlines() if ": " in line)

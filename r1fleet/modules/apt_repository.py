"""Keep a line that names a source of packages, in sources.list or a file beside it."""

from __future__ import annotations

import os
from typing import Any

from r1fleet.agent.context import Context, ModuleFailed
from r1fleet.agent.files import apply_permissions, write_bytes
from r1fleet.modules._aptupdate import ARGUMENTS as UPDATE_ARGUMENTS
from r1fleet.modules._aptupdate import update
from r1fleet.modules._sourcelists import (
    PARTS,
    file_name,
    list_files,
    parse_line,
    text_of,
    with_source,
    without_source,
)

ARGUMENTS: dict[str, dict[str, Any]] = {
    "repo": {"type": "str", "required": True},
    "state": {"type": "str", "default": "present", "choices": ["absent", "present"]},
    "mode": {"type": "raw"},
    "filename": {"type": "str"},
    "codename": {"type": "str"},
    "update_cache": {"type": "bool", "default": True, "aliases": ["update-cache"]},
    "install_python_apt": {"type": "bool", "default": True},
    "validate_certs": {"type": "bool", "default": True},
    **UPDATE_ARGUMENTS,
}
LOCAL = True
CHECK_MODE = True


def run(ctx: Context) -> dict[str, Any]:
    """Look through all files for the line, and add it or take it away."""
    args = ctx.args
    source = _source(ctx, args["repo"])
    before = {path: text_of(path) for path in list_files()}
    if args["state"] == "absent":
        after = without_source(before, source)
    else:
        after = with_source(before, source, _path(args["filename"] or file_name(source)))
    changed = before != after
    reply: dict[str, Any] = {"changed": changed, "repo": args["repo"], "state": args["state"]}
    there, then = ({path for path, text in texts.items() if text} for texts in (before, after))
    reply.update(sources_added=sorted(then - there), sources_removed=sorted(there - then))
    if ctx.diff:
        reply["diff"] = [
            _diff(before.get(path, ""), text, path) for path, text in after.items() if text != before.get(path)
        ]
    if changed and not ctx.check:
        _write(ctx, before, after)
        if args["update_cache"]:
            _update(ctx, before, after)
    return reply


def _source(ctx: Context, repo: str) -> str:
    if not repo.strip():
        ctx.fail("Please set argument 'repo' to a non-empty value")
    if repo.startswith("ppa:"):
        ctx.fail(
            "Invalid repository string: {}: a PPA's name is not resolved here".format(repo),
            hint="name its address and its key with deb822_repository: https://ppa.launchpadcontent.net/OWNER/NAME/ubuntu",
        )
    line = parse_line(repo.strip())
    if line is None or not line.enabled:
        ctx.fail("Invalid repository string: {}".format(repo))
    return line.source


def _path(name: str) -> str:
    """Return the file that a name without .list stands for, in apt's folder unless it is a path."""
    return (name if "/" in name else os.path.join(PARTS, name)) + ".list"


def _diff(before: str, after: str, path: str) -> dict[str, str]:
    headers = {"before_header": path if before else "/dev/null", "after_header": path if after else "/dev/null"}
    return dict(headers, before=before, after=after)


def _write(ctx: Context, before: dict[str, str], after: dict[str, str]) -> None:
    for path, text in after.items():
        if text == before.get(path):
            continue
        if not text:
            os.unlink(path)
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_bytes(path, text.encode("utf-8", "surrogateescape"), mode=None if path in before else 0o644)
        apply_permissions(ctx, path)


def _update(ctx: Context, before: dict[str, str], after: dict[str, str]) -> None:
    """Fetch the lists; where that fails, put the files back, so that the next run tries again."""
    try:
        update(ctx)
    except ModuleFailed:
        _write(ctx, after, dict(dict.fromkeys(after, ""), **before))
        raise

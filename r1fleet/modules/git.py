"""Keep a working copy of a git repository at a version."""

from __future__ import annotations

import os
import shutil
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.modules import _gitextras
from r1fleet.modules._git import Git, same_place

ARGUMENTS: dict[str, dict[str, Any]] = {
    "repo": {"type": "str", "required": True, "aliases": ["name"]},
    "dest": {"type": "path"},
    "version": {"type": "str", "default": "HEAD"},
    "remote": {"type": "str", "default": "origin"},
    "refspec": {"type": "str"},
    "reference": {"type": "str"},
    "force": {"type": "bool", "default": False},
    "depth": {"type": "int"},
    "clone": {"type": "bool", "default": True},
    "update": {"type": "bool", "default": True},
    "verify_commit": {"type": "bool", "default": False},
    "gpg_allowlist": {"type": "list", "elements": "str", "default": [], "aliases": ["gpg_whitelist"]},
    "accept_hostkey": {"type": "bool", "default": False},
    "accept_newhostkey": {"type": "bool", "default": False},
    "key_file": {"type": "path"},
    "ssh_opts": {"type": "str"},
    "executable": {"type": "path"},
    "bare": {"type": "bool", "default": False},
    "recursive": {"type": "bool", "default": True},
    "single_branch": {"type": "bool", "default": False},
    "track_submodules": {"type": "bool", "default": False},
    "umask": {"type": "raw"},
    "archive": {"type": "path"},
    "archive_prefix": {"type": "str"},
    "separate_git_dir": {"type": "path"},
}
MUTUALLY_EXCLUSIVE = [["separate_git_dir", "bare"], ["accept_hostkey", "accept_newhostkey"]]
REQUIRED_BY = {"archive_prefix": ["archive"]}
LOCAL = True
CHECK_MODE = True


def run(ctx: Context) -> dict[str, Any]:
    """Clone, or bring what is there to the wanted version."""
    args = ctx.args
    if not args["dest"] and args["clone"]:
        ctx.fail("the destination directory must be specified unless clone=no")
    git = Git(ctx)
    reply: dict[str, Any] = {"changed": False, "before": None}
    folder = _folder(ctx, git, reply)
    present = bool(git.dest) and os.path.exists(os.path.join(folder, "config"))
    if not present and (ctx.check or not args["clone"]):
        return _told(ctx, git, reply, git.wanted(cloning=True))
    if not present:
        git.clone()
    elif not args["update"]:
        reply["before"] = reply["after"] = git.head()
        _gitextras.archive(ctx, git, reply)
        return reply
    elif _update(ctx, git, reply):
        return reply
    return _finish(ctx, git, reply)


def _folder(ctx: Context, git: Git, reply: dict[str, Any]) -> str:
    """Return where git keeps its own files, moved where ``separate_git_dir`` says."""
    if ctx.args["bare"] or not git.dest:
        return git.dest
    folder, apart = os.path.join(git.dest, ".git"), ctx.args["separate_git_dir"]
    if os.path.isfile(folder):
        with open(folder, encoding="utf-8", errors="surrogateescape") as stream:
            label, _, path = stream.read().strip().partition(": ")
        folder = os.path.join(git.dest, path)
        if label != "gitdir" or not os.path.exists(folder):
            msg = "Current repo does not have a valid reference to a separate Git dir or it refers to the invalid path"
            ctx.fail(msg, details=path)
    if not apart or not os.path.exists(folder) or os.path.abspath(apart) == os.path.abspath(folder):
        return folder
    reply["changed"] = True
    if ctx.check:
        return folder
    if os.path.exists(apart):
        ctx.fail("Separate-git-dir path {} already exists.".format(apart))
    shutil.move(folder, apart)
    link = os.path.join(git.dest, ".git")
    with open(link, "w", encoding="utf-8", errors="surrogateescape") as stream:
        stream.write("gitdir: {}\n".format(apart))
    reply.update(git_dir_before=folder, git_dir_now=apart)
    return str(apart)


def _update(ctx: Context, git: Git, reply: dict[str, Any]) -> bool:
    """Fetch; True where check mode has told what would be done."""
    modified = not ctx.args["bare"] and git.is_modified()
    reply["before"] = git.head()
    if modified and not ctx.args["force"]:
        ctx.fail("Local modifications exist in the destination: {} (force=no).".format(git.dest), **reply)
    if modified and not ctx.check:
        git.reset()
        reply.update(changed=True, msg="Local modifications exist in the destination: " + git.dest)
    url = git.url()
    moved = bool(url) and url != git.repo and not same_place(url, git.repo)
    reply["remote_url_changed"] = moved
    if ctx.check:
        wanted = git.wanted(cloning=False)
        changed = reply["changed"] or moved or reply["before"] != wanted
        _told(ctx, git, reply, wanted)
        reply["changed"] = changed
        return True
    if moved:
        git.point()
    git.fetch()
    return False


def _told(ctx: Context, git: Git, reply: dict[str, Any], after: str) -> dict[str, Any]:
    """Complete a reply of check mode, or of a look without a clone."""
    reply.update(changed=True, after=after)
    if ctx.diff and reply["before"] != after:
        reply["diff"] = _gitextras.difference(git, reply["before"], after)
    return reply


def _finish(ctx: Context, git: Git, reply: dict[str, Any]) -> dict[str, Any]:
    """Check out, submodules, signatures, and what all that has changed."""
    args = ctx.args
    if not args["bare"]:
        git.switch()
    if args["verify_commit"]:
        _gitextras.verify(ctx, git)
    if args["recursive"] and not args["bare"] and _gitextras.submodules(ctx, git):
        reply.update(changed=True, submodules_changed=True)
    reply["after"] = git.head()
    if reply["before"] != reply["after"] or reply.get("remote_url_changed"):
        reply["changed"] = True
    if ctx.diff and reply["before"] != reply["after"]:
        reply["diff"] = _gitextras.difference(git, reply["before"], reply["after"])
    _gitextras.archive(ctx, git, reply)
    return reply

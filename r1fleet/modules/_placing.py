"""Put one file, folder or link at its place, if it isn't there already."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import Any, Callable, Iterator, NamedTuple

from r1fleet.agent.context import Context, ModuleFailed
from r1fleet.agent.files import (
    DIFF_LIMIT,
    apply_permissions,
    content_diff,
    install,
    path_info,
    read_bytes,
)
from r1fleet.modules._edits import backup, validate, wanted_mode
from r1fleet.modules._links import put_link

_CHUNK = 1024 * 1024


class Content(NamedTuple):
    """What a file is to hold; ``fetch`` brings it to the host, at best into the folder named, only when called."""

    size: int
    mode: str
    fetch: Callable[[str], str]
    sha256: str = ""
    keep: bool = False


class Digests(NamedTuple):
    """A file's digests, from one pass over it."""

    sha256: str
    sha1: str
    md5: str | None


def digests(path: str) -> Digests:
    """Read ``path`` once and return its digests."""
    try:
        md5: Any = hashlib.md5()
    except ValueError:  # a host that allows approved digests only
        md5 = None
    hashers = [hashlib.sha256(), hashlib.sha1()] + ([md5] if md5 else [])
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(_CHUNK), b""):
            for hasher in hashers:
                hasher.update(chunk)
    return Digests(hashers[0].hexdigest(), hashers[1].hexdigest(), md5.hexdigest() if md5 else None)


def place_file(ctx: Context, content: Content, dest: str, *, like_source: bool = False) -> dict[str, Any]:
    """Make ``dest`` hold ``content``, with the owner, group and mode of the arguments."""
    if ctx.args["mode"] == "preserve" or (like_source and ctx.args["mode"] is None):
        ctx = _with_mode(ctx, content.mode)
    if ctx.args["follow"] and os.path.islink(dest):
        dest = os.path.realpath(dest)
    replaces_link = os.path.islink(dest)
    exists = os.path.lexists(dest)
    if exists and not ctx.args["force"]:
        return {"changed": False, "dest": dest}
    if os.path.isdir(dest) and not replaces_link:
        ctx.fail("cannot put a file in the place of the folder {}".format(dest), dest=dest)
    same = _same(content, dest) if exists and not replaces_link else None
    if same is not None:
        return _unchanged(ctx, dest, same.sha1)
    return _write(ctx, content, dest)


def _with_mode(ctx: Context, mode: str) -> Context:
    changed = Context(dict(ctx.args, mode=mode or None), check=ctx.check, diff=ctx.diff, environment=ctx.environment)
    # The copy shares everything else with the original: its line, its cache and its temporary folders.
    changed.__dict__.update({name: value for name, value in vars(ctx).items() if name != "args"})
    return changed


def _same(content: Content, dest: str) -> Digests | None:
    """Return the digests of ``dest`` if it holds ``content`` already."""
    if not os.path.isfile(dest) or os.path.getsize(dest) != content.size:
        return None
    present = digests(dest)
    wanted = content.sha256 or digests(content.fetch("")).sha256
    return present if present.sha256 == wanted else None


def _unchanged(ctx: Context, dest: str, checksum: str) -> dict[str, Any]:
    diff: dict[str, Any] = {"before": {"path": dest}, "after": {"path": dest}}
    changed = apply_permissions(ctx, dest, diff=diff, follow=ctx.args["follow"])
    reply = dict(path_info(dest), changed=changed, checksum=checksum, dest=dest, path=dest)
    return dict(reply, diff=[diff]) if ctx.diff else reply


def _write(ctx: Context, content: Content, dest: str) -> dict[str, Any]:
    reply: dict[str, Any] = {"changed": True, "dest": dest}
    if ctx.check and not ctx.diff:
        return reply
    small = content.size <= DIFF_LIMIT
    if ctx.diff and not small:
        reply["diff"] = [{"src_larger": DIFF_LIMIT}]
    if ctx.check and not small:
        return reply
    folder = os.path.dirname(dest) or "."
    draft = content.fetch(folder if os.path.isdir(folder) and not ctx.check else ctx.scratch())
    if ctx.diff and small:
        before = read_bytes(dest) if os.path.isfile(dest) else None
        reply["diff"] = [content_diff(before, read_bytes(draft), dest)]
        if before is None:
            reply["diff"][0].pop("before_header", None)
    if ctx.check:
        return reply
    _check_draft(ctx, draft)
    return dict(_install(ctx, content, draft, dest), **reply)


def _check_draft(ctx: Context, draft: str) -> None:
    expected = ctx.args["checksum"]
    if expected and digests(draft).sha1 != expected:
        ctx.fail("Copied file does not match the expected checksum. Transfer failed.", expected_checksum=expected)
    done = validate(ctx, draft)
    if done is not None and done.rc:
        ctx.fail("failed to validate", exit_status=done.rc, stdout=done.text, stderr=done.error)


def _install(ctx: Context, content: Content, draft: str, dest: str) -> dict[str, Any]:
    found = digests(draft)
    kept = backup(ctx, dest)
    unsafe = ctx.args["unsafe_writes"]
    mode = wanted_mode(ctx, dest)
    if os.path.islink(dest):
        # Without `follow` the link itself gives way, by a rename like any other content.
        neighbour = os.path.join(ctx.scratch(directory=os.path.dirname(dest) or "."), "file")
        install(draft, neighbour, mode=mode, keep=content.keep)
        os.rename(neighbour, dest)
    else:
        install(draft, dest, mode=mode, in_place=unsafe, keep=content.keep)
    try:
        apply_permissions(ctx, dest, follow=ctx.args["follow"])
    except ModuleFailed as error:
        error.reply = dict(path_info(dest), path=dest, checksum=found.sha1, **error.reply)
        raise
    reply = dict(path_info(dest), checksum=found.sha1, md5sum=found.md5)
    return dict(reply, backup_file=kept) if kept else reply


def place_folder(ctx: Context, path: str, *, like: str | None = None) -> bool:
    """Make a folder and its parents; new ones get ``directory_mode``, owner and group."""
    if os.path.isdir(path):
        return False
    if os.path.lexists(path):
        ctx.fail("cannot make the folder {}: something else is there".format(path), path=path)
    if ctx.check:
        return True
    place_folder(ctx, os.path.dirname(path.rstrip("/")) or ".")
    try:
        os.mkdir(path)
    except OSError as error:
        ctx.fail("cannot make the folder {}: {}".format(path, error.strerror), path=path)
    mode = ctx.args["directory_mode"]
    if like is not None and mode is None:
        mode = "%04o" % stat.S_IMODE(os.stat(like).st_mode)
    elif mode == "preserve":
        mode = None
    apply_permissions(_with_mode(ctx, mode), path)
    return True


def place_link(ctx: Context, target: str, path: str) -> bool:
    """Make ``path`` a symbolic link to ``target``."""
    if os.path.islink(path) and os.readlink(path) == target:
        return False
    if os.path.isdir(path) and not os.path.islink(path):
        ctx.fail("cannot put a link in the place of the folder {}".format(path), path=path)
    if not ctx.check:
        put_link(ctx, path, lambda name: os.symlink(target, name))
    return True


def inside(ctx: Context, dest: str, relative: str) -> str:
    """Join a relative path to ``dest``; it may not lead out of it."""
    if relative.startswith("/") or ".." in relative.split("/"):
        ctx.fail("the entry {!r} leads out of the destination".format(relative))
    return os.path.join(dest, relative) if relative else dest


def walk(source: str, *, follow: bool) -> Iterator[tuple[str, str]]:
    """Yield (kind, relative path) of everything below ``source``, folders before what they hold."""
    for base, folders, files in os.walk(source, followlinks=follow):
        for name in sorted(folders + files):
            path = os.path.join(base, name)
            relative = os.path.relpath(path, source)
            if os.path.islink(path) and not (follow and os.path.exists(path)):
                yield "link", relative
            elif os.path.isdir(path):
                yield "directory", relative
            elif os.path.isfile(path):
                yield "file", relative

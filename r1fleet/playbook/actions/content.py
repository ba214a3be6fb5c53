"""copy and template: the controller offers content by its hash, the host takes it if it differs."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from r1fleet.errors import Where
from r1fleet.inventory import vault
from r1fleet.modules._fragments import joined, read_whole
from r1fleet.playbook.digests import digest_of
from r1fleet.playbook.filters import to_bool
from r1fleet.playbook.lookups_files import about_template, find_file, search_folders
from r1fleet.playbook.template_files import Marks, render_file
from r1fleet.playbook.templating import TemplateFailed
from r1fleet.playbook.work import Work
from r1fleet.transport import Blob, Call

Offer = tuple[list[dict[str, Any]], tuple[Blob, ...]]


def plan_copy(work: Work) -> Call:
    """Return the call that puts files, a tree or text at their place."""
    args = dict(work.args)
    if to_bool(args.get("remote_src")):
        return work.call("copy", args)
    if "content" in args:
        if args.get("src"):
            raise TemplateFailed("parameters are mutually exclusive: src|content", where=work.task.where)
        content = args.pop("content")
        if str(args.get("dest", "")).endswith("/"):
            raise TemplateFailed("can not use content with a dir as dest", where=work.task.where)
        text = content if isinstance(content, str) else json.dumps(content)
        entries, blobs = of_bytes(text.encode("utf-8", "surrogateescape"))
    else:
        if not args.get("src"):
            raise TemplateFailed("src (or content) is required", where=work.task.where)
        source = source_path(work, str(args.pop("src")), "files")
        entries, blobs = of_path(
            source,
            whole=str(work.args["src"]).endswith("/"),
            follow=to_bool(args.get("local_follow", True)) is not False,
            decrypt=to_bool(args.get("decrypt", True)) is not False,
        )
        args["_name"] = source.name
    return work.call("copy", {**args, "_entries": entries}, blobs)


def plan_template(work: Work) -> Call:
    """Return the call that puts a rendered template at its place."""
    args = dict(work.args)
    path = source_path(work, str(args["src"]), "templates")
    marks = Marks(
        **{column.name: _mark(column.name, args[column.name]) for column in fields(Marks) if column.name in args}
    )
    encoding = str(args.get("output_encoding") or "utf-8")
    text = render_file(
        path,
        tuple(search_folders(work.scope, "templates")),
        work.scope.over({**about_template(path, work.scope), "template_destpath": args.get("dest")}),
        marks,
    )
    try:
        entries, blobs = of_bytes(text.encode(encoding))
    except (UnicodeEncodeError, LookupError) as error:
        raise TemplateFailed(f"cannot write the text as {encoding}: {error}", where=Where(str(path))) from error
    entries[0]["mode"] = _mode(path.stat())
    return work.call("template", {**args, "_entries": entries, "_name": path.name}, blobs)


def plan_uri(work: Work) -> Call:
    """Return the call that sends a request; files that it sends are the controller's, unless ``remote_src`` says no."""
    args = dict(work.args)
    names = [] if to_bool(args.get("remote_src", False)) else list(_sent_files(args))
    entries: list[dict[str, Any]] = []
    blobs: list[Blob] = []
    for name in dict.fromkeys(names):
        found, more = of_path(source_path(work, name, "files"), whole=False, follow=True)
        entries += [{**entry, "path": name} for entry in found]
        blobs += more
    return work.call("uri", {**args, "_entries": entries} if entries else args, tuple(blobs))


def plan_assemble(work: Work) -> Call:
    """Return the call that joins a folder's files: the host's own, or the controller's without ``remote_src``."""
    args = dict(work.args)
    if to_bool(args.get("remote_src", True)):
        return work.call("assemble", args)
    source = source_path(work, str(args["src"]), "files")
    if not source.is_dir():
        raise TemplateFailed(f"Source ({args['src']}) is not a directory", where=work.task.where)
    plain = to_bool(args.get("decrypt", True)) is not False
    try:
        content = joined(
            str(source),
            regexp=args.get("regexp"),
            delimiter=args.get("delimiter"),
            ignore_hidden=bool(to_bool(args.get("ignore_hidden", False))),
            read=_plain_bytes if plain else read_whole,
        )
    except (OSError, re.error) as error:
        raise TemplateFailed(f"cannot join the files of {source}: {error}", where=work.task.where) from error
    entries, blobs = of_bytes(content)
    passed = {name: value for name, value in args.items() if name not in _OF_ASSEMBLE}
    return work.call("copy", {**passed, "_entries": entries, "_name": source.name}, blobs)


_OF_ASSEMBLE = frozenset({"src", "remote_src", "regexp", "delimiter", "ignore_hidden", "decrypt"})


def _plain_bytes(path: str) -> bytes:
    content = read_whole(path)
    return vault.plain_bytes(content, Where(path, 1)) if vault.is_encrypted(content) else content


def _sent_files(args: Mapping[str, Any]) -> Iterator[str]:
    if args.get("src"):
        yield str(args["src"])
    body = args.get("body")
    if args.get("body_format") == "form-multipart" and isinstance(body, Mapping):
        for field in body.values():
            if isinstance(field, Mapping) and field.get("filename") and field.get("content") is None:
                yield str(field["filename"])


def of_bytes(content: bytes) -> Offer:
    """Offer bytes that are at hand."""
    digest = hashlib.sha256(content).hexdigest()
    entry = {"path": "", "kind": "file", "sha256": digest, "size": len(content), "mode": ""}
    return [entry], (Blob(digest, len(content), partial(io.BytesIO, content)),)


def of_path(source: Path, *, whole: bool, follow: bool, decrypt: bool = True) -> Offer:
    """Offer a file, or a folder (``whole``: its content without itself); encrypted files are decrypted on the way."""
    if not source.is_dir():
        entry, blob = _of_file(source, "", decrypt=decrypt)
        return [entry], (blob,)
    entries: list[dict[str, Any]] = []
    blobs: list[Blob] = []
    prefix = "" if whole else source.name
    if prefix:
        entries.append({"path": prefix, "kind": "directory", "mode": _mode(source.stat()), "sha256": "", "size": 0})
    for path, kind in _walk(source, follow=follow):
        relative = str(Path(prefix) / path.relative_to(source))
        if kind == "file":
            entry, blob = _of_file(path, relative, decrypt=decrypt)
            entries.append(entry)
            blobs.append(blob)
        elif kind == "link":
            entries.append(
                {"path": relative, "kind": "link", "target": str(path.readlink()), "mode": "", "sha256": "", "size": 0}
            )
        else:
            entries.append({"path": relative, "kind": "directory", "mode": _mode(path.stat()), "sha256": "", "size": 0})
    return entries, tuple({blob.sha256: blob for blob in blobs}.values())


def source_path(work: Work, name: str, kind: str) -> Path:
    """Find a controller's file."""
    found = find_file(work.scope, name, kind) if name else None
    if found is None:
        looked = ", ".join(str(folder / name) for folder in search_folders(work.scope, kind))
        raise TemplateFailed(
            f"Could not find or access {name!r} on the controller", where=work.task.where, hint=f"looked at {looked}"
        )
    return found.resolve() if found.is_dir() else found


def _mark(name: str, value: Any) -> Any:
    if name in {"trim_blocks", "lstrip_blocks"}:
        return bool(to_bool(value))
    return {"\\n": "\n", "\\r": "\r", "\\r\\n": "\r\n"}.get(value, value) if name == "newline_sequence" else value


def _walk(
    folder: Path, *, follow: bool, around: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[tuple[Path, str]]:
    """Yield what lies in a folder; a link that leads nowhere, or back around it, stays one."""
    around |= {_identity(folder.stat())}
    for entry in sorted(os.scandir(folder), key=lambda each: each.name):
        path = Path(entry.path)
        is_folder = path.is_dir() if follow else entry.is_dir(follow_symlinks=False)
        circular = is_folder and entry.is_symlink() and _identity(entry.stat()) in around
        if circular or (entry.is_symlink() and not (follow and path.exists())):
            yield path, "link"
        elif is_folder:
            yield path, "directory"
            yield from _walk(path, follow=follow, around=around)
        else:
            yield path, "file"


def _identity(info: os.stat_result) -> tuple[int, int]:
    return info.st_dev, info.st_ino


def _of_file(path: Path, relative: str, *, decrypt: bool) -> tuple[dict[str, Any], Blob]:
    try:
        info = path.stat()
        if decrypt and _is_encrypted(path):
            (entry,), (blob,) = of_bytes(vault.plain_bytes(path.read_bytes(), Where(str(path), 1)))
            return {**entry, "path": relative, "mode": _mode(info)}, blob
        digest = digest_of(path, info)
    except OSError as error:
        raise TemplateFailed(f"cannot read {path}: {error.strerror}") from error
    entry = {"path": relative, "kind": "file", "sha256": digest, "size": info.st_size, "mode": _mode(info)}
    return entry, Blob(digest, info.st_size, partial(_open, path))


def _is_encrypted(path: Path) -> bool:
    with path.open("rb") as stream:
        return vault.is_encrypted(stream.read(len(vault.HEADER)))


def _open(path: Path) -> BinaryIO:
    return path.open("rb")


def _mode(info: os.stat_result) -> str:
    return f"{stat.S_IMODE(info.st_mode):04o}"

"""What hubs hold of a model: both interfaces, read into the same rows."""

from __future__ import annotations

import re
import urllib.parse
from typing import Any

from r1fleet.modules._hub import Hub
from r1fleet.modules._hub_refusals import Asked, Refused

MOST = 3000
"""ModelScope cuts a listing off after so many entries, without a word."""

_COMMIT = re.compile(r"^[0-9a-f]{40}$")


def listing(hub: Hub, model: str, revision: str) -> tuple[str, list[dict[str, Any]]]:
    """Return the commit that a revision stands for ("" where the hub does not tell), and every file at it."""
    if hub.kind == "modelscope":
        return "", _of_modelscope(hub, model, revision)
    return _of_hugging_face(hub, model, revision)


def address(hub: Hub, model: str, revision: str, path: str) -> str:
    """Return where a hub serves a file."""
    if hub.kind == "modelscope":
        asked = {"Revision": _branch(revision), "FilePath": path}
        return "/api/v1/models/%s/repo?%s" % (urllib.parse.quote(model), urllib.parse.urlencode(asked))
    words = (urllib.parse.quote(model), urllib.parse.quote(revision, safe=""), urllib.parse.quote(path))
    return "/%s/resolve/%s/%s" % words


def _of_hugging_face(hub: Hub, model: str, revision: str) -> tuple[str, list[dict[str, Any]]]:
    base = "/api/models/%s" % urllib.parse.quote(model)
    told, _ = hub.json(
        "%s/revision/%s" % (base, urllib.parse.quote(revision, safe="")), Asked(model, revision=revision)
    )
    commit = str(told.get("sha") or "") if isinstance(told, dict) else ""
    if not _COMMIT.match(commit):
        raise _unreadable(hub, model)
    rows: list[dict[str, Any]] = []
    page = "%s/tree/%s?recursive=true&expand=false" % (base, commit)
    seen: set[str] = set()
    while page:
        seen.add(page)
        entries, page = hub.json(page, Asked(model, revision=revision))
        if not _are_rows(entries) or page in seen:
            raise _unreadable(hub, model)
        rows.extend(_read(hub, model, entry, "oid") for entry in entries if entry.get("type") != "directory")
    return commit, rows


def _of_modelscope(hub: Hub, model: str, revision: str) -> list[dict[str, Any]]:
    try:
        entries = _tree(hub, model, _branch(revision), "")
    except Refused as refused:
        if refused.reason == "model":
            _refuse_revision(hub, model, _branch(revision))
        raise
    return [_read(hub, model, entry, "BlobId") for entry in entries if entry.get("Type") != "tree"]


def _tree(hub: Hub, model: str, revision: str, root: str) -> list[dict[str, Any]]:
    """List a folder with all that is below it; where that is cut off, one folder after the other."""
    entries = _page(hub, model, revision, root, recursive=True)
    if len(entries) < MOST:
        return entries
    direct = _page(hub, model, revision, root, recursive=False)
    if len(direct) >= MOST:
        text = "%s: its listing of %s is cut off after %d entries in one folder" % (hub.name, model, MOST)
        raise Refused("listing", text, "take another hub, or download the model by hand and use its folder")
    folders = [str(entry.get("Path")) for entry in direct if entry.get("Type") == "tree"]
    if not all(folder.startswith(root and root + "/") and folder.strip("/") != root for folder in folders):
        raise _unreadable(hub, model)  # it would never end
    return direct + [below for folder in folders for below in _tree(hub, model, revision, folder)]


def _page(hub: Hub, model: str, revision: str, root: str, *, recursive: bool) -> list[dict[str, Any]]:
    asked = {"Revision": revision, "Recursive": str(recursive)}
    if root:
        asked["Root"] = root
    path = "/api/v1/models/%s/repo/files?%s" % (urllib.parse.quote(model), urllib.parse.urlencode(asked))
    told, _ = hub.json(path, Asked(model))
    data = told.get("Data") if isinstance(told, dict) else None
    entries = data.get("Files") if isinstance(data, dict) else data
    if not isinstance(entries, list) or not _are_rows(entries):
        raise _unreadable(hub, model)
    return entries


def _are_rows(entries: Any) -> bool:
    return isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)


def _refuse_revision(hub: Hub, model: str, revision: str) -> None:
    """Tell a missing revision from a missing model: both are a 404."""
    told, _ = hub.json("/api/v1/models/%s/revisions" % urllib.parse.quote(model), Asked(model))
    data = told.get("Data") if isinstance(told, dict) else None
    kinds = data.get("RevisionMap") if isinstance(data, dict) else None
    kinds = kinds if isinstance(kinds, dict) else {}
    found = [kinds[kind] for kind in ("Branches", "Tags") if _are_rows(kinds.get(kind))]
    known = [str(row.get("Revision")) for rows in found for row in rows]
    if known and revision not in known:
        text = "%s: %s has no revision %s" % (hub.name, model, revision)
        raise Refused("revision", text, "it has: " + ", ".join(known[:10]))


def _read(hub: Hub, model: str, entry: Any, git: str) -> dict[str, Any]:
    """Read one entry; a hash that is none counts as not told."""
    try:
        lfs = entry.get("lfs") or {}
        path = str(entry.get("path") or entry["Path"])
        size = int(lfs.get("size") or entry.get("size", entry.get("Size")))
        kind = entry.get("type") or entry.get("Type") or "blob"
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(hub, model) from error
    if kind not in ("file", "blob"):
        text = "%s: %s in %s is a %s, not a file" % (hub.name, ascii(path), model, ascii(kind))
        raise Refused("listing", text, "download the model by hand and use its folder")
    sha256 = str(lfs.get("oid") or lfs.get("sha256") or entry.get("Sha256") or "").lower()
    sha256 = sha256 if re.match(r"^[0-9a-f]{64}$", sha256) else ""
    blob = str(entry.get(git) or "")
    is_git = not sha256 and _COMMIT.match(blob) is not None and git == "oid"
    return {"path": path, "size": size, "sha256": sha256, "git": blob if is_git else ""}


def _branch(revision: str) -> str:
    """Name a revision as ModelScope does: its main branch is master."""
    return "master" if revision == "main" else revision


def _unreadable(hub: Hub, model: str) -> Refused:
    text = "%s: its listing of %s cannot be read" % (hub.name, model)
    return Refused("listing", text, "take another source; the hub may have changed its interface")

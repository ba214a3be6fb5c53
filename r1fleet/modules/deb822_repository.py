"""Keep one source of packages in a file of its own, with the key that signs it."""

from __future__ import annotations

import os
import re
import stat
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.files import apply_permissions, content_diff, path_info, read_bytes, write_bytes
from r1fleet.modules._edits import wanted_mode
from r1fleet.modules._openpgp import NoKey, fetch_key, is_armored, is_url

_FIELDS: dict[str, dict[str, Any]] = {
    "allow_downgrade_to_insecure": {"type": "bool"},
    "allow_insecure": {"type": "bool"},
    "allow_weak": {"type": "bool"},
    "architectures": {"type": "list", "elements": "str"},
    "by_hash": {"type": "bool"},
    "check_date": {"type": "bool"},
    "check_valid_until": {"type": "bool"},
    "components": {"type": "list", "elements": "str"},
    "date_max_future": {"type": "int"},
    "enabled": {"type": "bool"},
    "inrelease_path": {"type": "str"},
    "languages": {"type": "list", "elements": "str"},
    "name": {"type": "str", "required": True},
    "pdiffs": {"type": "bool"},
    "signed_by": {"type": "str"},
    "suites": {"type": "list", "elements": "str"},
    "targets": {"type": "list", "elements": "str"},
    "trusted": {"type": "bool"},
    "types": {"type": "list", "elements": "str", "default": ["deb"], "choices": ["deb", "deb-src"]},
    "uris": {"type": "list", "elements": "str"},
}
ARGUMENTS = dict(
    _FIELDS,
    mode={"type": "raw", "default": "0644"},
    state={"type": "str", "default": "present", "choices": ["absent", "present"]},
)
LOCAL = True
CHECK_MODE = True

SOURCES = "/etc/apt/sources.list.d"
KEYRINGS = "/etc/apt/keyrings"
_FIELD_NAMES = {"name": "X-Repolib-Name", "uris": "URIs"}


def run(ctx: Context) -> dict[str, Any]:
    """Write the file and its key, or remove both."""
    slug = _slug(ctx.args["name"])
    if not slug:
        ctx.fail("name must hold a letter, a digit or a hyphen to name files after, got {!r}".format(ctx.args["name"]))
    dest = os.path.join(SOURCES, slug + ".sources")
    reply = _absent(ctx, slug, dest) if ctx.args["state"] == "absent" else _present(ctx, slug, dest)
    reply["dest"] = dest
    return dict(path_info(dest), **reply) if os.path.exists(dest) else reply


def stanza(args: dict[str, Any]) -> str:
    """Return the file's text: a line for each field that has a value, in the order of the arguments' names."""
    rows = [(name, args.get(name)) for name in sorted(_FIELDS)]
    return "".join("{}:{}\n".format(_field(name), _value(value)) for name, value in rows if value is not None)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9-]", "", re.sub(r"[_\s]+", "-", name.lower()))


def _field(name: str) -> str:
    return _FIELD_NAMES.get(name) or "-".join(word.capitalize() for word in name.split("_"))


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return " yes" if value else " no"
    if isinstance(value, list):
        return " " + " ".join(value)
    lines = str(value).strip().splitlines()
    if len(lines) < 2:
        return " {}".format(value)
    # A key as text: below its field's name, an empty line as a dot.
    return "".join("\n    " + (line.strip() or ".") for line in lines)


def _present(ctx: Context, slug: str, dest: str) -> dict[str, Any]:
    key_path, key = _key(ctx, slug)
    text = stanza(dict(ctx.args, signed_by=key_path or ctx.args["signed_by"]))
    diffs: list[dict[str, Any]] = []
    changed = key is not None and _store_key(ctx, key_path, key, diffs)
    changed = _store_source(ctx, dest, text.encode("utf-8", "surrogateescape"), diffs) or changed
    reply: dict[str, Any] = {"changed": changed, "repo": text, "key_filename": key_path or None}
    return dict(reply, diff=diffs) if ctx.diff else reply


def _key(ctx: Context, slug: str) -> tuple[str, bytes | None]:
    """Return the path of the key's file, empty for other ways to name a key, and what was fetched to lie there."""
    signed_by = ctx.args["signed_by"] or ""
    if os.path.isfile(signed_by):
        return signed_by, None
    if not is_url(signed_by):
        return "", None
    try:
        content = fetch_key(ctx, signed_by)
    except NoKey as error:
        ctx.fail("Could not fetch signed_by key: {}".format(error))
    return _key_paths(slug)[0 if is_armored(content) else 1], content


def _key_paths(slug: str) -> list[str]:
    return [os.path.join(KEYRINGS, "{}.{}".format(slug, ending)) for ending in ("asc", "gpg")]


def _store_key(ctx: Context, path: str, content: bytes, diffs: list[dict[str, Any]]) -> bool:
    before = read_bytes(path)
    wrong_mode = before is not None and stat.S_IMODE(os.stat(path).st_mode) != 0o644
    if before == content and not wrong_mode:
        return False
    if before != content:
        diffs.append(content_diff(before, content, path))
    if not ctx.check:
        os.makedirs(KEYRINGS, mode=0o755, exist_ok=True)
        # apt's own user reads the keys.
        os.chmod(KEYRINGS, 0o755)
        write_bytes(path, content, mode=0o644)
    return True


def _store_source(ctx: Context, dest: str, content: bytes, diffs: list[dict[str, Any]]) -> bool:
    before = read_bytes(dest)
    if before != content:
        diffs.append(content_diff(before, content, dest))
        if ctx.check:
            return True
        os.makedirs(SOURCES, exist_ok=True)
        write_bytes(dest, content, mode=wanted_mode(ctx, dest))
    return apply_permissions(ctx, dest) or before != content


def _absent(ctx: Context, slug: str, dest: str) -> dict[str, Any]:
    keys = _key_paths(slug)
    diffs: list[dict[str, Any]] = []
    present = [path for path in [dest, *keys] if os.path.lexists(path)]
    for path in present:
        diffs.append(content_diff(read_bytes(path), None, path))
        if not ctx.check:
            os.unlink(path)
    reply: dict[str, Any] = {"changed": bool(present), "repo": None, "key_filename": keys[-1]}
    return dict(reply, diff=diffs) if ctx.diff else reply

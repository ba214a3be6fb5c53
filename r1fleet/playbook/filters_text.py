"""Ansible's filters: text, paths and hashes."""

# Signatures are Ansible's and Jinja2's: their booleans may be given by position.
# ruff: noqa: FBT001, FBT002

from __future__ import annotations

import base64
import hashlib
import ntpath
import os
import posixpath
import re
import shlex
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

_COMMENTS = {
    "plain": {"decoration": "# "},
    "erlang": {"decoration": "% "},
    "c": {"decoration": "// "},
    "cblock": {"beginning": "/*", "decoration": " * ", "end": " */"},
    "xml": {"beginning": "<!--", "decoration": " - ", "end": "-->"},
}


class FilterError(ValueError):
    """A filter was given what it cannot work with."""


def comment(text: Any, style: str = "plain", **options: Any) -> str:
    """Make a comment of text."""
    if style not in _COMMENTS:
        raise FilterError(f"Invalid style {style!r}, valid styles: {', '.join(_COMMENTS)}")
    use = {
        "newline": "\n",
        "beginning": "",
        "end": "",
        "prefix_count": 1,
        "postfix_count": 1,
        **_COMMENTS[style],
        **options,
    }
    newline, decoration = use["newline"], use["decoration"]
    prefix, postfix = use.get("prefix", decoration.rstrip()), use.get("postfix", decoration.rstrip())
    begin = f"{use['beginning']}{newline}" if use["beginning"] else ""
    before = (prefix if prefix == newline else f"{prefix}{newline}") * int(use["prefix_count"]) if prefix else ""
    body = "\n".join(f"{decoration}{line}".rstrip() for line in str(text).split(newline))
    after = f"{newline}{postfix}" * int(use["postfix_count"])
    end = f"{newline}{use['end']}" if use["end"] else ""
    return f"{begin}{before}{body}{after}{end}"


def regex_replace(
    value: Any,
    pattern: str = "",
    replacement: str = "",
    ignorecase: bool = False,
    multiline: bool = False,
    count: int = 0,
    mandatory_count: int = 0,
) -> str:
    """Replace what a pattern matches; ``mandatory_count`` is how often it has to."""
    text, times = re.subn(pattern, replacement, str(value), count=count, flags=_flags(ignorecase, multiline))
    if mandatory_count and mandatory_count != times:
        what = f"'{pattern}' should match {mandatory_count} times, but matches {times} times in '{value}'"
        raise FilterError(what)
    return text


def regex_search(value: Any, pattern: str, *groups: str, ignorecase: bool = False, multiline: bool = False) -> Any:
    """Return the first match, or its groups."""
    found = re.search(pattern, str(value), _flags(ignorecase, multiline))
    if found is None:
        return None
    if not groups:
        return found.group()
    return [found.group(_group(name)) for name in groups]


def _group(name: str) -> str | int:
    if name.startswith("\\g"):
        return name[3:-1] if name.startswith("\\g<") else name[2:]
    if name.startswith("\\"):
        return int(name[1:])
    raise FilterError("Unknown argument")


def regex_findall(value: Any, pattern: str, multiline: bool = False, ignorecase: bool = False) -> list[Any]:
    """Return all matches."""
    return re.findall(pattern, str(value), _flags(ignorecase, multiline))


def regex_escape(value: Any, re_type: str = "python") -> str:
    """Escape what means something in a pattern."""
    if re_type == "posix_basic":
        return re.sub(r"([].[^$*\\])", r"\\\1", str(value))
    if re_type == "posix_extended":
        raise FilterError("Regex type (posix_extended) not yet implemented")
    if re_type != "python":
        raise FilterError(f"Invalid regex type ({re_type})")
    return re.escape(str(value))


def _flags(ignorecase: Any, multiline: Any) -> int:
    return (re.IGNORECASE if ignorecase else 0) | (re.MULTILINE if multiline else 0)


def split_text(value: Any, sep: str | None = None, maxsplit: int = -1) -> list[str]:
    """Split text."""
    return str(value).split(sep, maxsplit)


def quote(value: Any) -> str:
    """Quote for a shell."""
    return shlex.quote("" if value is None else str(value))


def b64encode(value: Any, encoding: str = "utf-8", urlsafe: bool = False) -> str:
    """Encode as base64."""
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    return encode(str(value).encode(encoding, "surrogateescape")).decode()


def b64decode(value: Any, encoding: str = "utf-8", urlsafe: bool = False) -> str:
    """Decode base64."""
    decode = base64.urlsafe_b64decode if urlsafe else base64.b64decode
    return decode(str(value)).decode(encoding, "surrogateescape")


def digest(value: Any, hashtype: str = "sha1") -> str:
    """Return the hash of text."""
    try:
        found = hashlib.new(hashtype)
    except ValueError as error:
        raise FilterError(f"unsupported hash type {hashtype}") from error
    found.update(str(value).encode("utf-8", "surrogateescape"))
    return found.hexdigest()


def path_join(value: Any) -> str:
    """Join the parts of a path."""
    if isinstance(value, str):
        return posixpath.join(value)
    if not isinstance(value, (list, tuple)):
        raise FilterError(f"|path_join expects string or sequence, got {type(value).__name__} instead.")
    return posixpath.join(*value)


def common_path(value: Any) -> str:
    """Return the path that all share."""
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        raise FilterError(f"|commonpath expects a sequence, got {type(value).__name__} instead.")
    return os.path.commonpath(value)


def format_time(form: str, second: Any = None, utc: bool = False) -> str:
    """Write a time."""
    try:
        moment = float(second) if second is not None else time.time()
    except (TypeError, ValueError) as error:
        raise FilterError(f"Invalid value for epoch value ({second})") from error
    return time.strftime(form, time.gmtime(moment) if utc else time.localtime(moment))


def url_split(value: str, query: str = "") -> Any:
    """Take a URL apart."""
    parts = urllib.parse.urlsplit(value)
    names = ("scheme", "netloc", "path", "query", "fragment", "username", "password", "hostname", "port")
    found = {name: getattr(parts, name) for name in names}
    if query and query not in found:
        raise FilterError(f"urlsplit: unknown URL component: {query}")
    return found[query] if query else found


TEXT_FILTERS: dict[str, Callable[..., Any]] = {
    "b64decode": b64decode,
    "b64encode": b64encode,
    "basename": lambda value: posixpath.basename(str(value)),
    "checksum": digest,
    "comment": comment,
    "commonpath": common_path,
    "dirname": lambda value: posixpath.dirname(str(value)),
    "expanduser": lambda value: str(Path(value).expanduser()),
    "expandvars": os.path.expandvars,
    "hash": digest,
    "md5": lambda value: digest(value, "md5"),
    "normpath": os.path.normpath,
    "path_join": path_join,
    "quote": quote,
    "realpath": os.path.realpath,
    "regex_escape": regex_escape,
    "regex_findall": regex_findall,
    "regex_replace": regex_replace,
    "regex_search": regex_search,
    "relpath": os.path.relpath,
    "sha1": digest,
    "split": split_text,
    "splitext": lambda value: list(posixpath.splitext(str(value))),
    "strftime": format_time,
    "urldecode": urllib.parse.unquote_plus,
    "urlsplit": url_split,
    "win_basename": ntpath.basename,
    "win_dirname": ntpath.dirname,
}

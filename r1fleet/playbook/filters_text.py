"""Ansible's filters: text, paths, numbers and hashes."""

# Signatures are Ansible's and Jinja2's: their booleans may be given by position.
# ruff: noqa: FBT001, FBT002

from __future__ import annotations

import base64
import hashlib
import math
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

_UNITS = {"B": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50, "E": 2**60, "Z": 2**70, "Y": 2**80}
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
    lines = [f"{decoration}{line}".rstrip() for line in str(text).split(newline)]
    parts = [use["beginning"]] if use["beginning"] else []
    if prefix:
        parts += [prefix.rstrip()] * int(use["prefix_count"])
    parts += lines
    if postfix:
        parts += [postfix.rstrip()] * int(use["postfix_count"])
    if use["end"]:
        parts.append(use["end"])
    return str(newline.join(parts))


def regex_replace(
    value: Any,
    pattern: str = "",
    replacement: str = "",
    ignorecase: bool = False,
    multiline: bool = False,
    count: int = 0,
) -> str:
    """Replace what a pattern matches."""
    return re.sub(pattern, replacement, str(value), count=count, flags=_flags(ignorecase, multiline))


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
    return re.escape(str(value))


def _flags(ignorecase: Any, multiline: Any) -> int:
    return (re.IGNORECASE if ignorecase else 0) | (re.MULTILINE if multiline else 0)


def split_text(value: Any, sep: str | None = None, maxsplit: int = -1) -> list[str]:
    """Split text."""
    return str(value).split(sep, maxsplit)


def quote(value: Any) -> str:
    """Quote for a shell."""
    return shlex.quote("" if value is None else str(value))


def b64encode(value: Any, encoding: str = "utf-8") -> str:
    """Encode as base64."""
    return base64.b64encode(str(value).encode(encoding)).decode()


def b64decode(value: Any, encoding: str = "utf-8") -> str:
    """Decode base64."""
    return base64.b64decode(str(value)).decode(encoding, "surrogateescape")


def digest(value: Any, hashtype: str = "sha1") -> str:
    """Return the hash of text."""
    return hashlib.new(hashtype, str(value).encode()).hexdigest()


def path_join(value: Any) -> str:
    """Join the parts of a path."""
    return posixpath.join(value) if isinstance(value, str) else posixpath.join(*value)


def common_path(value: list[str]) -> str:
    """Return the path that all share."""
    return os.path.commonpath(value)


def human_readable(size: Any, isbits: bool = False, unit: str | None = None) -> str:
    """Write a size with its unit."""
    base = "bits" if isbits else "Bytes"
    for suffix, limit in sorted(_UNITS.items(), key=lambda pair: -pair[1]):
        if (unit is None and float(size) >= limit) or (unit is not None and unit.upper() == suffix):
            return f"{float(size) / limit:.2f} {suffix + ('b' if isbits else 'B') if limit != 1 else base}"
    return f"{float(size):.2f} {base}"


def human_to_bytes(size: Any, default_unit: str | None = None, isbits: bool = False) -> int:
    """Read a size with its unit."""
    found = re.match(r"^\s*([0-9]*\.?[0-9]+)\s*([A-Za-z]+)?\s*$", str(size))
    unit = (found.group(2) or default_unit or "B")[0].upper() if found else ""
    if found is None or unit not in _UNITS:
        raise FilterError(f"human_to_bytes() can't interpret the string: {size}")
    del isbits
    return round(float(found.group(1)) * _UNITS[unit])


def logarithm(value: float, base: float = math.e) -> float:
    """Return a logarithm."""
    return math.log10(value) if base == 10 else math.log(value, base)


def root(value: float, base: float = 2) -> float:
    """Return a root."""
    return math.sqrt(value) if base == 2 else math.pow(value, 1.0 / base)


def format_time(form: str, second: Any = None, utc: bool = False) -> str:
    """Write a time."""
    moment = float(second) if second is not None else time.time()
    return time.strftime(form, time.gmtime(moment) if utc else time.localtime(moment))


def url_split(value: str, query: str = "") -> Any:
    """Take a URL apart."""
    parts = urllib.parse.urlsplit(value)
    names = ("scheme", "netloc", "path", "query", "fragment", "username", "password", "hostname", "port")
    found = {name: getattr(parts, name) for name in names}
    if query and query not in found:
        raise FilterError(f"urlsplit: unknown part {query}")
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
    "human_readable": human_readable,
    "human_to_bytes": human_to_bytes,
    "log": logarithm,
    "md5": lambda value: digest(value, "md5"),
    "normpath": os.path.normpath,
    "path_join": path_join,
    "pow": math.pow,
    "quote": quote,
    "realpath": os.path.realpath,
    "regex_escape": regex_escape,
    "regex_findall": regex_findall,
    "regex_replace": regex_replace,
    "regex_search": regex_search,
    "relpath": os.path.relpath,
    "root": root,
    "sha1": digest,
    "split": split_text,
    "splitext": lambda value: list(posixpath.splitext(str(value))),
    "strftime": format_time,
    "urldecode": urllib.parse.unquote_plus,
    "urlsplit": url_split,
    "win_basename": ntpath.basename,
    "win_dirname": ntpath.dirname,
}

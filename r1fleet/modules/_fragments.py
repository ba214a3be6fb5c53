"""Join files of a folder to one text, as assemble does on the host and on the controller."""

from __future__ import annotations

import os
import re
from typing import Callable


def read_whole(path: str) -> bytes:
    """Return a file's content."""
    with open(path, "rb") as stream:
        return stream.read()


def joined(
    folder: str,
    *,
    regexp: str | None,
    delimiter: str | None,
    ignore_hidden: bool,
    read: Callable[[str], bytes] = read_whole,
) -> bytes:
    """Return the content of the folder's files, by name; each ends its line before the next begins."""
    matches = re.compile(regexp).search if regexp else None
    between = unescaped(delimiter).encode("utf-8", "surrogateescape") if delimiter else b""
    if between and not between.endswith(b"\n"):
        between += b"\n"
    text = b""
    first = True
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if (matches and not matches(name)) or not os.path.isfile(path) or (ignore_hidden and name.startswith(".")):
            continue
        if not first:
            text += (b"" if text.endswith(b"\n") else b"\n") + between
        text += read(path)
        first = False
    return text


def unescaped(text: str) -> str:
    r"""Return the text with \n and its like put in."""
    return re.sub(r"\\(x[0-9a-fA-F]{2}|[abfnrtv\\'\"0])", lambda found: _meant(found.group(1)), text)


_MEANT = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "0": "\0"}


def _meant(code: str) -> str:
    return chr(int(code[1:], 16)) if code[0] == "x" else _MEANT.get(code, code)

"""File modes as people write them: octal numbers, octal text, and chmod's symbols."""

from __future__ import annotations

import re
import stat
from typing import Union

_CLAUSE = re.compile(r"^([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]))+)$")
_ACTION = re.compile(r"([-+=])([rwxXstugo]*)")
_SHIFT = {"u": 6, "g": 3, "o": 0}
_BITS = {"r": 4, "w": 2, "x": 1}


def parse_mode(mode: Union[str, int], status: int, umask: int) -> int:
    """Return the permission bits that ``mode`` asks for on a file whose st_mode is ``status``.

    Raise ValueError where it is neither octal nor symbolic.
    """
    if isinstance(mode, int):
        number = mode
    else:
        try:
            number = int(mode, 8)
        except ValueError:
            return symbolic_mode(mode, status, umask)
    if not 0 <= number <= 0o7777:
        raise ValueError("%o is no file mode" % number)
    return number


def symbolic_mode(text: str, status: int, umask: int) -> int:
    """Apply ``u=rwX,g-w`` and the like to a file's st_mode."""
    bits = stat.S_IMODE(status)
    for clause in text.replace(" ", "").split(","):
        match = _CLAUSE.match(clause)
        if match is None:
            raise ValueError("bad symbolic permission: %s" % clause)
        users = match.group(1).replace("a", "ugo") or "ugo"
        masked = umask if not match.group(1) else 0
        for sign, what in _ACTION.findall(match.group(2)):
            for user in users:
                bits = _apply(bits, sign, user, _wanted(what, user, bits, status, masked))
    return bits


def _wanted(what: str, user: str, bits: int, status: int, masked: int) -> int:
    wanted = 0
    for letter in what:
        if letter in _SHIFT:
            wanted |= ((bits >> _SHIFT[letter]) & 7) << _SHIFT[user]
        elif letter == "X":
            if stat.S_ISDIR(status) or stat.S_IMODE(status) & 0o111:
                wanted |= 1 << _SHIFT[user]
        elif letter == "s":
            wanted |= {"u": stat.S_ISUID, "g": stat.S_ISGID, "o": 0}[user]
        elif letter == "t":
            wanted |= stat.S_ISVTX if user == "o" else 0
        else:
            wanted |= _BITS[letter] << _SHIFT[user]
    return wanted & ~masked


def _apply(bits: int, sign: str, user: str, wanted: int) -> int:
    if sign == "+":
        return bits | wanted
    if sign == "-":
        return bits & ~wanted
    own = (7 << _SHIFT[user]) | {"u": stat.S_ISUID, "g": stat.S_ISGID, "o": stat.S_ISVTX}[user]
    return (bits & ~own) | wanted

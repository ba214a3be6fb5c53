"""Host names as an inventory writes them: ranges and ports."""

from __future__ import annotations

import ipaddress
import re
import string
from collections.abc import Iterator

from r1fleet.errors import InventoryError, Where

MOST_HOSTS = 65536
_RANGE_HINT = "write [1:16], [01:16] (keeps the zeros), [1:16:2] (every second) or [a:f]"
_RANGE = re.compile(r"\[([^\[\]]*)\]")
_PORT = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|(?:[^:\[\]]|\[[^\[\]]*\])+):(?P<port>\d+)")


def expand(written: str, where: Where) -> tuple[list[str], int | None]:
    """Return the hosts that ``written`` names and the port it gives them.

    >>> expand("node[08:10].example:2222", Where())
    (['node08.example', 'node09.example', 'node10.example'], 2222)
    """
    name, port = _split_port(written, where)
    if not name or re.search(r"\s", name):
        raise InventoryError(
            f"{written!r} is no host name", where=where, hint="a host is one word; its variables go below"
        )
    if _is_bracketed_address(name):
        return [name[1:-1]], port
    return list(_expand(name, where)), port


def _split_port(written: str, where: Where) -> tuple[str, int | None]:
    match = _PORT.fullmatch(written)
    if match is None:
        return written, None
    port = int(match["port"])
    if not 0 < port < 65536:
        raise InventoryError(f"{port} is no port number", where=where, hint="a port is between 1 and 65535")
    return match["name"], port


def _is_bracketed_address(name: str) -> bool:
    if not (name.startswith("[") and name.endswith("]")):
        return False
    try:
        ipaddress.IPv6Address(name[1:-1])
    except ValueError:
        return False
    return True


def _expand(name: str, where: Where) -> Iterator[str]:
    match = _RANGE.search(name)
    if match is None:
        if "[" in name or "]" in name:
            raise InventoryError(f"{name}: a bracket without its twin", where=where, hint=_RANGE_HINT)
        yield name
        return
    head, tail = name[: match.start()], name[match.end() :]
    members = _range(match[1], name, where)
    endings = list(_expand(tail, where))
    if len(members) * len(endings) > MOST_HOSTS:
        raise InventoryError(f"{name} names more than {MOST_HOSTS} hosts", where=where, hint=_RANGE_HINT)
    for member in members:
        for ending in endings:
            yield f"{head}{member}{ending}"


def _range(text: str, name: str, where: Where) -> list[str]:
    """Return the members of a range, ``begin:end`` or ``begin:end:step``, both ends included."""
    parts = text.split(":")
    begin, end, step = (*parts, "1")[:3] if len(parts) in (2, 3) else ("", "", "")
    begin = begin or "0"
    letters = string.ascii_letters
    if step.isdecimal() and int(step) > 0:
        if begin.isdecimal() and end.isdecimal():
            return _numbers(begin, end, int(step), name, where)
        if len(begin) == len(end) == 1 and begin in letters and end in letters:
            members = letters[letters.index(begin) : letters.index(end) + 1 : int(step)]
            if members:
                return list(members)
    raise InventoryError(f"{name}: [{text}] is no range of hosts", where=where, hint=_RANGE_HINT)


def _numbers(begin: str, end: str, step: int, name: str, where: Where) -> list[str]:
    padded = len(begin) > 1 and begin.startswith("0")
    if padded and len(begin) != len(end):
        raise InventoryError(
            f"{name}: [{begin}:{end}] has ends of different lengths",
            where=where,
            hint=f"write [{begin}:{end.zfill(len(begin))}], or no leading zeros",
        )
    first, last = int(begin), int(end)
    if first > last:
        raise InventoryError(f"{name}: [{begin}:{end}] counts down", where=where, hint=f"write [{end}:{begin}]")
    if (last - first) // step >= MOST_HOSTS:
        raise InventoryError(f"{name} names more than {MOST_HOSTS} hosts", where=where, hint=_RANGE_HINT)
    return [str(number).zfill(len(begin) if padded else 0) for number in range(first, last + 1, step)]

"""Find a moment in a log by the times that engines write into their lines."""

from __future__ import annotations

import calendar
import re
import time
from typing import Any, Iterator, Optional, Tuple

BLOCK = 256 * 1024

_HEAD = 96  # where a line's own time stands; further on, times are what it talks about
_FULL = re.compile(rb"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)")  # SGLang, LMDeploy, Python's logging
_YEARLESS = re.compile(
    rb"(?:^|[\s)\]])(?:[A-Z]+ )?(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)\b"  # vLLM: INFO 02-12 11:22:33
    rb"|^(?:\[\w+\]:)?[DIWEF](\d\d)(\d\d) (\d\d):(\d\d):(\d\d)"  # torch: W0212 11:22:33.123
)


def find(stream: Any, size: int, moment: float, *, utc: bool) -> Optional[int]:
    """Return where the first line from ``moment`` on begins; ``size`` where there is none, None where no line tells.

    Reads backwards, in blocks, only as far as it must. Lines without a time belong to the one before them.
    """
    end, told = size, False
    while end > 0:
        start, lines = _block(stream, end)
        first = None
        for at, line in lines:
            when = stamp(line, utc=utc)
            if when is None:
                continue
            told, first = True, when if first is None else first
            if when >= moment:
                if first < moment or start == 0:
                    return 0 if first >= moment else at
                break
        else:
            if first is not None:
                return end
        end = start
    return 0 if told else None


def stamp(line: bytes, *, utc: bool) -> Optional[float]:
    """Return when a line was written, in seconds since 1970; None where it does not tell."""
    head = line[:_HEAD]
    full = _FULL.search(head)
    if full:
        return _seconds([int(part) for part in full.groups()], utc=utc)
    found = _YEARLESS.search(head)
    if not found:
        return None
    parts = [int(part) for part in found.groups() if part is not None]
    year = time.gmtime().tm_year
    when = _seconds([year] + parts, utc=utc)
    if when is not None and when > time.time() + 86400:
        return _seconds([year - 1] + parts, utc=utc)
    return when


def _seconds(parts: Any, *, utc: bool) -> Optional[float]:
    fields = tuple(parts) + (0, 0, -1)
    try:
        return float(calendar.timegm(fields) if utc else time.mktime(fields))
    except (ValueError, OverflowError):
        return None


def _block(stream: Any, end: int) -> Tuple[int, Iterator[Tuple[int, bytes]]]:
    """Return the whole lines that end at ``end``, with where each begins, and where the first of them does."""
    start = max(0, end - BLOCK)
    stream.seek(start)
    raw = stream.read(end - start)
    skip = raw.find(b"\n") + 1 if start else 0
    if skip == len(raw):
        skip = 0  # one line fills it
    return start + skip, _lines(raw[skip:], start + skip)


def _lines(raw: bytes, at: int) -> Iterator[Tuple[int, bytes]]:
    for line in raw.splitlines(True):
        yield at, line
        at += len(line)

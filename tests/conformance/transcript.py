"""Reads what ansible-playbook's default output, at verbosity 2, says of each task: where it stands and how it ended."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_BANNER = re.compile(r"(?:TASK|RUNNING HANDLER) \[(.*)")
_PLACE = re.compile(r"task path: (.*?:\d+)(?::\d+)?$")
_RESULT = re.compile(r"(ok|changed|skipping|fatal|failed|included): (.*)$")
_HOST = re.compile(r"\[([^\]]+)\]|.* for ([^, ]+)")
_STATUS = {"skipping": "skipped", "fatal": "failed"}
REFUSED = "R1FLEET REFUSED"


@dataclass(frozen=True, slots=True)
class Step:
    """One task that ran: its file and line, and how it ended, item after item."""

    place: str
    statuses: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.place} {' '.join(self.statuses)}"


@dataclass(slots=True)
class _Open:
    title: str
    place: str = ""
    statuses: list[tuple[str, str]] = field(default_factory=list)  # with their hosts


def read_steps(text: str, *, folder: str) -> list[Step]:
    """Return the steps of a run; paths are told as seen from ``folder``."""
    steps = [_Open("")]
    for line in text.splitlines():
        if banner := _BANNER.match(line):
            steps.append(_Open(banner[1]))
        elif place := _PLACE.match(line):
            steps[-1].place = place[1].removeprefix(f"{folder}/")
        elif result := _RESULT.match(line):
            steps[-1].statuses.append((_host(result[2]), _status(result[1], result[2])))
        elif line == "...ignoring" and steps[-1].statuses:
            steps[-1].statuses.append((steps[-1].statuses[-1][0], "ignored"))
    return [_closed(step) for step in steps if step.statuses]


def _host(rest: str) -> str:
    found = _HOST.match(rest)
    return (found[1] or found[2]).partition(" ")[0] if found else ""


def _status(word: str, rest: str) -> str:
    return "unreachable" if "]: UNREACHABLE!" in rest[:200] else _STATUS.get(word, word)


def _closed(step: _Open) -> Step:
    refused = step.title.rpartition(" : ")[2].startswith(REFUSED)
    said = sorted(step.statuses, key=lambda status: status[0])  # hosts answer in any order, items in theirs
    place = step.place or step.title.rstrip(" *]")
    return Step(place, ("refused",) if refused else tuple(status for _, status in said))

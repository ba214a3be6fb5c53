"""Reads the text of ansible-playbook's default output, which both engines write, as lines to compare."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

_BANNER = re.compile(r"(PLAY|TASK|RUNNING HANDLER) \[(.*)\] \*{3,}$|(PLAY RECAP|NO MORE HOSTS LEFT) \*{3,}$")
_RESULT = re.compile(r"(ok|changed|skipping|fatal|failed): \[([^\]]+)\](.*)$")
_INCLUDED = re.compile(r"included: (.*) for ([^=]*?)(?: => \(item=(.*)\))?$")
_ITEM = re.compile(r" ?(?:=> )?\(item=(.*?)\)(?: => (.*)| ?)$", re.DOTALL)
_COUNTS = re.compile(r"(\S+) +: (ok=.*)$")
_STATUS = {"skipping": "skipped", "fatal": "failed"}


@dataclass(slots=True)
class _Step:
    """A banner, and what hosts answered below it."""

    title: str
    results: list[tuple[str, str]] = field(default_factory=list)
    ignored: int = 0

    def lines(self) -> Iterator[str]:
        """Yield the title and the results, host after host, items in their order."""
        yield self.title
        yield from (f"  {host} {text}" for host, text in sorted(self.results, key=lambda result: result[0]))
        if self.ignored:
            yield f"  ...ignoring {self.ignored}"


def read_transcript(text: str, *, folder: str) -> list[str]:
    """Return a run's plays, tasks, handlers, results and recap; paths are told as seen from ``folder``."""
    reader = _Reader()
    for line in _joined(text.replace(folder, "").splitlines()):
        reader.take(line)
    return [line for step in _played(reader.steps) for line in step.lines()]


def _played(steps: list[_Step]) -> Iterator[_Step]:
    """Leave out what is text alone: titles with nothing below them, and what meta tasks say."""
    said = [step for step in steps if step.title.startswith("PLAY") or (step.results and step.title != "TASK [meta]")]
    for step, after in pairwise([*said, _Step("PLAY")]):
        empty = step.title.startswith("PLAY [") and after.title.startswith("PLAY")
        if not empty or step.title.endswith("no hosts matched"):
            yield step


def _joined(lines: list[str]) -> Iterator[str]:
    """Yield lines, with a value that goes over several lines as one."""
    waiting: list[str] = []
    for line in lines:
        if waiting:
            waiting.append(line)
            if line == "}":
                yield "\n".join(waiting)
                waiting = []
        elif line.endswith(" => {"):
            waiting = [line]
        else:
            yield line
    yield from waiting


class _Reader:
    def __init__(self) -> None:
        self.steps = [_Step("")]
        self._diff: list[str] = []

    def take(self, line: str) -> None:
        first, _, rest = line.partition("\n")
        if banner := _BANNER.match(first):
            self.steps.append(_Step(banner[3] or f"{banner[1]} [{banner[2]}]"))
        elif result := _RESULT.match(first):
            self._add(result[2].split(" -> "), result[1], f"{result[3]}\n{rest}" if rest else result[3])
        elif included := _INCLUDED.match(first):
            what = (
                f"{included[1].rpartition('/')[2]} item={included[3]}"
                if included[3]
                else included[1].rpartition("/")[2]
            )
            for host in included[2].split(", "):
                self.steps[-1].results.append((host.strip(), f"included {what}"))
        elif counts := _COUNTS.match(first):
            self.steps[-1].results.append((counts[1], " ".join(counts[2].split())))
        elif first == "...ignoring":
            self.steps[-1].ignored += 1
        elif first == "skipping: no hosts matched":
            self.steps[-1].title += " no hosts matched"
        elif first[:1] in "+-" and first[:3] not in ("+++", "---"):
            self._diff += [first] if first else []

    def _add(self, host: list[str], status: str, rest: str) -> None:
        words = [_STATUS.get(status, status)]
        if rest.startswith(": UNREACHABLE!"):
            words = ["unreachable"]
        if len(host) > 1:
            words.append(f"-> {host[1].partition('(')[0]}")
        if item := _ITEM.match(rest):
            words.append(f"item={item[1]}")
            rest = f" => {item[2]}" if item[2] else ""
        if status in ("ok", "changed") and rest.startswith(" => {"):
            words.append(_said(rest[4:]))
        self.steps[-1].results += [(host[0], f"diff {line}") for line in self._diff]
        self._diff.clear()
        self.steps[-1].results.append((host[0], " ".join(word for word in words if word)))


def _said(text: str) -> str:
    """Return what debug says; what assert says is each engine's own."""
    values = json.loads(text)
    kept = {key: value for key, value in values.items() if key not in ("changed", "failed")}
    return "" if "changed" in values else f"says {json.dumps(kept, sort_keys=True, ensure_ascii=False)}"

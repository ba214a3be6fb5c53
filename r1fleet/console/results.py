"""What of a task's result people need to see, and in which order."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from r1fleet.console.text import clean, one_line, tail
from r1fleet.events import RUN, ItemResult, Recap, TaskResult, WouldRun

BAD = frozenset({"failed", "unreachable", "ignored", "rescued"})
_TAIL = 10
# What an action says for its own sake, also when all is well.
_SPEAKING = frozenset({"debug"})


def title(role: str, task: str, action: str = "") -> str:
    """Name a task as Ansible does: ``role : task``; one without a name by its action."""
    name = task or action
    return one_line(f"{role} : {name}" if role else name)


def host_name(event: TaskResult | ItemResult) -> str:
    """Name the host of a result, and the one where it was done: ``h1 -> h2``."""
    delegate = f" -> {one_line(event.delegate)}" if event.delegate else ""
    return f"{one_line(event.host)}{delegate}"


def stat_lines(event: Recap, *, indent: int | None = None) -> Iterator[str]:
    """Yield what set_stats kept, hosts first, then the whole run, each on a line."""
    for name in sorted(event.stats, key=lambda name: (name == RUN, name)):
        told = dump(event.stats[name], indent=indent).replace("\n", "")
        yield f"{'RUN' if name == RUN else one_line(name)}: {clean(told)}"


def message(result: Mapping[str, Any]) -> str:
    """Return the first thing to read of a failure, on one line."""
    if _only_status(result):
        said = [line for key in ("stderr", "stdout") for line in tail(result.get(key) or "", 1)[-1:] if line]
        return one_line(": ".join([f"exit status {result['rc']}", *said[:1]]))
    for key in ("msg", "stderr", "stdout", "reason"):
        if result.get(key):
            return one_line(result[key])
    if "results" in result:
        return "some items failed"
    return f"exit status {result['rc']}" if "rc" in result else "failed without a message"


def details(result: Mapping[str, Any], where: str) -> Iterator[str]:
    """Yield what stands below a failure: exit status, the ends of stderr and stdout, the place, the hint."""
    if result.get("rc") and not _only_status(result):
        yield f"exit status: {result['rc']}"
    for key in ("stderr", "stdout", "module_stderr", "module_stdout"):
        text = result.get(key)
        if text and not message(result).endswith(one_line(text)):
            yield from (f"{key}: {line}" for line in tail(text, _TAIL))
    if where:
        yield f"at {one_line(where)}"
    if result.get("hint"):
        yield f"hint: {one_line(result['hint'])}"


def _only_status(result: Mapping[str, Any]) -> bool:
    """Tell whether Ansible's message says no more than the exit status: a program's last words say why."""
    return result.get("msg") == "non-zero return code" and bool(result.get("rc"))


def spoken(action: str, result: Mapping[str, Any]) -> list[str]:
    """Return what a debug task says: its message, or the variable's name and value."""
    if action.rpartition(".")[2] not in _SPEAKING:
        return []
    if "msg" in result:
        return _value_lines(result["msg"])
    values = {key: value for key, value in shown(result).items() if key not in ("changed", "failed")}
    return [line for name, value in values.items() for line in _value_lines(value, f"{name}: ")]


def shown(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what people see of a result: neither how it was called nor what has its own place."""
    hidden = ("diff", "invocation", "exception")
    return {str(key): value for key, value in result.items() if key not in hidden and not str(key).startswith("_")}


def _value_lines(value: object, head: str = "") -> list[str]:
    text = value if isinstance(value, str) else dump(value, indent=2)
    return f"{head}{clean(text)}".split("\n")


def dump(value: object, *, indent: int | None = None) -> str:
    """Write ``value`` as JSON, keys sorted, as ansible-playbook shows results."""
    return json.dumps(value, indent=indent, sort_keys=True, ensure_ascii=False, default=plain, skipkeys=True)


def plain(value: object) -> object:
    """Turn what JSON lacks into what it has."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else repr(value)


def diff_lines(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield a changed result's difference as a unified diff, one line each."""
    differences = (result.get("diff") if result.get("changed") else None) or ()
    for difference in [differences] if isinstance(differences, Mapping) else differences:
        if isinstance(difference, Mapping):
            yield from _one_diff(difference)


def _one_diff(difference: Mapping[str, Any]) -> Iterator[str]:
    for key, note in (("src_binary", "source"), ("dst_binary", "destination")):
        if difference.get(key):
            yield f"diff skipped: {note} is binary"
    for key, note in (("src_larger", "source"), ("dst_larger", "destination")):
        if difference.get(key):
            yield f"diff skipped: {note} is larger than {difference[key]} bytes"
    if difference.get("prepared"):
        yield from clean(difference["prepared"]).rstrip("\n").split("\n")
    if "before" not in difference or "after" not in difference:
        return
    before, after = (_diff_text(difference[side]) for side in ("before", "after"))
    old, new = _diff_head("before", difference), _diff_head("after", difference)
    for number, line in enumerate(difflib.unified_diff(before, after, old, new, lineterm="\n")):
        yield clean(line).rstrip("\n")
        if number > 1 and not line.endswith("\n"):
            yield "\\ No newline at end of file"


def _diff_text(value: object) -> list[str]:
    text = value if isinstance(value, str) else f"{dump(value, indent=4)}\n"
    return text.splitlines(keepends=True)


def _diff_head(side: str, difference: Mapping[str, Any]) -> str:
    header = difference.get(f"{side}_header")
    return f"{side}: {one_line(header)}" if header else side


def would_lines(event: WouldRun) -> Iterator[str]:
    """Spell what a launch would do on one host."""
    head = f"would: {one_line(event.host)}:"
    yield from (f"{head} write {one_line(path)}" for path in event.writes)
    yield from (f"{head} run {one_line(command)}" for command in event.commands)
    yield from (f"{head} hash of arguments, {one_line(text)}" for text in event.arguments)

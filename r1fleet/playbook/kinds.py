"""What kind of value a keyword takes; a value of another kind is reported before any host is touched."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any

from r1fleet.inventory.source import Block as Written
from r1fleet.inventory.source import where_of
from r1fleet.playbook.lazy import has_template
from r1fleet.playbook.problems import Problems

TRUTHS = frozenset({"y", "yes", "on", "1", "true", "t", "n", "no", "off", "0", "false", "f"})


def is_truth(value: Any) -> bool:
    """Tell whether a value is a boolean, or a word or number that stands for one."""
    return isinstance(value, (bool, int, float, str)) and (
        value.lower() in TRUTHS if isinstance(value, str) else value in (0, 1)
    )


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, bool)


def _is_share(value: Any) -> bool:
    """Tell whether a value is a number, or one with a percent sign."""
    return _is_number(value.rstrip("%") if isinstance(value, str) else value)


def _are_shares(value: Any) -> bool:
    return all(map(_is_share, value)) if isinstance(value, list) else _is_share(value)


def _is_word(value: Any) -> bool:
    return not isinstance(value, (dict, list))


def _are_words(value: Any) -> bool:
    return all(map(_are_words, value)) if isinstance(value, list) else _is_word(value)


_TRUTH = ("true or false", is_truth)
_NUMBER = ("a number", _is_number)
_WORD = ("a text", _is_word)
_WORDS = ("a name or a list of names", _are_words)
_KINDS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(
        (
            "become", "check_mode", "diff", "no_log", "ignore_errors", "ignore_unreachable", "run_once",
            "delegate_facts", "any_errors_fatal", "force_handlers", "extended", "extended_allitems",
        ),
        _TRUTH,
    ),
    **dict.fromkeys(
        ("throttle", "timeout", "port", "retries", "delay", "async", "poll", "pause", "gather_timeout"), _NUMBER
    ),
    **dict.fromkeys(
        (
            "name", "become_user", "become_method", "become_flags", "delegate_to", "remote_user", "connection",
            "strategy", "order", "loop_var", "index_var",
        ),
        _WORD,
    ),
    **dict.fromkeys(("tags", "notify", "listen", "gather_subset", "hosts"), _WORDS),
    "gather_facts": ("true, false or smart", lambda value: is_truth(value) or value == "smart"),
    "max_fail_percentage": ("a number", _is_share),
    "serial": ("a number, a percentage or a list of them", _are_shares),
}  # fmt: skip


def check_kinds(found: Written, allowed: Container[str], problems: Problems) -> None:
    """Report each allowed keyword whose value is of the wrong kind; what only the run will know is left to it."""
    for key, value in found.items():
        kind = _KINDS.get(key) if isinstance(key, str) and key in allowed else None
        if kind is None or value is None or has_template(value) or kind[1](value):
            continue
        what = described(value) if isinstance(value, (dict, list)) else repr(plain(value))
        problems.add(f"`{key}` takes {kind[0]}, not {what}", where_of(value, found.at(key)))


def described(value: Any) -> str:
    """Return what a value is, in the words of YAML."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "a boolean"
    return "a text" if isinstance(value, str) else "a number"


def plain(value: Any) -> Any:
    """Return a scalar without the position that a file's texts have."""
    return str(value) if isinstance(value, str) else value

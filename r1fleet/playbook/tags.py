"""Which tasks tags choose."""

from __future__ import annotations

from collections.abc import Iterable


def chosen(tags: Iterable[str], only: Iterable[str], skip: Iterable[str]) -> bool:
    """Tell whether a task with ``tags`` runs, given ``--tags`` and ``--skip-tags``."""
    own, wanted, unwanted = set(tags), set(only) or {"all"}, set(skip)
    return _wanted(own, wanted) and not _skipped(own, unwanted)


def _wanted(own: set[str], wanted: set[str]) -> bool:
    if "always" in own or own & wanted:
        return True
    if "never" in own:
        return False
    if "all" in wanted:
        return True
    return bool(own) if "tagged" in wanted else "untagged" in wanted and not own


def _skipped(own: set[str], unwanted: set[str]) -> bool:
    if "all" in unwanted:
        return "always" not in own or "always" in unwanted
    if own & unwanted:
        return True
    return ("tagged" in unwanted and bool(own)) or ("untagged" in unwanted and not own)

"""The nearest right names: a file of its own, because ``difflib`` is slow to import and only mistakes need it."""

from __future__ import annotations

import difflib
from typing import Iterable, List


def nearest(names: Iterable[str], known: Iterable[str]) -> List[str]:
    """Return for each of ``names`` the most similar known one, as far as there is one."""
    possible = list(known)
    return [match for name in names for match in difflib.get_close_matches(name, possible, 1)]

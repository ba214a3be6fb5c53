"""The text of a traceback: a file of its own, because ``traceback`` is slow to import and hardly ever needed."""

from __future__ import annotations

import traceback


def current() -> str:
    """Tell where the exception that is being handled came from."""
    return traceback.format_exc()

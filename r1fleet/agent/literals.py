"""Python's literals in text: apart from ``conversions``, because ``ast`` takes 2 ms to import and is seldom wanted."""

from __future__ import annotations

import ast
from typing import Any


def literal(text: str) -> Any:
    """Read one literal; ValueError or SyntaxError where it is none."""
    return ast.literal_eval(text)

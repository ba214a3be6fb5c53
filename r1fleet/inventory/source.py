"""YAML that knows where each value stands: text from files is a template and has a position."""

from __future__ import annotations

from r1fleet.errors import Where


class Text(str):
    """A string that a user's file wrote: it may be a template, and it knows its position.

    Plain ``str`` values (what hosts answered) are never templated.
    """

    __slots__ = ("where",)
    where: Where

    def __new__(cls, value: str, where: Where) -> Text:
        """Make a text with its position."""
        text = super().__new__(cls, value)
        text.where = where
        return text

"""Ansible's one-line argument syntax: ``name=value other="with spaces"`` with templates inside."""

from __future__ import annotations

import re
import shlex

from r1fleet.errors import PlaybookError, Where
from r1fleet.inventory.source import Text

_BRACES = r"\{\{(?:(?!\}\}).)*\}\}"
# A name may hold templates. No two ways lead to the same match: a long word must not take for ever.
_PAIR = re.compile(rf"^((?:[A-Za-z_]|{_BRACES})(?:[\w.-]|{_BRACES})*)=(.*)$", re.DOTALL)

_ESCAPE = re.compile(r"\\(?:U[0-9a-fA-F]{8}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|N\{[A-Za-z0-9 -]+\}|[\\'\"abfnrtv])")


def parse_pairs(text: Text, options: frozenset[str] | None = None) -> tuple[dict[str, Text], Text]:
    """Split a line into its pairs and the free text that is left.

    With ``options`` only these names are pairs: ``command: make DESTDIR=/x chdir=/src`` keeps DESTDIR in its text.
    """
    pairs: dict[str, Text] = {}
    rest: list[str] = []
    for word in _words(text):
        found = _PAIR.match(word.strip())
        if found and (options is None or found.group(1) in options):
            pairs[Text(found.group(1), text.where)] = Text(_unquoted(_unescaped(found.group(2))), text.where)
        else:
            rest.append(word)
    free = "".join(rest).strip() if rest else ""
    return pairs, Text(free, text.where)


def named_words(line: str) -> dict[str, str]:
    """Return the ``name=value`` words of a line that holds nothing else."""
    pairs, _ = parse_pairs(Text(line, Where()))
    return {str(name): str(value) for name, value in pairs.items()}


def parse_words(line: str) -> list[str]:
    """Split a rendered line at spaces outside of quotes."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise PlaybookError(f"unbalanced quotes in {line!r}") from error


def _words(text: Text) -> list[str]:
    """Split at spaces outside of quotes and braces; each word keeps the space before it."""
    words: list[str] = []
    word, quote, depth, index = "", "", 0, 0
    while index < len(text):
        pair = text[index : index + 2]
        char = text[index]
        if depth == 0 and char == "\\" and index + 1 < len(text):
            word += pair
            index += 2
            continue
        if not quote and pair in {"{{", "{%", "{#"}:
            depth += 1
        elif not quote and depth and pair in {"}}", "%}", "#}"}:
            depth -= 1
            word += pair
            index += 2
            continue
        if depth == 0 and char in "'\"":
            quote = "" if char == quote else quote or char
        if char.isspace() and not quote and depth == 0 and word.strip():
            words.append(word)
            word = ""
        word += char
        index += 1
    if quote or depth:
        raise PlaybookError("unbalanced quotes or braces in one-line arguments", where=text.where)
    if word.strip():
        words.append(word)
    return words


def _unescaped(value: str) -> str:
    r"""Read escapes in a pair's value as Ansible does: ``\n`` is a new line, ``\\b`` a backslash and a b."""
    return _ESCAPE.sub(lambda found: found[0].encode("latin-1").decode("unicode_escape"), value)


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"" and value[-2] != "\\":
        return value[1:-1]
    return value

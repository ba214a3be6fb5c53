"""YAML that knows where each value stands: text from files is a template and has a position."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from r1fleet.errors import FleetError, InventoryError, PlaybookError, SpecError, Where
from r1fleet.inventory import vault

Kind = Literal["inventory", "variables", "playbook", "spec"]
Warn = Callable[[str], None]

_ERRORS: Mapping[str, type[FleetError]] = {
    "inventory": InventoryError,
    "variables": InventoryError,
    "playbook": PlaybookError,
    "spec": SpecError,
}
# libyaml's parser, where PyYAML has it, is ten times faster and keeps the same marks.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
# A date stays the text that was written: variables are plain data that any renderer can show.
_TEXTS = {f"{_TAG}{name}" for name in ("str", "timestamp", "value", "merge")}
_SCALARS = {f"{_TAG}{name}": f"construct_yaml_{name}" for name in ("null", "bool", "int", "float")}
_HINTS = (
    ("mapping values are not allowed", 'put quotes around a value that holds ": "'),
    ("could not find expected ':'", "the key needs a colon and a space after it, or this line's indentation is off"),
    ("did not find expected <block end>", "this line's indentation does not match the lines above"),
    ("expected a single document", "one file is one document: remove the further `---`"),
    ("quoted scalar", "the quotes that begin here are never closed"),
    ("found undefined alias", "an alias (*name) needs its anchor (&name) above it, in the same file"),
    ("found character that cannot start any token", "put quotes around a value that begins with %, @ or `"),
)
_TAB_HINT = "indent with spaces; YAML allows no tabs there"
_TEMPLATE_HINT = 'a value that begins with {{ needs quotes: "{{ name }}"'
_HINT = "look at the indentation, the quotes and the colons around this line"


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

    def __reduce__(self) -> tuple[type[Text], tuple[str, Where]]:
        return Text, (str(self), self.where)

    def __copy__(self) -> Text:
        return self

    def __deepcopy__(self, memo: Mapping[int, object]) -> Text:
        return self


class Block(dict[Any, Any]):
    """A mapping that a user's file wrote; it knows its position and those of its keys."""

    __slots__ = ("where",)
    where: Where

    def __init__(self, where: Where, items: Mapping[Any, Any] | None = None) -> None:
        super().__init__(items or {})
        self.where = where

    def at(self, key: object) -> Where:
        """Tell where ``key`` stands, or the block itself where that is not known."""
        written = next((name for name in self if name == key), None)
        return where_of(written, self.where)


class Items(list[Any]):
    """A list that a user's file wrote; it knows its position."""

    __slots__ = ("where",)
    where: Where

    def __init__(self, where: Where, items: list[Any] | None = None) -> None:
        super().__init__(items or [])
        self.where = where


@dataclass(frozen=True, slots=True)
class Encrypted:
    """A ``!vault`` value, decrypted only where it is used; as in Ansible it is no template."""

    ciphertext: str
    where: Where

    def __str__(self) -> str:
        return vault.keyring().reveal(self.ciphertext, self.where)

    def __repr__(self) -> str:
        return f"<encrypted, {self.where}>"


def where_of(value: object, default: Where) -> Where:
    """Tell where ``value`` was written; ``default`` for values that know no position."""
    where = getattr(value, "where", None)
    return where if isinstance(where, Where) else default


def load_yaml(path: Path, kind: Kind, *, warn: Warn | None = None) -> Any:
    """Read one YAML document from ``path``; None for an empty one.

    A key given twice is an error, or, where ``warn`` is given, a warning (the later value wins).
    """
    return load_yaml_text(read_text(path, kind), str(path), kind, warn=warn)


def load_yaml_text(text: str, name: str, kind: Kind, *, warn: Warn | None = None) -> Any:
    """Read one YAML document from ``text``, called ``name`` in errors."""
    if vault.is_encrypted(text):
        return _load_encrypted(text, name, kind, warn)
    return _load_plain(text, name, kind, warn)


def _load_encrypted(text: str, name: str, kind: Kind, warn: Warn | None) -> Any:
    """Read a file that is encrypted as a whole; an error about it shows nothing of its content."""
    keys = vault.keyring()
    plain = vault.plain_text(text, Where(name, 1))
    try:
        value = _load_plain(plain, name, kind, warn)
    except FleetError as problem:
        if not isinstance(problem.__cause__, (yaml.YAMLError, ValueError, KeyError)):
            raise
        why = "what is encrypted here is not valid YAML"
        raise _ERRORS[kind](why, where=problem.where, hint="`ansible-vault view` shows it") from None
    for secret in vault.scalars(value):
        keys.hide(secret)
    return value


def _load_plain(text: str, name: str, kind: Kind, warn: Warn | None) -> Any:
    error = _ERRORS[kind]
    loader = _Loader(text.removeprefix("\ufeff"))
    try:
        node = loader.get_single_node()
        return None if node is None else _Reader(loader, name, error, warn).value(node)
    except yaml.MarkedYAMLError as problem:
        raise _syntax_error(problem, text, name, error) from problem
    except yaml.reader.ReaderError as problem:
        line = text.encode()[: problem.position].count(b"\n") + 1
        raise error(
            "not valid YAML: a character that YAML forbids",
            where=Where(name, line),
            hint="remove the control character",
        ) from problem
    except RecursionError as problem:
        raise error(
            "not usable YAML: nested too deeply, or an anchor that holds itself",
            where=Where(name),
            hint="write the values out instead of repeating them by &anchor and *alias",
        ) from problem
    finally:
        loader.dispose()


def read_text(path: Path, kind: Kind) -> str:
    """Read a UTF-8 file."""
    error = _ERRORS[kind]
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise error(f"cannot read this file: {problem.strerror}", where=Where(str(path))) from problem
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise error("this file is UTF-16, not UTF-8", where=Where(str(path)), hint="save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = content[: problem.start].count(b"\n") + 1
        raise error(
            f"this file is not UTF-8: byte 0x{content[problem.start]:02x}",
            where=Where(str(path), line),
            hint="save it as UTF-8",
        ) from problem


class _Reader:
    """Turns YAML nodes into values that know their positions."""

    def __init__(self, loader: Any, name: str, error: type[FleetError], warn: Warn | None) -> None:
        self._loader = loader
        self._name = name
        self._error = error
        self._warn = warn
        self._templates = True
        self._done: dict[int, Any] = {}  # an alias is its anchor's node: read once, shared
        self._open: set[int] = set()

    def value(self, node: Any) -> Any:
        identity = id(node)
        if identity in self._done:
            return self._done[identity]
        if identity in self._open:
            raise self._error("an anchor holds itself", where=self._where(node), hint="write the value out")
        self._open.add(identity)
        value = self._done[identity] = self._read(node)
        self._open.discard(identity)
        return value

    def _read(self, node: Any) -> Any:
        if node.tag == "!unsafe":
            return self._unsafe(node)
        if node.tag in ("!vault", "!vault-encrypted") and isinstance(node, yaml.ScalarNode):
            return Encrypted(node.value, self._where(node))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return Items(self._where(node), [self.value(item) for item in node.value])
        raise self._unknown_tag(node)

    def _unsafe(self, node: Any) -> Any:
        """Read text below ``!unsafe`` as plain strings, which are never templated."""
        outside, self._templates = self._templates, False
        kind = {"scalar": "str", "mapping": "map", "sequence": "seq"}[node.id]
        node.tag = f"{_TAG}{kind}"
        value = self._read(node)
        self._templates = outside
        return value

    def _scalar(self, node: Any) -> Any:
        if node.tag in _TEXTS:
            return Text(node.value, self._where(node)) if self._templates else node.value
        if node.tag not in _SCALARS:
            raise self._unknown_tag(node)
        try:
            return getattr(self._loader, _SCALARS[node.tag])(node)
        except (ValueError, KeyError) as problem:
            tag = node.tag.removeprefix(_TAG)
            raise self._error(
                f"not a valid {tag}: {node.value[:40]}", where=self._where(node), hint="quote it"
            ) from problem

    def _mapping(self, node: Any) -> Block:
        self._check_keys(node)
        self._loader.flatten_mapping(node)
        block = Block(self._where(node))
        for key_node, value_node in node.value:
            block[self.value(key_node)] = self.value(value_node)
        return block

    def _check_keys(self, node: Any) -> None:
        """Refuse keys that are no scalars, and keys given twice (merged ones may be overridden)."""
        first: dict[tuple[str, str], Any] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._error("a key must be plain text", where=self._where(key), hint=_TEMPLATE_HINT)
            if key.tag == f"{_TAG}merge":
                continue
            twin = first.setdefault((key.tag, key.value), key)
            if twin is not key:
                self._duplicate(key, self._where(twin), self._where(key))

    def _duplicate(self, key: Any, first: Where, second: Where) -> None:
        what = f'the key "{key.value}" is given twice: in line {first.line} and in line {second.line}'
        if self._warn is None:
            raise self._error(what, where=second, hint="keep one of them")
        self._warn(f"{second}: {what}; the later one counts")

    def _unknown_tag(self, node: Any) -> FleetError:
        tag = node.tag.replace(_TAG, "!!")
        return self._error(
            f"the YAML tag {tag} is not supported", where=self._where(node), hint="known: !vault, !unsafe"
        )

    def _where(self, node: Any) -> Where:
        return Where(self._name, node.start_mark.line + 1, node.start_mark.column + 1)


def _syntax_error(problem: yaml.MarkedYAMLError, text: str, name: str, error: type[FleetError]) -> FleetError:
    why, mark = str(problem.problem), problem.problem_mark
    if why.startswith("but ") or mark is None or mark.line > text.rstrip().count("\n"):
        why, mark = f"{problem.context}, {why}", problem.context_mark or mark  # where it began tells more than the end
    if mark is None:
        return error(f"not valid YAML: {why}", where=Where(name), hint=_HINT)
    lines = text.rstrip().split("\n")
    number = min(mark.line, len(lines) - 1)
    line = lines[number].rstrip("\r") if number == mark.line else ""
    where = Where(name, number + 1, mark.column + 1)
    return error(f"not valid YAML: {why}{_excerpt(line, mark.column)}", where=where, hint=_hint(why, line, mark.column))


def _excerpt(line: str, column: int) -> str:
    """Show the offending line with a caret below; a long line is cut around it."""
    if not line.strip():
        return ""
    start = max(0, column - 60)
    shown = line[start : start + 100].replace("\t", " ")
    return f"\n    {shown}\n    {' ' * (column - start)}^"


def _hint(why: str, line: str, column: int) -> str:
    if "\t" in line[: column + 1]:
        return _TAB_HINT
    if ": {{" in line or "- {{" in line:
        return _TEMPLATE_HINT
    return next((hint for sign, hint in _HINTS if sign in why), _HINT)

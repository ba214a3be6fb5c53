"""Lookups in tables: CSV files, INI files and files of properties."""

# Signatures are Ansible's: their booleans may be given by position.

from __future__ import annotations

import configparser
import csv
import io
import re
from collections.abc import Callable, Mapping
from typing import Any

from jinja2.runtime import Context

from r1fleet.errors import Where
from r1fleet.inventory.source import Text
from r1fleet.playbook.filters import to_bool
from r1fleet.playbook.filters_text import FilterError
from r1fleet.playbook.lookups_files import read_file
from r1fleet.playbook.pairs import parse_pairs

_CSV: Mapping[str, Any] = {
    "col": "1", "default": None, "delimiter": "TAB", "file": "ansible.csv", "encoding": "utf-8", "keycol": 0,
}  # fmt: skip
_INI: Mapping[str, Any] = {
    "type": "ini", "file": "ansible.ini", "section": "global", "re": False, "encoding": "utf-8", "default": "",
    "case_sensitive": False, "allow_no_value": False, "interpolation": True,
}  # fmt: skip
_OTHER_NAMES = {"allow_none": "allow_no_value"}
_ESCAPE = re.compile(r"\\x[0-9a-fA-F]{2}|\\[tnr]")


def _csvfile(context: Context, *terms: str, **options: Any) -> list[Any]:
    found: list[Any] = []
    for term in terms or ("",):
        key, wanted = _asked(term, options, _CSV)
        if not key:
            raise FilterError("Search key is required but was not found")
        column = _column(wanted, "col")
        row = _row(context, key, wanted)
        if row is not None:
            found.append(row[column])
        elif wanted["default"] is not None:
            found += wanted["default"] if isinstance(wanted["default"], list) else [wanted["default"]]
    return found


def _row(context: Context, key: str, options: Mapping[str, Any]) -> list[str] | None:
    mark = "\t" if options["delimiter"] == "TAB" else _unescaped(str(options["delimiter"]))
    text = read_file(context, str(options["file"]), str(options["encoding"]))
    keys = _column(options, "keycol")
    return next(
        (row for row in csv.reader(io.StringIO(text), delimiter=mark) if len(row) > keys and row[keys] == key), None
    )


def _column(options: Mapping[str, Any], name: str) -> int:
    try:
        return int(options[name])
    except (TypeError, ValueError) as error:
        raise FilterError(f"csvfile: {name!r} has an invalid value: {options[name]!r}") from error


def _ini(context: Context, *terms: str, **options: Any) -> list[Any]:
    options = {_OTHER_NAMES.get(name, name): value for name, value in options.items()}
    found: list[Any] = []
    for term in terms:
        key, wanted = _asked(term, options, _INI)
        if not key:
            raise FilterError("No key to look up was provided as first term within string inline options")
        found += _values(_parsed(context, wanted), key, wanted)
    return found


def _parsed(context: Context, options: Mapping[str, Any]) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(
        allow_no_value=bool(to_bool(options["allow_no_value"])),
        interpolation=configparser.BasicInterpolation() if to_bool(options["interpolation"]) else None,
    )
    if to_bool(options["case_sensitive"]):
        parser.optionxform = str  # type: ignore[assignment, method-assign]
    text = read_file(context, str(options["file"]), str(options["encoding"]))
    try:
        parser.read_string(f"[java_properties]\n{text}" if options["type"] == "properties" else text)
    except configparser.DuplicateOptionError as error:
        raise FilterError(f"Duplicate option in '{options['file']}': {error.message}") from error
    except configparser.Error as error:
        raise FilterError(f"ini: cannot read '{options['file']}': {error.message}") from error
    return parser


def _values(parser: configparser.ConfigParser, key: str, options: Mapping[str, Any]) -> list[Any]:
    section = "java_properties" if options["type"] == "properties" else str(options["section"])
    try:
        if to_bool(options["re"]):
            return [value for name, value in parser.items(section) if re.match(key, name)]
        value = parser.get(section, key, fallback=options["default"]) if parser.has_section(section) else None
    except configparser.Error as error:
        raise FilterError(f"ini: {error.message}") from error
    if not parser.has_section(section):
        raise FilterError(f"No section {section!r} in '{options['file']}'")
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _asked(term: str, options: Mapping[str, Any], known: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the key of a term, and the options that stand in it above those that are given apart."""
    pairs, key = parse_pairs(Text(str(term), Where()))
    inline = {_OTHER_NAMES.get(str(name), str(name)): _unescaped(str(value)) for name, value in pairs.items()}
    for name in {**options, **inline}:
        if name not in known:
            raise FilterError(f"{name} is not a valid option; these are: {', '.join(known)}")
    return str(key), {**known, **options, **inline}


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: found[0].encode().decode("unicode_escape"), text)


TABLE_LOOKUPS: dict[str, Callable[..., list[Any]]] = {"csvfile": _csvfile, "ini": _ini}

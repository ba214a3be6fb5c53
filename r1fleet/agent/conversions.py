"""Conversions of argument values, as lenient as Ansible's and no more."""

from __future__ import annotations

import json
import os
import re
import shlex
from typing import Any, Callable, Dict, List, Tuple

from r1fleet.agent import literals

TRUE = ("y", "yes", "on", "1", "true", "t", "1.0")
FALSE = ("n", "no", "off", "0", "false", "f", "0.0")
_SIZE = re.compile(r"^\s*([0-9.]+)\s*([A-Za-z]*)\s*$")
_UNITS = "BKMGTPEZY"


def convert(value: Any, kind: str) -> Any:
    """Convert ``value`` to ``kind``; raise TypeError or ValueError with the reason."""
    if kind not in _CONVERTERS:
        raise TypeError("no such type: %s" % kind)
    return _CONVERTERS[kind](value)


def kinds() -> Tuple[str, ...]:
    """Return the names of all types."""
    return tuple(sorted(_CONVERTERS))


def words(truth: str) -> Tuple[str, ...]:
    """Return the spellings of ``True`` or ``False``."""
    return TRUE if truth == "True" else FALSE


def to_str(value: Any) -> str:
    """Write anything as text."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def to_bool(value: Any) -> bool:
    """Read yes, on, 1, true and their opposites."""
    if isinstance(value, bool):
        return value
    text = str(value).lower().strip()
    if isinstance(value, (str, int, float)) and text in TRUE:
        return True
    if isinstance(value, (str, int, float)) and text in FALSE:
        return False
    raise TypeError(
        "The value '%s' is not a valid boolean. Valid booleans include: %s"
        % (value, ", ".join(repr(word) for word in TRUE[:-1] + FALSE[:-1]))
    )


def to_int(value: Any) -> int:
    """Read a whole number; ``1.0`` is one."""
    if isinstance(value, (str, float)):
        number = float(value)
        if number != int(number):
            raise TypeError("'%s' is not a whole number" % value)
        return int(value) if isinstance(value, str) and value.strip().lstrip("+-").isdigit() else int(number)
    if isinstance(value, int):
        return int(value)
    raise TypeError("%s cannot be converted to an int" % type(value).__name__)


def to_float(value: Any) -> float:
    """Read a number."""
    if isinstance(value, (str, int, float)):
        return float(value)
    raise TypeError("%s cannot be converted to a float" % type(value).__name__)


def to_list(value: Any) -> List[Any]:
    """Split text at commas; a number becomes a list of its text."""
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, str):
        return value.split(",")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return [str(value)]
    raise TypeError("%s cannot be converted to a list" % type(value).__name__)


def to_dict(value: Any) -> Dict[str, Any]:
    """Read a mapping, its JSON, or ``a=1 b=2`` (commas, too)."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, str):
        raise TypeError("%s cannot be converted to a dict" % type(value).__name__)
    if value.startswith("{"):
        try:
            return dict(json.loads(value))
        except ValueError:
            return dict(literals.literal(value))
    if "=" not in value:
        raise TypeError("dictionary requested, could not parse JSON or key=value")
    splitter = shlex.shlex(value, posix=True)
    splitter.whitespace_split = True
    splitter.whitespace += ","
    return dict(part.split("=", 1) for part in splitter)


def to_path(value: Any) -> str:
    """Expand ``~`` and variables as they are on this host."""
    return os.path.expanduser(os.path.expandvars(to_str(value)))


def to_json(value: Any) -> str:
    """Write a structure as JSON; text stays as it is."""
    if isinstance(value, (str, bytes)):
        return to_str(value).strip()
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value, ensure_ascii=False)
    raise TypeError("%s cannot be converted to a json string" % type(value).__name__)


def to_bytes(value: Any) -> int:
    """Read a size: ``10M`` is ten times 1024 squared."""
    if isinstance(value, int):
        return value
    match = _SIZE.match(str(value))
    letter = (match.group(2) or "B")[0].upper() if match else ""
    if match is None or letter not in _UNITS:
        raise ValueError("'%s' is not a size such as 10M" % value)
    return int(round(float(match.group(1)) * 1024 ** _UNITS.index(letter)))


def _as_it_is(value: Any) -> Any:
    return value


_CONVERTERS: Dict[str, Callable[[Any], Any]] = {
    "str": to_str,
    "path": to_path,
    "bool": to_bool,
    "int": to_int,
    "float": to_float,
    "list": to_list,
    "dict": to_dict,
    "raw": _as_it_is,
    "mode": _as_it_is,
    "jsonarg": to_json,
    "json": to_json,
    "bytes": to_bytes,
}

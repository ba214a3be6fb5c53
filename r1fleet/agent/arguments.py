"""A module's arguments: names, aliases, types and rules as Ansible's argument specs have them."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from r1fleet.agent import conversions, nearest
from r1fleet.agent.outcome import ModuleFailed

Row = Mapping[str, Any]


class ArgumentError(ModuleFailed):
    """The arguments of a task are wrong."""


class Spec(NamedTuple):
    """What a module says about its arguments, read from its module-level names."""

    arguments: Mapping[str, Row]
    required_one_of: Sequence[Sequence[str]] = ()
    mutually_exclusive: Sequence[Sequence[str]] = ()
    required_together: Sequence[Sequence[str]] = ()
    required_if: Sequence[Sequence[Any]] = ()
    required_by: Mapping[str, Any] = {}

    @classmethod
    def of(cls, module: ModuleType) -> "Spec":
        """Read a module's spec; a rule it does not have is empty."""
        return cls(
            getattr(module, "ARGUMENTS", {}),
            getattr(module, "REQUIRED_ONE_OF", ()),
            getattr(module, "MUTUALLY_EXCLUSIVE", ()),
            getattr(module, "REQUIRED_TOGETHER", ()),
            getattr(module, "REQUIRED_IF", ()),
            getattr(module, "REQUIRED_BY", {}),
        )

    @classmethod
    def of_options(cls, row: Row) -> "Spec":
        """Read the spec of a dictionary argument's own keys."""
        return cls(
            row["options"],
            row.get("required_one_of") or (),
            row.get("mutually_exclusive") or (),
            row.get("required_together") or (),
            row.get("required_if") or (),
            row.get("required_by") or {},
        )


def validate(module: str, given: Mapping[str, Any], spec: Spec) -> Dict[str, Any]:
    """Return all arguments by their true names, converted, with defaults; raise ArgumentError for the first fault."""
    check_names(module, given, spec)
    values = _without_aliases(given, spec.arguments)
    _check_exclusive(values, spec.mutually_exclusive)
    for name, row in spec.arguments.items():
        if values.get(name) is None and row.get("default") is not None:
            values[name] = row["default"]
    _check_required(values, spec.arguments)
    for name, row in spec.arguments.items():
        if values.get(name) is not None:
            values[name] = _converted(module, name, values[name], row)
    _check_rules(values, spec)
    for name in spec.arguments:
        values.setdefault(name, None)
    return values


def check_names(module: str, given: Iterable[str], spec: Spec) -> None:
    """Refuse names that the module does not know, with the nearest one that it does."""
    known = set(spec.arguments)
    for row in spec.arguments.values():
        known.update(row.get("aliases") or ())
    unknown = sorted(str(name) for name in given if name not in known)
    if not unknown:
        return
    supported = ", ".join(
        name + (" (%s)" % ", ".join(sorted(row["aliases"])) if row.get("aliases") else "")
        for name, row in sorted(spec.arguments.items())
        if not name.startswith("_")
    )
    public = [name for name in known if not name.startswith("_")]
    similar = nearest.nearest(unknown, public)
    raise ArgumentError(
        "Unsupported parameters for (%s) module: %s. Supported parameters include: %s.%s"
        % (module, ", ".join(unknown), supported, " Did you mean %s?" % ", ".join(similar) if similar else "")
    )


def secret_names(spec: Spec) -> List[str]:
    """Return the arguments (with aliases) whose values must never be shown."""
    names: List[str] = []
    for name, row in spec.arguments.items():
        if row.get("no_log"):
            names += [name] + list(row.get("aliases") or ())
    return names


def _without_aliases(given: Mapping[str, Any], arguments: Mapping[str, Row]) -> Dict[str, Any]:
    true_names = {alias: name for name, row in arguments.items() for alias in row.get("aliases") or ()}
    values: Dict[str, Any] = {}
    for name, value in given.items():
        true = true_names.get(name, name)
        if true not in values or name == true or values[true] is None:
            values[true] = value
    return values


def _check_required(values: Mapping[str, Any], arguments: Mapping[str, Row]) -> None:
    missing = [name for name, row in arguments.items() if row.get("required") and values.get(name) is None]
    if missing:
        raise ArgumentError("missing required arguments: %s" % ", ".join(sorted(missing)))


def _converted(module: str, name: str, value: Any, row: Row) -> Any:
    kind = row.get("type") or "str"
    value = _convert(name, value, kind)
    if kind == "list" and row.get("elements"):
        value = [_convert(name, item, row["elements"], element=True) for item in value]
    if row.get("choices") is not None:
        value = _chosen(name, value, row["choices"])
    if row.get("options") is None:
        return value
    inner = Spec.of_options(row)
    if kind == "list":
        return [validate(module, item, inner) for item in value]
    return validate(module, value, inner)


def _convert(name: str, value: Any, kind: str, *, element: bool = False) -> Any:
    try:
        return conversions.convert(value, kind)
    except (TypeError, ValueError) as error:
        where = "Elements value for option '%s'" % name if element else "argument '%s'" % name
        raise ArgumentError(
            "%s is of type %s and we were unable to convert to %s: %s" % (where, type(value).__name__, kind, error)
        ) from error


def _chosen(name: str, value: Any, choices: Sequence[Any]) -> Any:
    listed = ", ".join(str(choice) for choice in choices)
    if isinstance(value, list):
        wrong = [str(item) for item in value if item not in choices]
        if wrong:
            raise ArgumentError(
                "value of %s must be one or more of: %s. Got no match for: %s" % (name, listed, ", ".join(wrong))
            )
        return value
    if value in choices:
        return value
    # YAML reads yes, no, on and off as truth values before a module sees them.
    for choice in choices:
        if isinstance(value, str) and value in ("True", "False") and str(choice).lower() in conversions.words(value):
            return choice
    raise ArgumentError("value of %s must be one of: %s, got: %s" % (name, listed, value))


def _check_exclusive(values: Mapping[str, Any], rules: Sequence[Sequence[str]]) -> None:
    for names in _rows(rules):
        if sum(values.get(name) is not None for name in names) > 1:
            raise ArgumentError("parameters are mutually exclusive: %s" % "|".join(names))


def _check_rules(values: Mapping[str, Any], spec: Spec) -> None:
    def given(name: str) -> bool:
        return values.get(name) is not None

    for names in _rows(spec.required_together):
        if any(given(name) for name in names) and not all(given(name) for name in names):
            raise ArgumentError("parameters are required together: %s" % ", ".join(names))
    for names in _rows(spec.required_one_of):
        if not any(given(name) for name in names):
            raise ArgumentError("one of the following is required: %s" % ", ".join(names))
    for name, expected, needed, any_of in (_condition(rule) for rule in spec.required_if):
        missing = [each for each in needed if not given(each)]
        if values.get(name) == expected and missing and (not any_of or len(missing) == len(needed)):
            quantity = "any" if any_of else "all"
            raise ArgumentError(
                "%s is %s but %s of the following are missing: %s" % (name, expected, quantity, ", ".join(missing))
            )
    for name, needs in spec.required_by.items():
        missing = [each for each in ([needs] if isinstance(needs, str) else needs) if not given(each)]
        if given(name) and missing:
            raise ArgumentError("missing parameter(s) required by '%s': %s" % (name, ", ".join(missing)))


def _rows(rules: Sequence[Sequence[str]]) -> List[Sequence[str]]:
    """Read ``["a", "b"]`` as ``[["a", "b"]]``, as Ansible does."""
    if rules and isinstance(rules[0], str):
        return [rules]  # type: ignore[list-item]
    return list(rules)


def _condition(rule: Sequence[Any]) -> Tuple[str, Any, Sequence[str], bool]:
    any_of: Optional[bool] = rule[3] if len(rule) > 3 else False
    return rule[0], rule[1], rule[2], bool(any_of)

"""From an inventory's rendered variables to deployments, or to every problem at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from r1fleet.errors import SpecError, Where
from r1fleet.spec.deployment import Container, Deployment, Job, Prepare, SecretRef, Timeouts, plain_path
from r1fleet.spec.resolve import WEIGHTS_DIR

RESERVED = ("weights", "wheelhouses", "home")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\Z")
_SECTIONS: Mapping[str, type[BaseModel]] = {
    "api_key": SecretRef,
    "container": Container,
    "job": Job,
    "prepare": Prepare,
    "timeouts": Timeouts,
}
_MEANT = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "text: put it in quotes",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
}


class SpecErrors(SpecError):
    """Several problems found in one reading, all told together."""

    def __init__(self, problems: Sequence[SpecError]) -> None:
        lines = "\n".join(f"  - {str(problem).replace(chr(10), chr(10) + '  ')}" for problem in problems)
        super().__init__(f"{len(problems)} problems in the deployments:\n{lines}")
        self.problems = tuple(problems)


def deployments(variables: Mapping[str, Any], *, places: Mapping[str, Any] | None = None) -> dict[str, Deployment]:
    """Read ``deployments`` from rendered variables; raise every problem found, each with its place.

    Rendering forgets where a value stood: ``places`` are the same variables as the inventory wrote them.
    """
    source = _mapping(_mapping(places).get("deployments"))
    written = variables.get("deployments")
    if written is None:
        return {}
    if not isinstance(written, Mapping):
        raise SpecError("deployments must be a mapping of names", where=_at(_mapping(places), "deployments"))
    problems: list[SpecError] = []
    read: dict[str, Deployment] = {}
    for name, body in written.items():
        found = list(_problems(source or written, name, body))
        if found:
            problems += found
        else:
            read[str(name)] = Deployment.model_validate(dict(body))
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise SpecErrors(problems)
    return read


def weights_dir_of(variables: Mapping[str, Any], *, places: Mapping[str, Any] | None = None) -> str:
    """Return where models lie, as a host's rendered variables say; ``places`` as for deployments."""
    written = variables.get("weights_dir") or WEIGHTS_DIR
    if not isinstance(written, str) or not re.fullmatch(r"/[^\x00\n$]*", written):
        raise SpecError(
            f"weights_dir is {_short(written)}; it must be an absolute path",
            where=_whole(_mapping(places).get("weights_dir")),
            hint="write where it lies on the hosts, without $ and ~",
        )
    return plain_path(written)


def _problems(source: Mapping[str, Any], name: object, body: object) -> Iterator[SpecError]:
    where = _at(source, name)
    if not _NAME.match(str(name)):
        yield SpecError(
            f"{name!r} is no name for a deployment",
            where=where,
            hint="use letters, digits, - and _, at most 63; it names units and folders on the hosts",
        )
    if str(name) in RESERVED:
        hint = "choose another name; a deployment's state lies beside these folders on the hosts"
        yield SpecError(f"a deployment cannot be called {name}", where=where, hint=hint)
    if not isinstance(body, Mapping):
        yield SpecError(f"deployment {name} must be a mapping", where=where)
        return
    try:
        Deployment.model_validate(dict(body))
    except ValidationError as error:
        places = _mapping(source.get(str(name))) or body
        seen: set[tuple[str, ...]] = set()
        for detail in error.errors():
            path = _path(detail)
            if path not in seen:
                seen.add(path)
                yield _explain(str(name), places, path, detail)


def _path(detail: ErrorDetails) -> tuple[str, ...]:
    """Return the keys that lead to the value, without what pydantic adds for members of a union."""
    keys = [str(part) for part in detail["loc"]]
    if keys and keys[0] in _SECTIONS:
        return tuple(keys[:2])
    return tuple(keys[:2]) if keys[:1] in (["env"], ["args"]) else tuple(keys[:1])


def _explain(name: str, body: Mapping[str, Any], path: tuple[str, ...], detail: ErrorDetails) -> SpecError:
    key = ".".join(path) or name
    where = _place(body, path)
    kind = detail["type"]
    if kind == "extra_forbidden":
        return _unknown(name, path, where)
    if path == ("api_key",) and kind != "value_error":
        return SpecError(
            f"deployment {name}: api_key must say where the secret is, not what it is",
            where=where,
            hint="write {env: NAME}, {file: PATH} or {prompt: true}",
        )
    if kind == "missing":
        return SpecError(f"deployment {name} has no {key}", where=_whole(body), hint=f"add `{key}:` to it")
    if len(path) == 1 and path[0].endswith("_parallel"):
        return SpecError(f"deployment {name}: {key} is {detail['input']!r}; it must be a number or auto", where=where)
    if kind == "value_error":
        return SpecError(f"deployment {name}: {key}: {detail['msg'].removeprefix('Value error, ')}", where=where)
    if kind == "literal_error":
        allowed = str(detail["ctx"]["expected"]).replace("'", "")
        return SpecError(f"deployment {name}: {key} is {detail['input']!r}; it can be {allowed}", where=where)
    meant = _MEANT.get(kind)
    if kind == "string_pattern_mismatch":
        return SpecError(f"deployment {name}: {key} cannot be {detail['input']!r}", where=where, hint=_shape_hint(path))
    if meant is not None:
        return SpecError(f"deployment {name}: {key} is {detail['input']!r}; it must be {meant}", where=where)
    text = detail["msg"].removeprefix("Input should be ")
    return SpecError(f"deployment {name}: {key} is {_short(detail['input'])}; it must be {text}", where=where)


def _unknown(name: str, path: tuple[str, ...], where: Where | None) -> SpecError:
    model = _SECTIONS[path[0]] if len(path) > 1 else Deployment
    section = f"{path[0]} of " if len(path) > 1 else ""
    near = difflib.get_close_matches(path[-1], model.model_fields, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    return SpecError(
        f"unknown key `{path[-1]}` in {section}deployment {name}{meant}",
        where=where,
        hint=None if near else "the keys are " + ", ".join(model.model_fields),
    )


def _shape_hint(path: tuple[str, ...]) -> str | None:
    if path == ("container", "user"):
        return 'numbers, as in "1000:1000": the names in an image are its own'
    return {
        "engine_version": 'a version is text with dots, like "0.5.23"',
        "log_limit": "a number with m or g, such as 512m; 0 keeps all",
        "model_path": "write an absolute path, without $ and ~",
        "venv": "write an absolute path",
        "scripts": "write an absolute path",
        "input": "write an absolute path",
        "prompts": "a prompt is one line of text",
        "folder": "write an absolute path, without $ and ~",
        "overlay": "write an absolute path",
        "user": "an account's name: lower-case letters, digits, - and _",
    }.get(path[-1])


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _place(body: Mapping[str, Any], path: tuple[str, ...]) -> Where | None:
    """Return the position of the innermost key that knows one."""
    place = _whole(body)
    inner: object = body
    for key in path:
        if not isinstance(inner, Mapping):
            break
        place = _at(inner, key) or place
        inner = inner.get(key)
    return place


def _at(mapping: Mapping[str, Any], key: object) -> Where | None:
    at = getattr(mapping, "at", None)
    where = at(key) if callable(at) else None
    return where if isinstance(where, Where) else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _whole(value: object) -> Where | None:
    where = getattr(value, "where", None)
    return where if isinstance(where, Where) else None

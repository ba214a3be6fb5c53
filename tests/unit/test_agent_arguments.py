"""Arguments as Ansible's argument specs have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from r1fleet.agent.arguments import ArgumentError, Spec, secret_names, validate

SPEC = Spec(
    {
        "path": {"type": "path", "required": True, "aliases": ["dest", "name"]},
        "state": {"choices": ["present", "absent"], "default": "present"},
        "force": {"type": "bool", "default": False},
        "count": {"type": "int"},
        "tags": {"type": "list", "elements": "str"},
        "env": {"type": "dict"},
        "size": {"type": "bytes"},
        "body": {"type": "jsonarg"},
        "anything": {"type": "raw"},
        "token": {"no_log": True, "aliases": ["secret"]},
        "rule": {"type": "dict", "options": {"port": {"type": "int", "required": True}, "proto": {"default": "tcp"}}},
        "_inner": {"type": "str"},
    },
    mutually_exclusive=[["count", "size"]],
    required_together=[["body", "token"]],
    required_if=[["state", "absent", ["force"]], ["count", 7, ["env", "tags"], True]],
    required_by={"size": "env"},
)


def given(**args: Any) -> dict[str, Any]:
    return validate("thing", {"path": "/x", **args}, SPEC)


def refusal(**args: Any) -> str:
    with pytest.raises(ArgumentError) as caught:
        validate("thing", args, SPEC)
    return caught.value.msg


def test_defaults_and_absent_arguments_are_there() -> None:
    values = given()
    assert (values["state"], values["force"], values["count"], values["path"]) == ("present", False, None, "/x")


@pytest.mark.parametrize(("text", "value"), [("yes", True), ("off", False), (1, True), ("FALSE", False), ("y", True)])
def test_truth_has_many_spellings(text: object, value: bool) -> None:
    assert given(force=text)["force"] is value


@pytest.mark.parametrize(
    ("name", "value", "converted"),
    [
        ("count", "12", 12),
        ("count", 3.0, 3),
        ("tags", "a,b", ["a", "b"]),
        ("tags", 5, ["5"]),
        ("env", "a=1 b='x y'", {"a": "1", "b": "x y"}),
        ("env", "a=1,b=2", {"a": "1", "b": "2"}),
        ("env", '{"a": 1}', {"a": 1}),
        ("anything", {"a": [1]}, {"a": [1]}),
        ("state", "absent", "absent"),
        ("rule", {"port": "80"}, {"port": 80, "proto": "tcp"}),
    ],
)
def test_conversions(name: str, value: object, converted: object) -> None:
    assert given(**{name: value, "force": True})[name] == converted


def test_sizes_and_structures() -> None:
    assert given(size="10M", env={})["size"] == 10 * 1024**2
    assert given(body={"a": 1}, token="t")["body"] == '{"a": 1}'


def test_paths_are_expanded_where_the_module_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "here")
    assert validate("thing", {"dest": "~/$PLACE"}, SPEC)["path"] == str(Path("~/here").expanduser())


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({}, "missing required arguments: path"),
        ({"path": None}, "missing required arguments: path"),
        ({"path": "/x", "state": "gone"}, "value of state must be one of: present, absent, got: gone"),
        ({"path": "/x", "count": 1, "size": 1, "env": {}}, "parameters are mutually exclusive: count|size"),
        ({"path": "/x", "body": "{}"}, "parameters are required together: body, token"),
        ({"path": "/x", "count": 7}, "count is 7 but any of the following are missing: env, tags"),
        ({"path": "/x", "size": 1}, "missing parameter(s) required by 'size': env"),
        ({"path": "/x", "rule": {}}, "missing required arguments: port"),
    ],
)
def test_refusals(args: dict[str, Any], message: str) -> None:
    assert refusal(**args) == message


@pytest.mark.parametrize(("name", "value"), [("force", "maybe"), ("count", "1.5"), ("env", 5), ("tags", {})])
def test_a_wrong_type_is_named(name: str, value: object) -> None:
    assert f"argument '{name}' is of type" in refusal(path="/x", **{name: value})


def test_an_unknown_name_is_refused_with_the_nearest_and_private_ones_stay_private() -> None:
    text = refusal(pth="/x")
    assert text.startswith("Unsupported parameters for (thing) module: pth. Supported parameters include: ")
    assert "path (dest, name)" in text
    assert text.endswith("Did you mean path?")
    assert "_inner" not in text


def test_secrets_are_known_by_all_their_names() -> None:
    assert secret_names(SPEC) == ["token", "secret"]

"""YAML that knows its positions, and refuses what cannot be meant."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import pytest

from r1fleet.errors import FleetError, InventoryError, PlaybookError, Where
from r1fleet.inventory.source import Block, Encrypted, Items, Text, load_yaml, load_yaml_text


def read(text: str) -> Block:
    value = load_yaml_text(text, "vars.yaml", "variables")
    assert isinstance(value, Block)
    return value


def refusal(text: str) -> FleetError:
    with pytest.raises(PlaybookError) as caught:
        load_yaml_text(text, "play.yaml", "playbook")
    return caught.value


def test_every_value_knows_where_it_stands() -> None:
    block = read("a: 1\nb:\n  - x: é\n    y: two words\n")
    inner = block["b"][0]
    assert (inner.at("y").line, inner.at("y").column) == (4, 5)
    assert inner["y"].where == Where("vars.yaml", 4, 8)
    assert isinstance(block["b"], Items)
    assert block["b"].where.line == 3
    assert block.at("no such key") == block.where


def test_text_is_str_for_all_purposes() -> None:
    text = read("a: node1")["a"]
    assert isinstance(text, Text)
    assert text == "node1"
    assert {"node1": 1}[text] == 1
    assert json.dumps({"a": text}) == '{"a": "node1"}'
    assert type(str(text)) is str


@pytest.mark.parametrize("twin", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_copies_and_pickles_keep_positions(twin: object) -> None:
    block = read("a: {b: [c, 1]}\n")
    again = twin(block)  # type: ignore[operator]
    assert again == block
    assert type(again) is Block
    assert again.where == block.where
    assert again["a"]["b"].where == block["a"]["b"].where
    assert again["a"]["b"][0].where == block["a"]["b"][0].where


def test_scalars_are_read_as_ansible_reads_them() -> None:
    block = read("a: yes\nb: off\nc: 0644\nd: 1.5\ne: ~\nf: 2020-01-01\ng: '1'\nh: 22:22\n")
    assert dict(block) == {
        "a": True, "b": False, "c": 0o644, "d": 1.5, "e": None, "f": "2020-01-01", "g": "1", "h": 1342,
    }  # fmt: skip


def test_anchors_and_merge_keys() -> None:
    block = read("base: &b {x: 1, y: 1}\nuse: {<<: *b, y: 2}\n")
    assert block["use"] == {"x": 1, "y": 2}


def test_unsafe_text_is_no_template() -> None:
    block = read('a: !unsafe "{{ x }}"\nb: !unsafe {c: ["{{ y }}"]}\nd: "{{ z }}"\n')
    assert type(block["a"]) is str
    assert type(block["b"]["c"][0]) is str
    assert isinstance(block["d"], Text)


def test_vault_values_are_kept_and_refuse_to_be_shown() -> None:
    block = read("a: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\n")
    secret = block["a"]
    assert isinstance(secret, Encrypted)
    assert secret.ciphertext.startswith("$ANSIBLE_VAULT")
    assert "6162" not in repr(block)
    with pytest.raises(InventoryError, match="damaged") as caught:
        str(secret)
    assert caught.value.where == Where("vars.yaml", 1, 4)


def test_a_syntax_error_shows_line_and_caret() -> None:
    error = refusal("- name: x\n  command: echo a: b\n")
    assert error.where == Where("play.yaml", 2, 18)
    assert error.what.split("\n")[1:] == ["      command: echo a: b", "    " + " " * 17 + "^"]
    assert error.hint == 'put quotes around a value that holds ": "'


@pytest.mark.parametrize(
    ("text", "line", "what", "hint"),
    [
        ("a:\n\t- b\n", 2, "cannot start any token", "spaces"),
        ("a: {{ x }}\n", 1, "a key must be plain text", 'quotes: "{{ name }}"'),
        ("x: 1\na: {{ x }} b\n", 2, "not valid YAML", 'quotes: "{{ name }}"'),
        ('b: 1\na: "{{ x\n', 2, "quoted scalar", "never closed"),
        ("a: 1\nb: 2\na: 3\n", 3, '"a" is given twice: in line 1 and in line 3', "keep one"),
        ("- &a [*a]\n", 1, "an anchor holds itself", "write the value out"),
        ("a: 1\n---\nb: 2\n", 1, "single document", "one file is one document"),
        ("b: 1\na: \x00", 2, "YAML forbids", "control character"),
        ("a: !foo 1\n", 1, "the YAML tag !foo is not supported", "!vault"),
        ("a: !!python/object:os.system 1\n", 1, "python/object:os.system is not supported", "!unsafe"),
        ("a: !!int z\n", 1, "not a valid int: z", "quote"),
        ("a: *nothing\n", 1, "undefined alias", "anchor"),
        ("[" * 5000, 1, "not", ""),
    ],
)
def test_what_cannot_be_meant_is_one_clear_error(text: str, line: int, what: str, hint: str) -> None:
    error = refusal(text)
    assert what in error.what
    assert hint in (error.hint or "")
    assert error.where is not None
    assert (error.where.path, error.where.line) == ("play.yaml", line)


def test_a_duplicate_key_can_be_a_warning() -> None:
    warnings: list[str] = []
    value = load_yaml_text("a: 1\na: 2\n", "play.yaml", "playbook", warn=warnings.append)
    assert value == {"a": 2}
    assert warnings == ['play.yaml:2:1: the key "a" is given twice: in line 1 and in line 2; the later one counts']


def test_files_are_utf8(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert load_yaml(file, "variables") == {"a": 1}
    file.write_bytes("a: 1\n".encode("utf-16"))
    with pytest.raises(InventoryError, match="UTF-16"):
        load_yaml(file, "variables")
    file.write_bytes(b"a: 1\nb: \xe9\n")
    with pytest.raises(InventoryError, match="not UTF-8: byte 0xe9") as caught:
        load_yaml(file, "variables")
    assert caught.value.where == Where(str(file), 2)
    with pytest.raises(InventoryError, match="No such file"):
        load_yaml(tmp_path / "absent.yaml", "variables")
    file.write_bytes(b"")
    assert load_yaml(file, "variables") is None

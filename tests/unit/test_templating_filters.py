"""Filters, tests and lookups as roles use them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from r1fleet.errors import Where
from r1fleet.inventory.source import Text
from r1fleet.playbook.scope import Scope
from r1fleet.playbook.templating import TemplateFailed, render, render_lazy


def shown(text: str, **variables: Any) -> Any:
    return render(Text(text, Where("site.yaml", 1)), Scope([variables], render_lazy))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ '192.168.1.5/24' | ansible.utils.ipaddr('address') }}", "192.168.1.5"),
        ("{{ '192.168.1.5/24' | ipaddr('network') }}", "192.168.1.0"),
        ("{{ '192.168.1.5/24' | ipaddr('netmask') }}", "255.255.255.0"),
        ("{{ '192.168.1.5/24' | ipaddr('prefix') }}", 24),
        ("{{ '192.168.1.5/24' | ipaddr('host/prefix') }}", "192.168.1.5/24"),
        ("{{ '192.168.1.5/24' | ipaddr('subnet') }}", "192.168.1.0/24"),
        ("{{ '192.168.1.5/24' | ipaddr('192.168.0.0/16') }}", "192.168.1.5/24"),
        ("{{ '10.1.1.5' | ipaddr('192.168.0.0/16') }}", None),
        ("{{ '192.168.1.0/24' | ipaddr(5) }}", "192.168.1.5/24"),
        ("{{ 'host.example' | ipaddr }}", False),
        ("{{ ['10.0.0.1', 'x', 'fe80::1/64'] | ipaddr }}", ["10.0.0.1", "fe80::1/64"]),
        ("{{ ['10.0.0.1', 'fe80::1/64'] | ansible.utils.ipv6('address') }}", ["fe80::1"]),
        ("{{ ['10.0.0.1', 'fe80::1/64'] | ansible.netcommon.ipv4 }}", ["10.0.0.1"]),
        ("{{ '8.8.8.8' | ipaddr('public') }}{{ '10.0.0.1' | ipaddr('private') }}", "8.8.8.810.0.0.1"),
        ("http://{{ '2001:db8::1' | ipwrap }}/{{ 'host.example' | ipwrap }}", "http://[2001:db8::1]/host.example"),
        ("{{ '10.0.0.0/16' | ipsubnet(24, 3) }} {{ '10.0.0.0/16' | ipsubnet(24) }}", "10.0.3.0/24 256"),
        ("{{ '10.0.0.0/8' | nthhost(305) }} {{ '10.0.0.1' | ipmath(-2) }}", "10.0.1.49 9.255.255.255"),
        ("{{ {'a': [{'n': 1}, {'n': 2}]} | json_query('a[?n > `1`].n') }}", [2]),
        ("{{ {'a': {'b': 1}} | community.general.json_query('a.b') }}", 1),
        ("{{ 'yes' | bool }}", True),
        ("{{ 'no' | bool }}", False),
        ("{{ {'a': 1} | combine({'b': 2}) }}", {"a": 1, "b": 2}),
        ("{{ {'a': {'x': 1}} | combine({'a': {'y': 2}}, recursive=true) }}", {"a": {"x": 1, "y": 2}}),
        ("{{ {'a': [1]} | combine({'a': [2]}, list_merge='append') }}", {"a": [1, 2]}),
        ("{{ {'a': 1} | dict2items }}", [{"key": "a", "value": 1}]),
        ("{{ [{'key': 'a', 'value': 1}] | items2dict }}", {"a": 1}),
        ("{{ [1, [2, [3]]] | flatten }}", [1, 2, 3]),
        ("{{ [1, [2, [3]]] | flatten(levels=1) }}", [1, 2, [3]]),
        ("{{ [1, 2, 2] | unique }}", [1, 2]),
        ("{{ [1, 2] | difference([2]) }}", [1]),
        ("{{ [1, 2] | intersect([2, 3]) }}", [2]),
        ("{{ [1, 2] | symmetric_difference([2, 3]) }}", [1, 3]),
        ("{{ true | ternary('a', 'b') }}", "a"),
        ("{{ 'a1b2' | regex_replace('[0-9]', '-') }}", "a-b-"),
        ("{{ 'a1b2' | regex_search('[0-9]') }}", "1"),
        ("{{ 'a1b2' | regex_search('([a-z])([0-9])', '\\2', '\\1') }}", ["1", "a"]),
        ("{{ 'a1b2' | regex_findall('[0-9]') }}", ["1", "2"]),
        ("{{ 'a b' | quote }}", "'a b'"),
        ("{{ '/a/b.tar.gz' | basename }}", "b.tar.gz"),
        ("{{ '/a/b.txt' | dirname }}", "/a"),
        ("{{ 'b.txt' | splitext }}", ["b", ".txt"]),
        ("{{ 'aGk=' | b64decode }}", "hi"),
        ("{{ 'hi' | b64encode }}", "aGk="),
        ("{{ 'x' | hash('sha256') }}", "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"),
        ("{{ {'a': [1]} | to_json }}", '{"a": [1]}'),
        ("{{ '{\"a\": 1}' | from_json }}", {"a": 1}),
        ("{{ 'a: [1]' | from_yaml }}", {"a": [1]}),
        ("{{ {'b': 1, 'a': [x]} | to_nice_yaml }}", "a:\n- 1\nb: 1\n"),
        ("{{ {'a': 1} | to_nice_json }}", '{\n    "a": 1\n}'),
        ("{{ 'one\ntwo' | comment }}", "#\n# one\n# two\n#"),
        ("{{ '1536' | human_readable }}", "1.50 KB"),
        ("{{ '1.5 KB' | human_to_bytes }}", 1536),
        ("{{ 'a,b' | split(',') }}", ["a", "b"]),
        ("{{ [['a', 1], ['b', 2]] | map('first') | list }}", ["a", "b"]),
        ("{{ [{'n': 'a', 'l': [1, 2]}] | subelements('l') | length }}", 2),
        ("{{ [1, 2] | zip(['a', 'b']) }}", [[1, "a"], [2, "b"]]),
        ("{{ ['a', 'b'] | map('extract', {'a': 1, 'b': 2}) | list }}", [1, 2]),
        ("{{ 'abc' is match('b') }}", False),
        ("{{ 'abc' is search('b') }}", True),
        ("{{ [1, 2] is contains(2) }}", True),
        ("{{ [1] is subset([1, 2]) }}", True),
        ("{{ '2.10' is version('2.9', '>=') }}", True),
        ("{{ {'failed': true} is failed }}", True),
        ("{{ {'changed': false} is changed }}", False),
        ("{{ {'skipped': true} is skipped }}", True),
        ("{{ {} is succeeded }}", True),
        ("{{ lookup('env', 'ABSENT_VARIABLE') }}", ""),
        ("{{ lookup('pipe', 'echo hi') }}", "hi"),
        ("{{ lookup('vars', 'x') }}", 1),
        ("{{ query('sequence', 'start=1 end=3') }}", ["1", "2", "3"]),
        ("{{ lookup('dict', {'a': 1}).value }}", 1),
    ],
)
def test_values(text: str, value: Any) -> None:
    assert shown(text, x=1) == value


@pytest.mark.parametrize(
    "text",
    [
        "{{ absent | mandatory }}",
        "{{ 'x' | human_to_bytes }}",
        "{{ 1 | dict2items }}",
        "{{ lookup('file', 'absent.txt') }}",
        "{{ lookup('vars', 'absent') }}",
        "{{ '{' | from_json }}",
        "{{ 'a' is version('1', '~') }}",
    ],
)
def test_wrong_use_is_an_error_with_a_place(text: str) -> None:
    with pytest.raises(TemplateFailed) as caught:
        shown(text)
    assert str(caught.value.where) == "site.yaml:1"


def test_files_are_looked_up_in_the_role_then_beside_the_playbook(tmp_path: Path) -> None:
    for place in ("role/files/a", "play/files/a", "play/files/b"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(f"{place}\n")
    variables = {"role_path": str(tmp_path / "role"), "playbook_dir": str(tmp_path / "play")}
    assert shown("{{ lookup('file', 'a') }}", **variables) == "role/files/a"
    assert shown("{{ lookup('file', 'b') }}", **variables) == "play/files/b"
    assert shown("{{ lookup('first_found', ['c', 'b']) }}", **variables) == str(tmp_path / "play/files/b")
    assert shown("{{ query('first_found', {'files': ['c'], 'skip': true}) }}", **variables) == []


def test_a_password_is_made_once_and_kept_to_oneself(tmp_path: Path) -> None:
    text = "{{ lookup('password', 'secrets/one length=12 chars=digits') }}"
    first = shown(text, playbook_dir=str(tmp_path))
    assert first == shown(text, playbook_dir=str(tmp_path))
    assert len(first) == 12
    assert first.isdigit()
    assert (tmp_path / "secrets/one").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # As libc's crypt(3) makes them.
        (
            "{{ 'Hello world!' | password_hash('sha512', 'saltstring', rounds=5000) }}",
            "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
        ),
        (
            "{{ 'Hello world!' | password_hash('sha256', 'saltstring', rounds=5000) }}",
            "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
        ),
        (
            "{{ 'secret' | password_hash('sha512', 'mysecretsalt') }}",
            "$6$rounds=656000$mysecretsalt$"
            "YyZPS1e8zRrH5MTi9WLHXH3ANZOzFv/lANQQN5yFyv6Z5.xm2HtIgmn/48kBWrZ.OE7fehbq9teMQxnNyJGVh.",
        ),
    ],
)
def test_password_hashes_are_those_of_shadow(text: str, value: str) -> None:
    assert shown(text) == value


@pytest.mark.parametrize("call", ["password_hash('md5', 'a')", "password_hash('sha512', 'no$salt')"])
def test_password_hashes_that_cannot_be_made_say_why(call: str) -> None:
    with pytest.raises(TemplateFailed, match=r"md5 is not in the list|a salt has at most"):
        shown(f"{{{{ 'x' | {call} }}}}")

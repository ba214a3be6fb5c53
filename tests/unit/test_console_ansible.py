"""Text that Ansible writes in its own way, as seen from ansible-core 2.19."""

from __future__ import annotations

import io
import re

import pytest

from r1fleet.console import renderer
from r1fleet.events import Event, HostCounts, ItemResult, Note, PlayStarted, Recap, TaskResult, TaskStarted

CENSORED = "the output has been hidden due to the fact that 'no_log: true' was specified for this result"


def lines(*events: Event, verbosity: int = 0, diff: bool = False) -> list[str]:
    """Return what is written, without empty lines and stars."""
    stream = io.StringIO()
    with renderer("ansible", stream=stream, verbosity=verbosity, diff=diff) as observe:
        for event in events:
            observe(event)
    return [line.rstrip(" *") for line in stream.getvalue().split("\n") if line]


def failed(action: str, **more: object) -> TaskResult:
    return TaskResult("h1", "one", "failed", {"changed": False, "failed": True, **more}, action=action, where="a:1")


ONE = TaskStarted("one", "command", where="a:1")


def test_that_it_failed_stands_before_the_result_only() -> None:
    assert lines(ONE, failed("command", rc=1))[1:] == ['fatal: [h1]: FAILED! => {"changed": false, "rc": 1}']
    item = ItemResult("h1", "one", "x", "failed", {"failed": True, "failed_when_result": True}, where="a:1")
    assert lines(ONE, item)[1:] == ['failed: [h1] (item=x) => {"failed_when_result": true}']


def test_a_failed_assertion_is_spread_out() -> None:
    told = lines(TaskStarted("one", "assert", where="a:1"), failed("assert", assertion="1 == 2", msg="no\ngood"))
    assert told[1:] == [
        "fatal: [h1]: FAILED! => {",
        '    "assertion": "1 == 2",',
        '    "changed": false,',
        r'    "msg": "no\ngood"',
        "}",
    ]


def test_what_no_log_hides_is_not_said_to_be_hidden_when_all_is_well() -> None:
    hidden = TaskResult("h1", "one", "ok", {"censored": CENSORED}, action="debug", where="a:1")
    assert lines(TaskStarted("one", "debug", where="a:1"), hidden)[1:] == ["ok: [h1]"]
    assert lines(ONE, failed("command", censored=CENSORED))[1:] == [
        f'fatal: [h1]: FAILED! => {{"censored": "{CENSORED}", "changed": false}}'
    ]


def test_an_include_is_told_once_for_all_its_hosts() -> None:
    include = TaskStarted("one", "include_tasks", where="a:1")
    whole = [
        TaskResult(host, "one", "ok", {"include": "inc.yml"}, action="include_tasks", where="a:1")
        for host in ("h1", "h2")
    ]
    after = TaskStarted("two", "command", where="b:1")
    assert lines(include, *whole, after) == ["TASK [one]", "included: inc.yml for h1, h2", "TASK [two]"]
    looped: list[Event] = []
    for host in ("h1", "h2"):
        looped += [ItemResult(host, "one", item, "ok", {"include": "inc.yml"}, where="a:1") for item in ("a", "b")]
        looped.append(TaskResult(host, "one", "ok", {"results": []}, action="include_tasks", where="a:1", looped=True))
    assert lines(include, *looped, after) == [
        "TASK [one]",
        "included: inc.yml for h1, h2 => (item=a)",
        "included: inc.yml for h1, h2 => (item=b)",
        "TASK [two]",
    ]


def test_a_host_that_works_for_another_is_named_with_its_address() -> None:
    done = TaskResult("h1", "one", "changed", where="a:1", delegate="h2", address="10.0.0.2")
    assert lines(ONE, done)[1:] == ["changed: [h1 -> h2(10.0.0.2)]"]


def test_retries_name_their_host_once() -> None:
    assert lines(ONE, Note("FAILED - RETRYING: [h1]: one (2 retries left).", host="h1"))[1:] == [
        "FAILED - RETRYING: [h1]: one (2 retries left)."
    ]


@pytest.mark.parametrize("looped", [False, True])
def test_molecule_reads_which_tasks_changed_something(looped: bool) -> None:
    """As its check of idempotence does: a number in the recap, then the last title above each line of change."""
    events: list[Event] = [PlayStarted("p", ("h1",)), TaskStarted("quiet", "command", "r", where="a:0"), ONE]
    if looped:
        events.append(ItemResult("h1", "one", "x", "changed", where="a:1"))
    events.append(TaskResult("h1", "one", "changed", {"results": []} if looped else {}, where="a:1", looped=looped))
    events.append(Recap({"h1": HostCounts(ok=2, changed=1)}))
    text = lines(*events)
    assert any(re.search("(changed=[1-9][0-9]*)", line) for line in text)
    place = next(number for number, line in enumerate(text) if line.startswith("changed"))
    title = next(line for line in reversed(text[:place]) if line.startswith("TASK"))
    assert re.search(r"\[(.*)\]", title).group(1) == "one"  # type: ignore[union-attr]
    assert text[place].startswith("changed: [h1]")

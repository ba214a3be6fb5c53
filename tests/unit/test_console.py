"""Every renderer shows the same events; the texts are golden, because people and programs read them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from rich.console import Console

from r1fleet.console import KINDS, Renderer, render_error, renderer, results
from r1fleet.console.board import Board
from r1fleet.console.choose import can_be_live
from r1fleet.console.jsonlines import JsonRenderer
from r1fleet.console.live import LiveRenderer
from r1fleet.errors import HostFailed, InventoryError, UsageError, Where
from r1fleet.events import (
    RUN,
    EndpointReady,
    Event,
    HostCounts,
    ItemResult,
    LogLines,
    Note,
    PlayStarted,
    RankState,
    Recap,
    Step,
    TaskResult,
    TaskStarted,
)

PLACE = "roles/base/tasks/main.yaml:3"
FAILURE = {"changed": True, "rc": 3, "msg": "bad exit", "stdout": "out", "stderr": "err\nend"}
DIFF = {"before": "a\nb\n", "after": "a\nc", "before_header": "/etc/x", "after_header": "/etc/x"}
PLAYBOOK: tuple[Event, ...] = (
    PlayStarted("first play", ("h1", "h2")),
    TaskStarted("say", "debug"),
    TaskResult("h1", "say", "ok", {"changed": False, "msg": "hello é"}, action="debug"),
    TaskStarted("", "ansible.builtin.debug"),
    TaskResult("h1", "", "ok", {"changed": False, "x": [1]}, action="ansible.builtin.debug"),
    TaskStarted("loop", "command"),
    ItemResult("h1", "loop", "a", "changed", {"changed": True}),
    ItemResult("h1", "loop", "b", "ignored", {"changed": False, "msg": "no", "_secret": 1, "invocation": {}}),
    TaskResult("h1", "loop", "ignored", {"results": []}, action="command", looped=True),
    TaskStarted("skipped loop", "command"),
    ItemResult("h1", "skipped loop", "1", "skipped"),
    TaskResult("h1", "skipped loop", "skipped", looped=True),
    TaskStarted("write", "copy", role="base", where=PLACE),
    TaskResult("h1", "write", "changed", {"changed": True, "diff": DIFF}, role="base", action="copy", where=PLACE),
    TaskResult("h2", "write", "failed", FAILURE, role="base", action="copy", where=PLACE),
    TaskStarted("hand", "service", handler=True),
    TaskResult("h1", "hand", "ok", {"changed": False}, action="service"),
    PlayStarted("nobody", ()),
    PlayStarted("h3", ("h3",)),
    TaskStarted("ping", "ping"),
    TaskResult("h3", "ping", "unreachable", {"msg": "no route", "unreachable": True, "changed": False}),
    Recap({"h3": HostCounts(unreachable=1), "h1": HostCounts(ok=7, changed=4, skipped=4, ignored=1)}, 61.4),
)
OTHERS: tuple[Event, ...] = (
    Note("about to begin"),
    Note("old key", level="warning", host="h1"),
    Step("wheels", host="h1", done=0, total=2048, unit="bytes"),
    Step("wheels", host="h1", done=100, total=2048, unit="bytes"),
    Step("wheels", host="h1", done=1024, total=2048, unit="bytes"),
    Step("wheels", "done", "from the cache", "h1", 2048, 2048, "bytes", 12.0),
    Step("copy", "failed", "disk full", "h2"),
    RankState("r1", 0, "h1", "starting"),
    LogLines("r1", 0, "h1", ("INFO up", "two\nlines")),
    RankState("r1", 0, "h1", "ready"),
    EndpointReady("r1", "http://h1:40000/v1", "tiny", "Four.\n", 83.0),
)

ANSIBLE = """
PLAY [first play] **************************************************************

TASK [say] *********************************************************************
ok: [h1] => {
    "msg": "hello é"
}

TASK [ansible.builtin.debug] ***************************************************
ok: [h1] => {
    "x": [
        1
    ]
}

TASK [loop] ********************************************************************
changed: [h1] => (item=a)
failed: [h1] (item=b) => {"changed": false, "msg": "no"}
...ignoring

TASK [skipped loop] ************************************************************
skipping: [h1] => (item=1)|
skipping: [h1]

TASK [base : write] ************************************************************
--- before: /etc/x
+++ after: /etc/x
@@ -1,2 +1,2 @@
 a
-b
+c
\\ No newline at end of file

changed: [h1]
fatal: [h2]: FAILED! => {"changed": true, "msg": "bad exit", "rc": 3, "stderr": "err\\nend", "stdout": "out"}

RUNNING HANDLER [hand] *********************************************************
ok: [h1]

PLAY [nobody] ******************************************************************
skipping: no hosts matched

PLAY [h3] **********************************************************************

TASK [ping] ********************************************************************
fatal: [h3]: UNREACHABLE! => {"changed": false, "msg": "no route", "unreachable": true}

PLAY RECAP *********************************************************************
h1                         : ok=7    changed=4    unreachable=0    failed=0    skipped=4    rescued=0    ignored=1   |
h3                         : ok=0    changed=0    unreachable=1    failed=0    skipped=0    rescued=0    ignored=0   |

""".replace(")|\n", ") \n").replace("|\n", "\n")

PLAIN = """\
play: first play: h1 h2
task: say
ok: h1: say
    hello é
task: ansible.builtin.debug
ok: h1: ansible.builtin.debug
    x: [
      1
    ]
task: loop
changed: h1: loop [a]
ignored: h1: loop [b]: no
ignored: h1: loop: some items failed
task: skipped loop
skipped: h1: skipped loop [1]
skipped: h1: skipped loop
task: base : write
changed: h1: base : write
    --- before: /etc/x
    +++ after: /etc/x
    @@ -1,2 +1,2 @@
     a
    -b
    +c
    \\ No newline at end of file
failed: h2: base : write: bad exit
    exit status: 3
    stderr: err
    stderr: end
    stdout: out
    at roles/base/tasks/main.yaml:3
handler: hand
ok: h1: hand
play: nobody: no hosts
play: h3: h3
task: ping
unreachable: h3: ping: no route
recap: h3: ok=0 changed=0 unreachable=1 failed=0 skipped=0 rescued=0 ignored=0
recap: h1: ok=7 changed=4 unreachable=0 failed=0 skipped=4 rescued=0 ignored=1
recap: 2 hosts in 1 min 01 s
info: about to begin
warning: h1: old key
running: h1: wheels: 0 B/2.0 KiB
running: h1: wheels: 1.0 KiB/2.0 KiB
done: h1: wheels: from the cache, 2.0 KiB/2.0 KiB (12 s)
failed: h2: copy: disk full
rank: r1 0 on h1: starting
rank: r1 0 on h1: ready
ready: r1: tiny answers at http://h1:40000/v1 (after 1 min 23 s)
sample: r1: Four.
"""

HOSTILE = "[bold red]x[/] \x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J \x08\u202e end"


def shown(kind: str, events: tuple[Event, ...], *, verbosity: int = 0, diff: bool = True) -> str:
    stream = io.StringIO()
    with renderer(kind, stream=stream, verbosity=verbosity, diff=diff) as observe:
        for event in events:
            observe(event)
    return stream.getvalue()


def in_terminal(events: tuple[Event, ...], *, verbosity: int = 0, diff: bool = False) -> str:
    stream = io.StringIO()
    console = Console(
        file=stream, force_terminal=True, width=100, markup=False, highlight=False, emoji=False,
        color_system=None, legacy_windows=False,
    )  # fmt: skip
    with LiveRenderer(stream, verbosity=verbosity, diff=diff, console=console) as observe:
        for event in events:
            observe(event)
    return stream.getvalue()


def test_ansibles_text() -> None:
    assert shown("ansible", PLAYBOOK) == ANSIBLE


def test_plain_lines() -> None:
    assert shown("plain", PLAYBOOK + OTHERS) == PLAIN


def test_figures_of_the_run_stand_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    recap = Recap({"h1": HostCounts(ok=1)}, stats={RUN: {"built": 2}, "h1": {"kept": ["a"]}})
    assert shown("plain", (recap,)).splitlines()[1:] == ['stats: h1: {"kept": ["a"]}', 'stats: RUN: {"built": 2}']
    assert "CUSTOM STATS" not in shown("ansible", (recap,))
    monkeypatch.setenv("ANSIBLE_SHOW_CUSTOM_STATS", "yes")
    told = shown("ansible", (recap,)).splitlines()
    at = next(number for number, line in enumerate(told) if line.startswith("CUSTOM STATS: *"))
    assert told[at + 1 : at + 5] == ['\th1: { "kept": [  "a" ]}', "", '\tRUN: { "built": 2}', ""]


def test_a_pipe_gets_plain_lines() -> None:
    assert shown("auto", PLAYBOOK + OTHERS) == PLAIN


def test_what_ranks_write_is_shown_when_asked_for() -> None:
    written = (LogLines("r1", 0, "h1", ("INFO up", "two\nlines")),)
    assert shown("plain", written) == ""
    assert shown("plain", written, verbosity=1) == "r1 0 h1 | INFO up\nr1 0 h1 | two\nr1 0 h1 | lines\n"
    assert "r1 0 h1 │ two" in in_terminal(written, verbosity=1)


def test_a_starting_rank_shows_its_last_line_while_it_starts() -> None:
    board = Board()
    for lines in (("first",), ("last", "  ")):
        board.note(LogLines("r1", 0, "h1", lines))
    assert board.said == {("r1", 0): "last"}


def test_verbose_ansible_text_shows_results_and_places() -> None:
    task = (
        TaskStarted("write", "copy", "base", PLACE),
        TaskResult("h1", "write", "ok", {"changed": False}, "base", "copy", PLACE),
    )
    assert shown("ansible", task, verbosity=2).split("\n")[2:4] == [
        f"task path: {PLACE}",
        'ok: [h1] => {"changed": false}',
    ]


def test_a_loop_without_items_shows_why_and_a_failed_one_is_ignored_once() -> None:
    failed = ItemResult("h1", "loop", "a", "failed", {"msg": "no"})
    text = shown(
        "ansible",
        (
            TaskStarted("loop", "command"),
            failed,
            failed,
            TaskResult("h1", "loop", "ignored", {"results": [{}, {}]}, looped=True),
            TaskResult("h2", "loop", "failed", {"msg": "nothing to loop over"}, looped=True),
        ),
    )
    assert text.split("\n")[2:-1] == [
        'failed: [h1] (item=a) => {"msg": "no"}',
        'failed: [h1] (item=a) => {"msg": "no"}',
        "...ignoring",
        'fatal: [h2]: FAILED! => {"msg": "nothing to loop over"}',
    ]


def banners(events: tuple[Event, ...]) -> list[str]:
    return [line.split(" *")[0] for line in shown("ansible", events).split("\n") if line]


def test_interleaved_tasks_repeat_their_banner() -> None:
    assert banners(
        (
            TaskStarted("one", "command", where="a:1"),
            TaskStarted("two", "command", where="a:2", handler=True),
            ItemResult("h1", "one", "x", "ok"),
            TaskResult("h1", "one", "ok", where="a:1"),
            TaskResult("h1", "two", "ok", where="a:2"),
        )
    ) == [
        "TASK [one]", "RUNNING HANDLER [two]", "TASK [one]", "ok: [h1] => (item=x)", "ok: [h1]",
        "RUNNING HANDLER [two]", "ok: [h1]",
    ]  # fmt: skip


def test_a_name_that_differs_from_host_to_host_has_one_banner() -> None:
    assert banners(
        (
            TaskStarted("on h1", "command", where="a:1"),
            ItemResult("h1", "on {{ inventory_hostname }}", "x", "ok"),
            TaskResult("h1", "on h1", "ok", where="a:1"),
            TaskResult("h2", "on h2", "ok", where="a:1"),
        )
    ) == ["TASK [on h1]", "ok: [h1] => (item=x)", "ok: [h1]", "ok: [h2]"]
    hosts = ("h1", "h2")
    text = in_terminal(
        (
            PlayStarted("p", hosts),
            TaskStarted("on h1", "command", where="a:1"),
            *(TaskResult(host, f"on {host}", "changed", where="a:1") for host in hosts),
        )
    )
    assert "changed     on h1  h1 h2" in text


def test_json_lines_hold_every_field() -> None:
    stream = io.StringIO()
    with JsonRenderer(stream, clock=lambda: 1.23456) as observe:
        observe(TaskResult("h1", "write", "changed", {"set": {1}, "raw": b"\xff", "name": "é"}, where=PLACE))
        observe(Recap({"h1": HostCounts(ok=1)}))
        observe.error(InventoryError("cause", where=Where("a.yaml", 3), hint="mend it"))
        observe.table("ranks", ("host", "state"), [("h1", "ready")])
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [
        {
            "event": "task_result", "time": 1.235, "host": "h1", "task": "write", "status": "changed",
            "result": {"set": [1], "raw": "\ufffd", "name": "é"}, "role": "", "action": "", "where": PLACE,
            "looped": False, "seconds": 0.0, "delegate": "", "address": "",
        },
        {
            "event": "recap", "time": 1.235, "seconds": 0.0, "pardoned": [], "stats": {},
            "hosts": {"h1": {
                "ok": 1, "changed": 0, "unreachable": 0, "failed": 0, "skipped": 0, "rescued": 0, "ignored": 0,
            }},
        },
        {"event": "error", "time": 1.235, "what": "cause", "where": "a.yaml:3", "hint": "mend it", "exit_code": 5},
        {"event": "table", "time": 1.235, "title": "ranks", "rows": [{"host": "h1", "state": "ready"}]},
    ]  # fmt: skip


def test_every_event_is_one_json_line() -> None:
    lines = shown("json", PLAYBOOK + OTHERS).splitlines()
    assert len(lines) == len(PLAYBOOK + OTHERS)
    assert {json.loads(line)["event"] for line in lines} >= {"play_started", "item_result", "endpoint_ready"}


def test_a_terminal_keeps_what_matters() -> None:
    text = in_terminal(PLAYBOOK + OTHERS)
    for line in (
        "play  first play  2 hosts: h1 h2",
        "changed     base : write  h1",
        "failed      h2  base : write: bad exit",
        "exit status: 3",
        "stderr: end",
        f"at {PLACE}",
        "unreachable h3  ping: no route",
        "warning     h1  old key",
        "done        h1  wheels: from the cache  12 s",
        "ready       h1  r1 rank 0",
        "r1 is ready after 1 min 23 s",
        "http://h1:40000/v1",
        "2 hosts in 1 min 01 s",
        "hello é",
    ):
        assert line in text
    assert "changed     h1  base : write" in text
    assert f"{'':12}-b" in text
    assert "ok          h1  hand" not in text
    assert "ok          h1  hand" in in_terminal(PLAYBOOK, verbosity=1)


def test_a_terminal_names_changed_hosts_once_per_task() -> None:
    hosts = tuple(f"h{number}" for number in range(64))
    results = tuple(TaskResult(host, "write", "changed") for host in hosts)
    text = in_terminal((PlayStarted("p", hosts), TaskStarted("write", "copy"), *results))
    assert text.count("changed     write") == 1
    assert "changed     write  h0 h1 h2 h3 and 60 more" in text


@pytest.mark.parametrize("show", [in_terminal, *(lambda events, kind=kind: shown(kind, events) for kind in KINDS)])
def test_what_hosts_say_is_shown_as_text(show: Callable[[tuple[Event, ...]], str]) -> None:
    text = show(
        (
            PlayStarted(HOSTILE, ("h1",)),
            TaskStarted(HOSTILE, "command", HOSTILE, HOSTILE),
            ItemResult("h1", HOSTILE, HOSTILE, "failed", {"msg": HOSTILE}),
            TaskResult(
                "h1", HOSTILE, "failed", {"msg": HOSTILE, "stderr": HOSTILE, "diff": DIFF}, HOSTILE, "x", HOSTILE
            ),
            TaskResult("h1", "t", "ok", {"msg": HOSTILE}, action="debug"),
            Step(HOSTILE, "running", HOSTILE, "h1"),
            Step(HOSTILE, "failed", HOSTILE, "h1"),
            Note(HOSTILE),
            LogLines("r1", 0, "h1", (HOSTILE,)),
            RankState("r1", 0, "h1", "failed", HOSTILE),
            EndpointReady("r1", "http://h1", HOSTILE, HOSTILE, 1.0),
        )
    )
    assert "[bold red]x[/]" in text
    for sign in ("\x1b[31m", "\x1b]0;", "\x07", "\x9b", "\x08", "\u202e"):
        assert sign not in text


@pytest.mark.parametrize("kind", ["plain", "ansible"])
def test_what_does_not_count_as_a_change_shows_no_difference(kind: str) -> None:
    events = (TaskResult("h1", "write", "ok", {"changed": False, "diff": DIFF}, action="copy"),)
    assert "+++" not in shown(kind, events)


def test_odd_results_never_break_a_renderer() -> None:
    odd: tuple[Event, ...] = (
        TaskResult("h1", "t", "failed"),
        TaskResult("h1", "t", "failed", {"msg": {"a": [1]}, "rc": "x", "stdout": b"\xff"}),
        TaskResult("h1", "t", "changed", {"changed": True, "diff": [{"prepared": "p\n"}, {"src_binary": 1}, None]}),
        TaskResult("h1", "t", "changed", {"changed": True, "diff": {"before": {"a": 1}, "after": {}}}),
        TaskResult("h1", "t", "ok", json.loads('{"k": NaN}') | {1: object()}, action="debug"),
        Note("\udcff lone"),
    )  # fmt: skip
    for kind in KINDS:
        assert shown(kind, odd, verbosity=3)


def test_streams_without_utf8_get_escapes() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    with renderer("plain", stream=stream) as observe:
        observe(Note("é"))
    assert raw.getvalue() == b"info: \\xe9\n"


@pytest.mark.parametrize("kind", ["plain", "ansible", "json"])
def test_lines_of_several_threads_stay_whole(kind: str) -> None:
    stream = io.StringIO()
    with renderer(kind, stream=stream) as observe:
        _from_threads(observe)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 8 * 50
    assert len(set(lines)) == 8 * 50


def test_a_terminal_takes_events_from_several_threads() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80, color_system=None)
    with LiveRenderer(stream, console=console) as observe:
        _from_threads(observe)
    text = stream.getvalue()
    assert all(f"note {thread} {number} end" in text for thread in range(8) for number in range(50))


def _from_threads(observe: Renderer) -> None:
    def tell(thread: int) -> None:
        for number in range(50):
            observe(Note(f"note {thread} {number} end"))

    threads = [threading.Thread(target=tell, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_errors_say_cause_place_hint() -> None:
    error = InventoryError("not valid YAML: oops\n    a: b: c\n        ^", where=Where("x.yaml", 3, 5), hint="quote it")
    assert render_error(error) == (
        "error: not valid YAML: oops\n  at x.yaml:3:5\n    a: b: c\n        ^\n  hint: quote it"
    )
    assert render_error(HostFailed("bad \x1b[31mred", where=Where(host="h1"))) == "error: bad red\n  at host h1"
    assert shown_error("plain", error) == f"{render_error(error)}\n"


def shown_error(kind: str, error: InventoryError) -> str:
    stream = io.StringIO()
    renderer(kind, stream=stream).error(error)
    return stream.getvalue()


def test_tables_are_aligned() -> None:
    stream = io.StringIO()
    renderer("plain", stream=stream).table("ranks", ("host", "state"), [("node-12", "ready"), ("h", "starting")])
    assert stream.getvalue() == "ranks\nHOST     STATE\nnode-12  ready\nh        starting\n"


def test_an_unknown_renderer_is_an_error() -> None:
    with pytest.raises(UsageError, match='no output is called "fancy"') as caught:
        renderer("fancy")
    assert caught.value.hint == "it can be auto, rich, plain, ansible, json"


def test_only_a_capable_terminal_is_live() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert can_be_live(Terminal(), {"TERM": "xterm"})
    assert not can_be_live(io.StringIO(), {"TERM": "xterm"})
    assert not can_be_live(Terminal(), {"TERM": "dumb"})
    assert not can_be_live(Terminal(), {})
    assert not can_be_live(Terminal(), {"TERM": "xterm", "NO_COLOR": "1"})


def test_lines_need_no_rich() -> None:
    program = (
        "import sys, r1fleet.console as c\n"
        "for kind in ('plain', 'ansible', 'json', 'auto'): c.renderer(kind)\n"
        "sys.exit('rich' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], stdin=subprocess.DEVNULL, check=False).returncode == 0


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("plain", "failed: h1 -> h2: ask: no"),
        ("ansible", "fatal: [h1 -> h2]: FAILED!"),
        ("rich", "h1 -> h2"),
    ],
)
def test_a_result_from_another_host_names_both(kind: str, text: str) -> None:
    task = TaskStarted("ask", "command", where=PLACE)
    failed = TaskResult("h1", "ask", "failed", {"msg": "no"}, action="command", where=PLACE, delegate="h2")
    assert text in shown(kind, (task, failed))


def test_an_item_belongs_to_the_task_of_its_place_whatever_its_name() -> None:
    text = shown(
        "ansible",
        (
            TaskStarted("on h1", "command", where="a:1"),
            TaskStarted("other", "command", where="a:2"),
            ItemResult("h1", "on {{ inventory_hostname }}", "x", "ok", where="a:1", delegate="h2"),
        ),
    )
    assert [line for line in text.split("\n") if line and "*" not in line] == ["ok: [h1 -> h2] => (item=x)"]
    assert text.count("TASK [on h1]") == 2


@pytest.mark.parametrize(
    ("result", "first", "below"),
    [
        ({"rc": 1, "stdout": "1\n2\n", "stderr": "a\nERROR: disk full\n"}, "exit status 1: ERROR: disk full", 4),
        ({"rc": 2, "stdout": "only this\n"}, "exit status 2: only this", 0),
        ({"rc": 3}, "exit status 3", 0),
    ],
)
def test_a_program_s_last_words_are_the_cause(result: dict[str, object], first: str, below: int) -> None:
    told = {"msg": "non-zero return code", **result}
    assert results.message(told) == first
    assert len(list(results.details(told, ""))) == below

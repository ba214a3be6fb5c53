"""Logs of ranks: whose they are, from where on, and on through rotations and generations."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from r1fleet.agent import stamps
from r1fleet.cli.moments import moment
from r1fleet.console.logtext import LogText
from r1fleet.errors import HostUnreachable, UsageError
from r1fleet.events import Event, LogLines, LogSources, Note
from r1fleet.launch import LaunchOptions, launch
from r1fleet.status import LogOptions, logs
from tests.fleets import FakeHost, Fleet
from tests.gangs import rehearsal
from tests.invoking import well

NAME = "rehearsal"


def unit(rank: int) -> str:
    return f"r1fleet-{NAME}-0-{rank}"


@pytest.fixture
def fleet() -> Fleet:
    fleet = Fleet("a", "b")
    start(fleet)
    return fleet


def start(fleet: Fleet, **more: Any) -> None:
    plan = rehearsal([(name, f"10.0.0.{number}") for number, name in enumerate(fleet.hosts, 1)], **more)
    options = LaunchOptions(hosts=fleet.hosts, interval=0.01, detach=True, replace=True)
    launch(plan, fleet.access, lambda event: None, options)


def read(fleet: Fleet, **options: Any) -> list[Event]:
    events: list[Event] = []
    logs(fleet.hosts.values(), fleet.access, events.append, LogOptions(**options))
    return events


def test_logs_tell_whose_they_are_then_the_tail_of_every_rank(fleet: Fleet) -> None:
    fleet["a"].logs[unit(0)] = ["one", "two"]
    fleet["b"].logs[unit(1)] = ["three"]
    assert read(fleet, lines=1) == [
        LogSources(NAME, 1, ((0, 0, "a"), (0, 1, "b"))),
        LogLines(NAME, 0, "a", ("two",)),
        LogLines(NAME, 1, "b", ("three",)),
    ]
    assert read(fleet, ranks=(1,)) == [LogSources(NAME, 1, ((0, 1, "b"),)), LogLines(NAME, 1, "b", ("three",))]


def test_a_rank_whose_host_is_away_is_told_and_the_others_are_shown(fleet: Fleet) -> None:
    fleet["a"].logs[unit(0)] = ["one"]
    fleet["b"].away = True
    assert read(fleet)[1:] == [
        Note("no log of rank 1: its host did not answer: no route", "warning", "b"),
        LogLines(NAME, 0, "a", ("one",)),
    ]


def test_followed_logs_go_on_with_the_next_generation_until_no_host_is_left(fleet: Fleet) -> None:
    fleet["a"].logs[unit(0)] = ["old"]
    looks = []

    def turn(host: FakeHost) -> None:
        looks.append(host)
        if len(looks) == 4:
            host.look = lambda host: None
            start(fleet, env={"COLOUR": "blue"})
            host.logs[unit(0)] = ["new"]
            host.look = turn
        elif len(looks) == 8:
            fleet["a"].away = fleet["b"].away = True

    fleet["a"].look = turn
    events: list[Event] = []
    with pytest.raises(HostUnreachable, match="2 hosts did not answer"):
        logs(fleet.hosts.values(), fleet.access, events.append, LogOptions(follow=True))
    told = [event for event in events if isinstance(event, (LogSources, LogLines))]
    ranks = ((0, 0, "a"), (0, 1, "b"))
    assert told == [
        LogSources(NAME, 1, ranks),
        LogLines(NAME, 0, "a", ("old",)),
        LogSources(NAME, 2, ranks),
        LogLines(NAME, 0, "a", ("new",)),
    ]


def test_a_generation_before_is_shown_and_one_that_is_gone_is_refused(fleet: Fleet) -> None:
    start(fleet, env={"COLOUR": "blue"})
    assert (
        read(fleet, generation=-1)[0] == read(fleet, generation=1)[0] == LogSources(NAME, 1, ((0, 0, "a"), (0, 1, "b")))
    )
    with pytest.raises(UsageError, match=f"no host keeps generation 7 of {NAME}"):
        read(fleet, generation=7)
    with pytest.raises(UsageError, match="not followed"):
        read(fleet, generation=-1, follow=True)


def test_logs_of_nothing_and_of_unreachable_hosts_are_errors() -> None:
    fleet = Fleet("a", "b")
    with pytest.raises(UsageError, match="nothing has been launched here"):
        read(fleet)
    fleet["a"].away = fleet["b"].away = True
    with pytest.raises(HostUnreachable, match="no route"):
        read(fleet)


def test_a_rank_that_is_not_there_is_refused(fleet: Fleet) -> None:
    with pytest.raises(UsageError, match="has no rank 7"):
        read(fleet, ranks=(7,))


# --- as text ---------------------------------------------------------------------------------------


def shown(*events: Event) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    text = LogText(out, err)
    for event in events:
        text(event)
    return out.getvalue(), err.getvalue()


def test_lines_are_led_by_host_and_rank_only_where_more_than_one_is_shown() -> None:
    line = LogLines("r1", 0, "h1", ("loading",))
    assert shown(LogSources("r1", 1, ((0, 0, "h1"),)), line)[0] == "loading\n"
    assert shown(LogSources("r1", 1, ((0, 0, "h1"), (0, 1, "h2"))), line)[0] == "(h1, rank 0) loading\n"
    replicas = LogSources("r1", 1, ((0, 0, "h1"), (1, 0, "h2")))
    assert shown(replicas, line)[0] == "(h1, replica 0, rank 0) loading\n"


def test_a_progress_bar_becomes_lines_and_no_line_commands_the_terminal() -> None:
    bar = LogLines("r1", 0, "h1", ("50%\r100%", "\x1b[2Jclear"))
    assert shown(LogSources("r1", 1, ((0, 0, "h1"), (0, 1, "h2"))), bar)[0] == (
        "(h1, rank 0) 50%\n(h1, rank 0) 100%\n(h1, rank 0) clear\n"
    )


def test_a_new_generation_is_told_beside_the_lines() -> None:
    sources = [LogSources("r1", number, ((0, 0, "h1"),)) for number in (1, 2)]
    assert shown(*sources) == ("", "generation 2 of r1 has begun\n")


# --- on a host -------------------------------------------------------------------------------------


@pytest.fixture
def log(tmp_path: Path) -> Path:
    folder = tmp_path / "r1/generations/1"
    folder.mkdir(parents=True)
    path = folder / "rank.log"
    (tmp_path / "r1/current.json").write_text('{"generation": 1, "host": "a"}')
    rank = f'{{"rank": 0, "replica": 0, "host": "a", "log": "{path}"}}'
    (folder / "plan.json").write_text(f'{{"runtime": "venv", "ranks": [{rank}]}}')
    return path


def fetch(log: Path, **args: Any) -> dict[str, Any]:
    (row,) = well("fleet_logs", root=str(log.parents[3]), deployment="r1", **args)["logs"]
    return dict(row)


def on(log: Path, row: dict[str, Any], **args: Any) -> dict[str, Any]:
    return fetch(log, offsets={str(log): {"offset": row["offset"], "id": row["id"]}}, **args)


@pytest.mark.parametrize(
    ("text", "lines", "expected"),
    [
        ("a\nb\nc\n", 2, "b\nc\n"),
        ("a\nb\nc", 2, "b\nc"),
        ("a\nb\nc\n", 9, "a\nb\nc\n"),
        ("a\nb\nc\n", 0, ""),
        ("", 5, ""),
        ("x\n" + "long" * 100_000 + "\n", 1, "long" * 32768),
    ],
)
def test_the_last_lines_are_found_from_the_end(log: Path, text: str, lines: int, expected: str) -> None:
    log.write_text(text)
    assert fetch(log, lines=lines, partial=True)["text"] == expected


def test_a_log_that_is_not_there_yet_is_empty_and_read_from_its_start_later(log: Path) -> None:
    row = fetch(log, lines=5)
    log.write_text("first\n")
    assert (row["text"], on(log, row)["text"]) == ("", "first\n")


def test_a_line_that_has_not_ended_is_told_when_it_has(log: Path) -> None:
    log.write_text("one\ntw")
    row = fetch(log)
    log.write_text("one\ntwo\n")
    assert (row["text"], on(log, row)["text"]) == ("one\n", "two\n")


def test_a_big_log_is_told_piece_by_piece(log: Path) -> None:
    log.write_text("".join(f"line {number:06}\n" for number in range(30_000)))
    row = fetch(log)
    text = row["text"]
    while row["more"]:
        row = on(log, row)
        text += row["text"]
    assert text == log.read_text()


def test_nothing_is_lost_when_a_log_is_renamed_or_copied_and_cut(log: Path) -> None:
    log.write_text("one\n")
    row = fetch(log)
    with log.open("a") as stream:
        stream.write("two\n")
    log.rename(f"{log}.1")
    log.write_text("three\n")
    row = on(log, row)
    assert row["text"] == "two\nthree\n"
    with log.open("a") as stream:
        stream.write("four\n")
    Path(f"{log}.1").write_text(log.read_text())
    log.write_text("5\n")
    assert on(log, row)["text"] == "four\n5\n"


def test_an_old_archive_is_not_told_again(log: Path) -> None:
    log.write_text("a long first line\n")
    row = fetch(log)
    Path(f"{log}.1").write_text("something from last week, long ago\n")
    os.utime(f"{log}.1", (time.time() - 600_000,) * 2)
    log.write_text("new\n")
    assert on(log, row)["text"] == "new\n"


def test_whoever_waits_hears_at_once_of_news_and_of_another_generation(log: Path) -> None:
    log.write_text("one\n")
    row = fetch(log)
    began = time.monotonic()
    assert on(log, row, wait=0.3, seen=1)["text"] == ""
    assert time.monotonic() - began >= 0.3
    began = time.monotonic()
    on(log, row, wait=60, seen=0)
    assert time.monotonic() - began < 30


def written(seconds: float, form: str, now: float | None = None) -> str:
    return time.strftime(form, time.localtime((now or time.time()) - seconds))


@pytest.mark.parametrize(
    "form",
    [
        "INFO %m-%d %H:%M:%S [loader.py:447] loading",
        "(EngineCore pid=7) INFO %m-%d %H:%M:%S [loader.py:447] loading",
        "[%Y-%m-%d %H:%M:%S TP0] loading",
        "%Y-%m-%d %H:%M:%S,123 - lmdeploy - INFO - loading",
        "[rank0]:W%m%d %H:%M:%S.123000 77 torch/distributed/run.py:792] loading",
    ],
)
def test_a_moment_is_found_by_the_times_that_engines_write(log: Path, form: str) -> None:
    lines = [f"{written(seconds, form)} {seconds}\n  its own next line\n" for seconds in (900, 600, 300, 10)]
    log.write_text("a banner\n" + "".join(lines))
    assert fetch(log, age=450)["text"] == "".join(lines[2:])
    assert fetch(log, since=time.time() - 450)["text"] == "".join(lines[2:])
    assert fetch(log, age=5)["text"] == ""
    assert fetch(log, age=7200)["text"] == log.read_text()
    assert fetch(log, age=450, lines=1)["text"] == "  its own next line\n"


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A host that is nine hours ahead."""
    with monkeypatch.context() as there:
        there.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("tokyo")
@pytest.mark.parametrize(("runtime", "clock"), [("docker", time.gmtime), ("venv", time.localtime)])
def test_a_containers_times_are_utc_and_a_hosts_its_own(
    log: Path, runtime: str, clock: Callable[[float], time.struct_time]
) -> None:
    plan = log.parent / "plan.json"
    plan.write_text(plan.read_text().replace("venv", runtime))
    lines = [time.strftime(f"INFO %m-%d %H:%M:%S {ago}\n", clock(time.time() - ago)) for ago in (900, 300)]
    log.write_text("".join(lines))
    assert fetch(log, age=600)["text"] == lines[1]


def test_a_moment_in_a_long_log_is_found_without_reading_all_of_it(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stamps, "BLOCK", 512)
    now = time.time()
    lines = [f"{written(1000 - number, 'INFO %m-%d %H:%M:%S', now)} {number}\n" for number in range(1000)]
    log.write_text("".join(lines))
    for number in (1, 17, 500, 501, 998):
        assert fetch(log, since=float(int(now)) - 1000 + number)["text"].startswith(lines[number])


def test_a_log_without_times_says_so_and_shows_its_last_lines(log: Path) -> None:
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    row = fetch(log, age=600)
    assert (row["timeless"], row["text"].splitlines()[0]) == (True, "line 50")


def test_a_log_that_nobody_has_written_to_since_is_not_searched(log: Path) -> None:
    log.write_text("no time here\n")
    os.utime(log, (time.time() - 900,) * 2)
    assert (fetch(log, age=600)["text"], fetch(log, age=600)["timeless"]) == ("", False)


@pytest.mark.parametrize(
    ("text", "age"), [("10m", 600), ("1h30m", 5400), ("45s", 45), ("2d", 172800), ("0.5h", 1800), ("1w", 604800)]
)
def test_a_span_is_counted_back_from_now(text: str, age: float) -> None:
    assert moment(text) == (age, None)


@pytest.mark.parametrize("text", ["2026-11-24T10:30:00Z", "2026-11-24T11:30+01:00", "1795516200"])
def test_a_date_is_a_moment(text: str) -> None:
    assert moment(text) == (None, 1795516200.0)


@pytest.mark.parametrize("text", ["ten minutes", "10", "-5m", "2026-13-01", ""])
def test_what_is_no_moment_is_told_with_examples(text: str) -> None:
    with pytest.raises(UsageError, match="is no moment") as caught:
        moment(text)
    assert "10m, 1h30m" in str(caught.value)

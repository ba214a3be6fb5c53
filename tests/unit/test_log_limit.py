"""A log that has reached its limit: its middle gives back its space, and whoever reads on misses nothing new."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

from r1fleet.agent.holes import LEFT_OUT
from r1fleet.command import cmd
from r1fleet.modules import fleet_logs, fleet_state
from r1fleet.runtimes import Process, Systemd
from tests.unit.test_launch_on_host import run

MIB = 1 << 20
WRITER = """
import sys, time
for number in range(int(sys.argv[1])):
    print("%07d %s" % (number, "x" * 1000), flush=number % 500 == 0)
    if number % 2000 == 0:
        time.sleep(0.1)
sys.stdout.flush()
time.sleep(60)
"""
LINES = 12_000


def process(folder: Path) -> Process:
    return Process(
        name="r1fleet-r1-0-0",
        command=cmd(sys.executable, "-c", WRITER, str(LINES)),
        user="me",
        directory=str(folder),
        log=str(folder / "rank.log"),
        exit_record=str(folder / "exit"),
        log_limit=6 * MIB,
    )


def numbers(text: str) -> list[int]:
    return [int(found) for found in re.findall(r"^(\d{7}) x{1000}$", text, re.MULTILINE)]


def test_a_log_keeps_its_beginning_and_its_end_and_readers_go_on(tmp_path: Path) -> None:
    rank = process(tmp_path)
    log, script = Path(rank.log), Systemd().files(rank)[0].content.replace("sleep 30", "sleep 0.1")
    (tmp_path / "entry.sh").write_text(script)
    read: list[str] = []
    offset = 0

    with log.open("ab") as stream, _begun(tmp_path, stream) as engine:
        deadline = time.monotonic() + 30
        while offset < LINES * 1009 or used(log) > 6.5 * MIB:
            assert time.monotonic() < deadline
            told = follow(log, offset)
            read.append(told["text"])
            offset = told["offset"]
        os.killpg(engine.pid, signal.SIGKILL)  # what trims is in its group; a runtime ends it with the rank

    assert numbers("".join(read)) == list(range(LINES))
    assert log.stat().st_size == LINES * 1009
    kept = log.read_bytes().replace(b"\0", b"").decode()
    assert numbers(kept)[:4000] == list(range(4000))
    assert numbers(kept)[-1800:] == list(range(LINES - 1800, LINES))
    assert whole(tmp_path, log).count(LEFT_OUT.decode().strip()) == 1


def _begun(folder: Path, stream: BinaryIO) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sh", str(folder / "entry.sh")], stdout=stream, start_new_session=True)


def used(path: Path) -> int:
    return path.stat().st_blocks * 512


def follow(log: Path, offset: int) -> dict[str, Any]:
    """Read on as a watching launch does."""
    return dict(fleet_state._log(str(log), offset, 0))


def whole(folder: Path, log: Path) -> str:
    """Read all of it as `r1fleet logs` does."""
    home = folder / "state" / "r1"
    (home / "generations/1").mkdir(parents=True)
    (home / "current.json").write_text('{"generation": 1, "host": "h"}')
    row = f'{{"rank": 0, "replica": 0, "host": "h", "log": "{log}"}}'
    (home / "generations/1/plan.json").write_text(f'{{"ranks": [{row}]}}')
    text, offsets = "", dict[str, Any]()
    while True:
        (told,) = run(fleet_logs, root=str(folder / "state"), deployment="r1", offsets=offsets)["logs"]
        text += told["text"]
        if not told["more"]:
            return str(text)
        offsets = {str(log): {"offset": told["offset"], "id": told["id"]}}

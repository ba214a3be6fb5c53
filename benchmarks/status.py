"""How long `r1fleet status` takes for many hosts, as a multiple of merely connecting and running Python there."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks import rehearsal
from benchmarks.measure import spread, timed
from benchmarks.peers import hand_out
from r1fleet import lab
from r1fleet.lab import Lab

LAB = "bench-status"


def main() -> None:
    """Measure an idle fleet, then one on which every host has a rank of one gang."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser(prog="python -m benchmarks.status")
    parser.add_argument("--hosts", type=int, nargs="+", default=[2, 64], help="sizes of fleets")
    parser.add_argument("--runs", type=int, default=3, help="rounds; in each, both run once")
    given = parser.parse_args()
    made = lab.up(LAB, hosts=max(given.hosts), extra_vars={})
    try:
        for hosts in given.hosts:
            with tempfile.TemporaryDirectory(prefix="r1bench-") as name:
                _compare(made, Path(name), hosts, given.runs)
    finally:
        lab.down(LAB)


def _compare(made: Lab, folder: Path, hosts: int, runs: int) -> None:
    hand_out(made, folder, hosts)
    _round(made, folder, hosts, runs, "nothing launched")
    rehearsal.equip(folder)
    rehearsal.start(made, folder)
    _round(made, folder, hosts, runs, "a rank on each")
    timed([sys.executable, "-m", "r1fleet", "stop", rehearsal.NAME, "-y", "-i", str(folder / "hosts.yaml")], made)


def _round(made: Lab, folder: Path, hosts: int, runs: int, what: str) -> None:
    connect = [sys.executable, "-m", "benchmarks.bare", str(folder / "hosts.json")]
    look = [sys.executable, "-m", "r1fleet", "status", "-i", str(folder / "hosts.yaml")]
    timed(look, made, hosts=hosts)  # Python keeps what it compiles
    load = os.getloadavg()[0]
    bare, ours = [], []
    for _ in range(runs):
        bare.append(timed(connect, made, hosts=hosts))
        ours.append(timed(look, made, hosts=hosts))
    seconds = [float(run.output) for run in bare]
    ratios = [run.seconds / one for run, one in zip(ours, seconds, strict=True)]
    print(f"{hosts} hosts, {what}, load average {load:.1f}")
    print(f"  bare connect {spread(seconds)} s, status {spread(run.seconds for run in ours)} s, {spread(ratios)} times")
    for name, many in (("bare connect", bare), ("status", ours)):
        controller, host = spread(run.cpu for run in many), spread(1000 * run.host_cpu for run in many)
        print(f"  CPU of {name}: controller {controller} s, each host {host} ms", flush=True)


if __name__ == "__main__":
    main()

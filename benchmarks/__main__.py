"""Compare r1fleet with its peers and with merely connecting, as ratios measured in one run."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import peers
from benchmarks.delay import slow_line
from benchmarks.measure import ENVIRONMENT, Run, spread, timed
from benchmarks.peers import ROLE, Tool
from r1fleet import lab
from r1fleet.lab import Lab

NAME = "bench"
_FEW = 8  # beyond it, ansible-core and mitogen take minutes a run
_SLOW = ("mitogen", "ansible-core")
_H200 = Path(__file__).parent.parent / "inventories/h200.yaml"


def main() -> None:
    """Measure what is asked for and print tables; a TERM takes the lab down, too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    given = _arguments()
    _about(given.peers)
    _starts(given.runs)
    made = lab.up(NAME, hosts=max(given.hosts), extra_vars={})
    try:
        with tempfile.TemporaryDirectory(prefix="r1bench-") as name:
            folder = Path(name)
            memory = {hosts: _compare(made, folder, hosts, given) for hosts in given.hosts}
            if min(given.hosts) <= _FEW:
                _packages(made, folder, given)
            if given.rtt:
                _slow(made, folder, given)
        if len(memory) > 1:
            least, most = min(memory), max(memory)
            print(f"\nr1fleet's memory per added host: {(memory[most] - memory[least]) / (most - least):.2f} MiB")
    finally:
        lab.down(NAME)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--hosts", type=int, nargs="+", default=[8, 64], help="sizes of fleets")
    parser.add_argument("--runs", type=int, default=3, help="rounds; in each, every tool runs once")
    parser.add_argument("--peers", nargs="*", default=list(peers.PACKAGES), choices=list(peers.PACKAGES))
    parser.add_argument("--rtt", type=float, default=40, help="milliseconds of the slow line, 0 for none")
    return parser.parse_args()


def _about(names: list[str]) -> None:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    print(f"{os.cpu_count()} cores, {pages / 2**30:.0f} GiB, Python {platform.python_version()}")
    for name in names:
        print(f"{name}: {peers.versions(name)}")


def _starts(runs: int) -> None:
    for words in (["--help"], ["plan", "-i", str(_H200)]):
        spent = []
        for _ in range(max(runs, 3)):
            began = time.monotonic()
            subprocess.run([sys.executable, "-m", "r1fleet", *words], check=True, capture_output=True, env=ENVIRONMENT)
            spent.append(time.monotonic() - began)
        print(f"r1fleet {words[0]}: {spread(spent)} s")


def _compare(made: Lab, folder: Path, hosts: int, given: argparse.Namespace) -> float:
    """Run every tool in turn on some hosts; return r1fleet's memory."""
    peers.hand_out(made, folder, hosts)
    ours = peers.ours(folder)
    names = [name for name in given.peers if hosts <= _FEW or name not in _SLOW]
    tools = [ours, *(peers.peer(name, folder, hosts) for name in names)]
    print(f"\n{hosts} hosts, load average {os.getloadavg()[0]:.1f}", flush=True)
    timed(peers.ours(folder, ROLE / "prepare.yaml").command, made, hosts=hosts)
    firsts = {tool.name: _first(tool, made, folder, hosts) for tool in tools}
    runs: dict[str, list[Run]] = {tool.name: [] for tool in tools}
    bare, facts = [], []
    for _ in range(given.runs):
        bare.append(_bare(made, folder))
        facts.append(timed(peers.facts(folder), made, hosts=hosts).seconds)
        for tool in tools:
            runs[tool.name].append(timed(tool.command, made, env=tool.env, hosts=hosts))
    _show(runs, firsts, bare)
    ratios = [ours / one for ours, one in zip(facts, bare, strict=True)]
    print(f"  r1fleet facts: {spread(facts)} s, to bare {spread(ratios)}")
    print(f"  load average {os.getloadavg()[0]:.1f}", flush=True)
    return max(run.memory for run in runs["r1fleet"])


def _packages(made: Lab, folder: Path, given: argparse.Namespace) -> None:
    """Time apt-get's part, which is the same for every tool, apart: install three packages and look again."""
    hosts = min(given.hosts)
    peers.hand_out(made, folder, hosts)
    tool = peers.ours(folder, ROLE / "packages.yaml")
    first, second = (timed(tool.command, made, hosts=hosts).seconds for _ in range(2))
    print(f"\n{hosts} hosts: lists read and three packages installed {first:.1f} s, looked for again {second:.1f} s")


def _first(tool: Tool, made: Lab, folder: Path, hosts: int) -> Run:
    timed(peers.ours(folder, ROLE / "reset.yaml").command, made, hosts=hosts)
    return timed(tool.command, made, env=tool.env, hosts=hosts)


def _bare(made: Lab, folder: Path) -> float:
    return float(timed([sys.executable, "-m", "benchmarks.bare", str(folder / "hosts.json")], made).output)


def _show(runs: dict[str, list[Run]], firsts: dict[str, Run], bare: list[float]) -> None:
    ours = runs["r1fleet"]
    print(
        f"  {'':16}{'second run, s':26}{'to r1fleet':26}{'first run, s':13}{'CPU, s':8}{'MiB':>5}{'host CPU, ms':>14}"
    )
    print(f"  {'bare connect':16}{spread(bare):26}")
    for name, many in runs.items():
        ratios = [theirs.seconds / our.seconds for theirs, our in zip(many, ours, strict=True)]
        last = many[-1]
        print(
            f"  {name:16}{spread(run.seconds for run in many):26}{spread(ratios):26}{firsts[name].seconds:<13.2f}"
            f"{last.cpu:<8.2f}{max(run.memory for run in many):5.0f}{1000 * last.host_cpu:14.0f}"
        )
    print(f"  r1fleet to bare: {spread(run.seconds / one for run, one in zip(ours, bare, strict=True))}")


def _slow(made: Lab, folder: Path, given: argparse.Namespace) -> None:
    """Compare with merely connecting over a line with a long round trip, for both strategies."""
    hosts = min(given.hosts)
    peers.hand_out(made, folder, hosts)
    free = folder / "free.yaml"
    free.write_text(peers.PLAY.read_text().replace("  become: true\n", "  become: true\n  strategy: free\n", 1))
    for name in ("templates", "files"):
        (folder / name).symlink_to(ROLE / name)
    plays = {"linear": peers.ours(folder), "free": peers.ours(folder, free)}
    taken: dict[str, list[float]] = {name: [] for name in plays}
    bare = []
    with slow_line(made, given.rtt / 1000):
        for _ in range(given.runs):
            bare.append(_bare(made, folder))
            for name, tool in plays.items():
                taken[name].append(timed(tool.command, made, hosts=hosts).seconds)
    print(f"\n{hosts} hosts, {given.rtt:g} ms round trip\n  bare connect    {spread(bare)} s")
    for name, seconds in taken.items():
        ratios = [ours / one for ours, one in zip(seconds, bare, strict=True)]
        print(f"  {name:16}{spread(seconds)} s, to bare {spread(ratios)}", flush=True)


if __name__ == "__main__":
    main()

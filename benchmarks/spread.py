"""How long a set takes from one host to all others over links of one speed: ``python -m benchmarks.spread``.

The links of all lab hosts, the source's too, are token buckets. A ratio is the last host's finish over size by link
speed; 1 would be every byte of the set, and nothing else, on every link from the first moment to the last.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks import spread_peers
from benchmarks.measure import host_cpu
from benchmarks.spread_ground import PLACE, Outcome, bits, content, control, same, sent_bytes, shaped
from r1fleet import lab
from r1fleet.cli.connect import connector
from r1fleet.inventory import load
from r1fleet.lab import Lab, LabHost
from r1fleet.provision.library import libtorrent_wheel
from r1fleet.transport import Become
from r1fleet.weights.cargo import Cargo
from r1fleet.weights.manifest import Manifest
from r1fleet.weights.swarm import STATE, Member, Swarm, SwarmSettings

NAME = "bench-spread"


Meddle = Callable[[Lab, float, str], None]
"""Breaks something during a run, whose ideal length in seconds and rate it is told."""


def main() -> None:
    """Measure what is asked for and print a table; a TERM takes the lab down, too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    given = _arguments()
    made = lab.up(NAME, hosts=max([*given.hosts, given.fault_hosts if given.faults else 0]) + 1, extra_vars={})
    try:
        size = int(bits(given.rate) / 8 * given.seconds)
        ground = f"{os.cpu_count()} cores, {given.rate} links, {control(made, given.congestion)}"
        print(f"{ground}, {size / 1e6:.0f} MB, load {os.getloadavg()[0]:.1f}", flush=True)
        manifest = content(made, size)
        for hosts in given.hosts:
            for tool in given.tools:
                _one(tool, made, hosts, manifest, given.rate)
        if given.faults:
            calm = _one("r1fleet", made, given.fault_hosts, manifest, given.rate)
            for fault in given.faults:
                _fault(fault, calm, made, manifest, given.rate)
    finally:
        if not given.keep:
            lab.down(NAME)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spread")
    parser.add_argument("--hosts", type=int, nargs="*", default=[4, 8, 16], help="targets beside the source")
    parser.add_argument("--rate", default="20mbit", help="of every link, each way")
    parser.add_argument("--seconds", type=float, default=80, help="how long one copy takes at that rate")
    parser.add_argument("--congestion", default="", help="the hosts' TCP congestion control, if not this machine's")
    parser.add_argument("--tools", nargs="*", default=["r1fleet", "rsync", "aria2"])
    parser.add_argument("--faults", nargs="*", default=[], choices=list(_FAULTS))
    parser.add_argument("--fault-hosts", type=int, default=8)
    parser.add_argument("--keep", action="store_true", help="leave the lab up")
    return parser.parse_args()


def _one(tool: str, made: Lab, hosts: int, manifest: Manifest, rate: str, meddle: Meddle | None = None) -> Outcome:
    ideal = manifest.size * 8 / bits(rate)
    chosen = made.hosts[: hosts + 1]
    for host in chosen[1:]:
        shutil.rmtree(Path(f"{host.root}{PLACE}").parent, ignore_errors=True)  # what a broken run has staged, too
    before = os.getloadavg()[0]
    run = _ours if tool == "r1fleet" else spread_peers.TOOLS[tool]
    outcome = run(made, chosen, manifest, rate, meddle)
    bad = [host.name for host in chosen[1:] if host.name in outcome.finish and not same(host, manifest)]
    last = max(outcome.finish.values())
    words = [f"{tool:8} {hosts:3} hosts: {last / ideal:5.3f} ({last:.1f} s)", f"source sent {outcome.sent:.2f}"]
    gigabytes = manifest.size / 1e9
    own = f"its program at most {outcome.program / gigabytes:.2f}"
    words += [f"CPU {outcome.cpu / gigabytes:.2f} s/GB a host, {own}"] if outcome.cpu else []
    words += [f"load {before:.1f} to {os.getloadavg()[0]:.1f}", *outcome.notes]
    words += [f"WRONG CONTENT on {' '.join(bad)}"] if bad else ["all files checked"]
    print(", ".join(words), flush=True)
    return outcome


# --- r1fleet ---------------------------------------------------------------------------------------


def _ours(made: Lab, chosen: tuple[LabHost, ...], manifest: Manifest, rate: str, meddle: Meddle | None) -> Outcome:
    """Make everything ready over fast links; the clock runs from there to the last host's verification."""
    way = connector()
    inventory = load(made.inventory)
    try:
        members = [
            Member(way.open(inventory.hosts[host.name], Become()), host.address, become=Become()) for host in chosen
        ]
        settings = SwarmSettings(wheel_for=libtorrent_wheel, patience=60, sessions=1)
        swarm = Swarm(Cargo(manifest, PLACE, PLACE), members[0], members[1:], settings)
        swarm.start()
        with shaped(made, chosen, rate), _Watch(chosen[1:]) as watch:
            sent, cpu = sent_bytes(chosen[0]), host_cpu(made)
            began = watch.began = time.time()
            if meddle is not None:
                threading.Thread(target=meddle, args=(made, manifest.size * 8 / bits(rate), rate), daemon=True).start()
            swarm.add(file.path for file in manifest.files)
            outcomes = swarm.finish()
            spent, copies = host_cpu(made) - cpu, (sent_bytes(chosen[0]) - sent) / manifest.size
        notes = [f"{one.host}: {one.error.what}" for one in outcomes if one.error]
        finish = {host: at - began for host, at in watch.whole.items()}
        return Outcome(finish, copies, spent / (len(chosen) - 1), watch.spent(), watch.received(), notes)
    finally:
        way.close()


class _Watch:
    """Reads what the hosts' programs write, by way of their disks: nothing of it passes the slow links."""

    def __init__(self, hosts: tuple[LabHost, ...]) -> None:
        self.began = 0.0
        self.whole: dict[str, float] = {}
        self._hosts = hosts
        self._lives: dict[str, dict[int, tuple[int, float]]] = {host.name: {} for host in hosts}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def received(self) -> dict[str, int]:
        """Return the bytes of payload that each host took in, over all lives of its program."""
        return {host: sum(received for received, _ in lives.values()) for host, lives in self._lives.items()}

    def spent(self) -> float:
        """Return the CPU seconds of the host's program that has used most."""
        return max(sum(cpu for _, cpu in lives.values()) for lives in self._lives.values())

    def _look(self) -> None:
        while not self._over.wait(0.05):
            for host in self._hosts:
                with suppress(FileNotFoundError):  # the state of a transfer that ends goes away meanwhile
                    for path in Path(f"{host.root}{STATE}").glob("*/status-*.json"):
                        self._note(host.name, path)

    def _note(self, host: str, path: Path) -> None:
        try:
            told: dict[str, Any] = json.loads(path.read_text())
        except (OSError, ValueError):
            return
        if "received" not in told:
            return  # it has only been started
        self._lives[host][told["pid"]] = told["received"], told["cpu"]
        if told["whole_at"]:
            self.whole.setdefault(host, told["whole_at"])


# --- faults ----------------------------------------------------------------------------------------


def _fault(fault: str, calm: Outcome, made: Lab, manifest: Manifest, rate: str) -> None:
    """Compare a run in which something breaks with one in which nothing does."""
    try:
        print(f"{fault}:")
        broken = _one("r1fleet", made, len(calm.finish), manifest, rate, _FAULTS[fault])
    finally:
        lab.heal_host(NAME, "h2")
    others = [host for host in calm.finish if host != "h2"]
    before, after = (max(one.finish[host] for host in others) for one in (calm, broken))
    more = f"{(after / before - 1) * 100:+.1f} %, {after - before:+.1f} s"
    print(f"  the others: {before:.1f} s, with it {after:.1f} s ({more})")
    extra = {host: (count - manifest.size) / 2**20 for host, count in broken.received.items() if host in broken.finish}
    print(f"  came more than once: at most {max(extra.values()):.1f} MiB on a host", flush=True)


def _slow(made: Lab, ideal: float, rate: str) -> None:
    lab.break_host(made.name, "h2", "slow", rate=f"{bits(rate) / 4e6:g}mbit")


def _kill(made: Lab, ideal: float, rate: str) -> None:
    time.sleep(ideal / 3)
    lab.break_host(made.name, "h2", "kill")


def _agent(made: Lab, ideal: float, rate: str) -> None:
    time.sleep(ideal / 2)
    _kill_program(made, "h2")


def _seed(made: Lab, ideal: float, rate: str) -> None:
    time.sleep(ideal / 3)
    _kill_program(made, "h1")


def _kill_program(made: Lab, host: str) -> None:
    for path in Path(f"{made.host(host).root}{STATE}").glob("*/status-*.json"):
        inside = json.loads(path.read_text())["pid"]
        command = made.ssh(host, f"kill -9 {inside}", user="root").argv
        subprocess.run(command, check=True, capture_output=True)


_FAULTS: dict[str, Meddle] = {"slow": _slow, "kill": _kill, "agent": _agent, "seed": _seed}


if __name__ == "__main__":
    main()

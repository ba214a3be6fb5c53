"""What `r1fleet launch` adds to an engine's own start: the same ranks started by hand, over ssh and systemd-run."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import rehearsal
from benchmarks.measure import ENVIRONMENT, spread
from benchmarks.peers import hand_out
from r1fleet import lab
from r1fleet.agent.completion import NoAnswer, complete
from r1fleet.inventory import Inventory, load

LAB = "bench-launch"
POLL_SECONDS = 0.05


def main() -> None:
    """Measure a deployment that is given, or the rehearsal engine on a lab of its own."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser(prog="python -m benchmarks.launch")
    parser.add_argument("-i", dest="inventory", type=Path, help="a cluster whose hosts are provisioned; else a lab")
    parser.add_argument("deployment", nargs="?", default=rehearsal.NAME)
    parser.add_argument("--runs", type=int, default=3, help="rounds; in each, both ways run once")
    given = parser.parse_args()
    if given.inventory:
        _compare(given.inventory, given.deployment, given.runs)
        return
    made = lab.up(LAB, hosts=2, extra_vars={})
    try:
        with tempfile.TemporaryDirectory(prefix="r1bench-") as name:
            hand_out(made, Path(name), 2)
            rehearsal.equip(Path(name))
            _compare(rehearsal.declare(Path(name)), given.deployment, given.runs)
    finally:
        lab.down(LAB)


def _compare(path: Path, name: str, runs: int) -> None:
    inventory = load(path)
    plan = json.loads(_r1fleet("plan", name, "--json", "-i", str(path)))
    _launched(path, name)  # Python keeps what it compiles, and files are in memory
    by_hand, ours = [], []
    for _ in range(runs):
        by_hand.append(_by_hand(inventory, plan))
        ours.append(_launched(path, name))
    added = [mine - theirs for mine, theirs in zip(ours, by_hand, strict=True)]
    print(f"{name} on {len(plan['ranks'])} ranks, load average {os.getloadavg()[0]:.1f}: to the first completion")
    print(f"  by hand {spread(by_hand)} s, r1fleet launch {spread(ours)} s, added {spread(added)} s", flush=True)


def _launched(path: Path, name: str) -> float:
    began = time.monotonic()
    _r1fleet("launch", name, "-i", str(path))
    seconds = time.monotonic() - began
    _r1fleet("stop", name, "-y", "-i", str(path))
    return seconds


def _by_hand(inventory: Inventory, plan: dict[str, Any]) -> float:
    """Start every rank as a transient unit, all at the same time, and ask until the endpoint answers."""
    ranks = plan["ranks"]
    model = plan["deployment"]["served_model_name"] or plan["deployment"]["model"]
    with ThreadPoolExecutor(len(ranks)) as pool:
        began = time.monotonic()
        list(pool.map(lambda rank: _ssh(inventory, rank["host"], _start(plan, rank)), ranks))
        while True:
            try:
                complete(plan["endpoints"][0], model, "Say hello.", max_tokens=8)
                break
            except NoAnswer:
                time.sleep(POLL_SECONDS)
        seconds = time.monotonic() - began
        list(pool.map(lambda rank: _ssh(inventory, rank["host"], "sudo systemctl stop bench-by-hand || true"), ranks))
    return seconds


def _start(plan: dict[str, Any], rank: dict[str, Any]) -> str:
    settings = [f"--setenv={name}={value}" for name, value in rank["env"].items()]
    unit = [
        "sudo",
        "systemd-run",
        "--quiet",
        "--collect",
        "--unit=bench-by-hand",
        f"--uid={plan['deployment']['user']}",
    ]
    return shlex.join([*unit, "--service-type=exec", *settings, "--", *rank["argv"]])


def _ssh(inventory: Inventory, host: str, command: str) -> None:
    about = inventory.hosts[host].variables
    options = shlex.split(str(about.get("ansible_ssh_common_args") or ""))
    key = about.get("ansible_ssh_private_key_file")
    argv = ["ssh", "-o", "BatchMode=yes", *options, *(["-i", str(key)] if key else [])]
    target = f"{about.get('ansible_user', 'root')}@{about.get('ansible_host', host)}"
    subprocess.run([*argv, target, command], check=True, capture_output=True)


def _r1fleet(*argv: str) -> str:
    ran = subprocess.run([sys.executable, "-m", "r1fleet", *argv], capture_output=True, text=True, env=ENVIRONMENT)
    if ran.returncode:
        raise SystemExit(f"r1fleet {' '.join(argv)}\n{ran.stdout}{ran.stderr}")
    return ran.stdout


if __name__ == "__main__":
    main()

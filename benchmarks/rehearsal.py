"""A gang for measuring: the tests' rehearsal engine, which starts at once, on lab hosts."""

from __future__ import annotations

from pathlib import Path

import yaml

from r1fleet.cli.connect import connector
from r1fleet.events import ignore
from r1fleet.inventory import Host, load
from r1fleet.lab import Lab
from r1fleet.launch import LaunchOptions, launch
from r1fleet.status import Access, Contact
from r1fleet.transport import Become
from tests.gangs import ENGINE, MODEL, PORT, RENDEZVOUS, rehearsal

NAME = "rehearsal"
VENV = "/opt/rehearsal/venv"
_TESTS = Path(__file__).parent.parent / "tests/lab"


def declare(folder: Path) -> Path:
    """Write an inventory of the first two hosts that names the gang as a deployment."""
    told = yaml.safe_load((folder / "hosts.yaml").read_text())
    nodes = told["all"]["children"]["nodes"]["hosts"]
    told["all"]["children"]["nodes"]["hosts"] = {name: nodes[name] for name in list(nodes)[:2]}
    told["all"]["vars"] = {
        "deployments": {
            NAME: {
                "engine": "vllm",
                "accelerator": "cpu",
                "model": "tiny",
                "model_path": MODEL,
                "served_model_name": "tiny",
                "hosts": "nodes",
                "tensor_parallel": 2,
                "runtime": "venv",
                "venv": VENV,
                "user": "lab",
                "bind": "0.0.0.0",
                "port": PORT,
                "rendezvous_port": RENDEZVOUS,
            }
        }
    }
    path = folder / "launch.yaml"
    path.write_text(yaml.safe_dump(told))
    return path


def equip(folder: Path) -> None:
    """Put the engine and a model on every host."""
    engine, words = ((_TESTS / f"rehearsal_{name}.py").read_text() for name in ("engine", "vllm"))
    files = [
        {"path": ENGINE, "content": engine, "mode": 0o755},
        {"path": f"{MODEL}/config.json", "content": "{}", "mode": 0o644},
        {"path": f"{VENV}/bin/vllm", "content": words, "mode": 0o755},
    ]
    way = connector()
    try:
        with Contact(Access(way, lambda host: Become()), _hosts(folder).values()) as contact:
            args = {"folder": "/opt/rehearsal", "files": files}
            for host, answer in contact.ask_all("fleet_stage", dict.fromkeys(contact.hosts, args)).items():
                if not isinstance(answer, dict):
                    raise SystemExit(f"{host}: {answer}")
    finally:
        way.close()


def start(lab: Lab, folder: Path) -> None:
    """Launch one gang over all hosts, a rank on each."""
    hosts = _hosts(folder)
    way = connector()
    try:
        plan = rehearsal([(host.name, host.address) for host in lab.hosts if host.name in hosts])
        # Whether 64 hosts on two cores reach each other in time is not what is measured.
        options = LaunchOptions(hosts=hosts, force=frozenset({"reach"}))
        launch(plan, Access(way, lambda host: Become()), ignore, options)
    finally:
        way.close()


def _hosts(folder: Path) -> dict[str, Host]:
    return dict(load(folder / "hosts.yaml").hosts)

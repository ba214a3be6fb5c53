"""Plays one target under one engine, on a lab host that is controller and host in one, as ansible-test has it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from r1fleet import lab as labs
from r1fleet.lab import Lab
from tests.conformance.engines import Engine
from tests.conformance.refusals import NothingLeft, take_out_refused
from tests.conformance.targets import Target
from tests.conformance.transcript import Step, read_steps

_WORK = Path("opt/conformance")
_OUTPUT = "/root/output"
_LIMIT = 1200
_SEVERAL = ("testhost2", "testhost3", "testhost4", "A", "B", "C")


@dataclass(frozen=True, slots=True)
class Run:
    """What an engine did with a target; ``told`` is its output, ``refused`` what it would not run."""

    steps: tuple[Step, ...]
    told: str
    refused: tuple[str, ...] = ()


def play(target: Target, engine: Engine, targets: Path, lab_name: str) -> Run:
    """Run a target on a fresh host and return its steps."""
    with _host(lab_name) as lab:
        if target.network:
            _read_package_lists(lab)
        work = lab.hosts[0].root / _WORK
        _lay_out(work, target, targets, lab)
        for folder in engine.folders:
            _copy_engine(folder, lab.hosts[0].root / "opt/engine")
        runs = [_played(work, name, engine, lab) for name in _playbooks(target)]
        steps = tuple(step for run in runs for step in run.steps)
        refused = tuple(text for run in runs for text in run.refused)
        return Run(steps, "\n".join(run.told for run in runs), refused)


def _playbooks(target: Target) -> list[str]:
    return [f"roles/{target.name}/{name}" for name in target.playbooks] or ["site.yml"]


def _played(work: Path, playbook: str, engine: Engine, lab: Lab) -> Run:
    refused: tuple[str, ...] = ()
    if engine.strict:
        try:
            refused = tuple(take_out_refused(work / playbook, work / "inventory.yml"))
        except NothingLeft as error:
            return Run((), "", (str(error),))
    told = _run(lab, engine, playbook)
    return Run(tuple(read_steps(told, folder=f"/{_WORK}/roles")), told, refused)


@contextmanager
def _host(name: str) -> Iterator[Lab]:
    """Bring one fresh host up: what another target left would count."""
    labs.down(name)
    try:
        yield labs.up(name, hosts=1, extra_vars={})
    finally:
        labs.down(name)


def _read_package_lists(lab: Lab) -> None:
    """Let the host know Debian's packages, as hosts that ansible-test makes do."""
    proxy = f"sudo -n env http_proxy={lab.proxy} apt-get -qq update"
    subprocess.run(lab.ssh("h1", proxy).argv, stdin=subprocess.DEVNULL, timeout=_LIMIT, check=True)


def _lay_out(work: Path, target: Target, targets: Path, lab: Lab) -> None:
    """Write the play, its inventory, and the target with the roles that it may name."""
    work.mkdir(parents=True)
    (lab.hosts[0].root / _OUTPUT.lstrip("/")).mkdir(parents=True)
    names = {path.name for path in targets.iterdir() if path.name.startswith(("setup_", "prepare_"))}
    for name in sorted(names | {target.name, *target.needs}):
        shutil.copytree(targets / name, work / "roles" / name, symlinks=True)
    host = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3", "output_dir": _OUTPUT}
    several = dict.fromkeys(_SEVERAL, host) if target.playbooks else {}
    inventory = {"all": {"children": {"testgroup": {"hosts": {"testhost": host, **several}}}}}
    (work / "inventory.yml").write_text(yaml.safe_dump(inventory, sort_keys=False))
    variables = {"http_proxy": lab.proxy, "https_proxy": lab.proxy} if target.network else {}
    site = [
        {
            "hosts": "testhost",
            "gather_facts": True,
            "ignore_errors": True,
            "environment": variables,
            "roles": [target.name],
        }
    ]
    (work / "site.yml").write_text(yaml.safe_dump(site, sort_keys=False))


def _copy_engine(folder: Path, place: Path) -> None:
    """Copy packages, or one package, to where the host's Python looks."""
    inside = place / folder.name if (folder / "__init__.py").exists() else place
    shutil.copytree(folder, inside, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))


def _run(lab: Lab, engine: Engine, playbook: str) -> str:
    settings = {
        **engine.environment,
        "PYTHONPATH": "/opt/engine",
        "LC_ALL": "C.UTF-8",
        "HOME": "/root",
        "USER": "root",
        "OUTPUT_DIR": _OUTPUT,
    }
    words = ("python3", "-m", *engine.words, playbook, "-i", "inventory.yml", "-vv")
    line = f"cd /{_WORK} && exec sudo -n env {' '.join(f'{name}={value}' for name, value in settings.items())} "
    command = lab.ssh("h1", line + " ".join(words))
    process = subprocess.Popen(
        command.argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        told, _ = process.communicate(timeout=_LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        told, _ = process.communicate()
        told += f"\nended after {_LIMIT} s\n".encode()
    return told.decode(errors="replace")

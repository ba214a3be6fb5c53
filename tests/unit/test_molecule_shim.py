"""Molecule's ansible-playbook: only converge.yml goes to the engine under test."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SHIM = Path(__file__).parents[2] / ".config" / "molecule" / "bin" / "ansible-playbook"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Two programs that only say how they were called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("r1fleet", "ansible-playbook"):
        path = folder / name
        path.write_text('#!/bin/sh\nprintf "%s|" "${0##*/}" "$@"\n')
        path.chmod(0o755)
    return folder


def called(programs: Path, engine: str, *argv: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{SHIM.parent}:{programs}:{os.environ['PATH']}", "R1FLEET_MOLECULE_ENGINE": engine}
    return subprocess.run(
        ["ansible-playbook", *argv], env=environment, capture_output=True, text=True, check=False, timeout=10
    )


@pytest.mark.parametrize(
    ("engine", "playbook", "program"),
    [
        ("r1fleet", "/x/converge.yml", "r1fleet|play|--output|ansible"),
        ("r1fleet", "/x/verify.yml", "ansible-playbook"),
        ("r1fleet", "/x/create.yml", "ansible-playbook"),
        ("ansible", "/x/converge.yml", "ansible-playbook"),
    ],
)
def test_who_runs_what(programs: Path, engine: str, playbook: str, program: str) -> None:
    done = called(programs, engine, "--skip-tags", "a b,notest", playbook)
    assert done.stdout == f"{program}|--skip-tags|a b,notest|{playbook}|"


def test_the_inventorys_folder_becomes_the_file_in_it(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "ansible_inventory.yml").touch()
    done = called(programs, "r1fleet", "--inventory", str(tmp_path), "--syntax-check", "converge.yml")
    words = done.stdout.split("|")
    assert words[5:7] == [f"{tmp_path}/ansible_inventory.yml", "--syntax-check"]


def test_an_unknown_engine_is_refused(programs: Path) -> None:
    done = called(programs, "salt", "converge.yml")
    assert (done.returncode, done.stdout) == (5, "")
    assert "R1FLEET_MOLECULE_ENGINE is r1fleet or ansible, not salt" in done.stderr

"""Runs the Molecule scenarios of roles: on lab hosts, with the engine that is asked for."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from r1fleet.cache import cache_dir
from tests.environments import ensure_environment

ROOT = Path(__file__).parents[2]
ENGINES = ("r1fleet", "ansible")
# Molecule drags ansible-core in: both live in an environment of their own, as separate programs.
MOLECULE = ("molecule==26.*", "ansible-core==2.19.*")


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario of a role, and the engine that converges it."""

    role: str
    engine: str = "r1fleet"
    lab: str = "molecule"

    def argv(self, command: str = "test") -> list[str]:
        """Return Molecule's command line; it runs in ROOT."""
        return ["molecule", command, "--scenario-name", "default"]

    def environment(self) -> dict[str, str]:
        """Return what Molecule, its playbooks and the shim need to know."""
        molecule = ensure_environment("molecule", MOLECULE)
        home = cache_dir("molecule-home")
        name = re.sub("[^a-z0-9]", "-", f"{self.lab}-{self.role}")[:31].rstrip("-")
        return {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{molecule / 'bin'}:{os.environ['PATH']}",
            "MOLECULE_GLOB": f"roles/{self.role}/molecule/*/molecule.yml",
            "MOLECULE_PROJECT_DIRECTORY": str(ROOT),
            "MOLECULE_EPHEMERAL_DIRECTORY": str(cache_dir("molecule-runs") / name),
            "R1FLEET_MOLECULE_ENGINE": self.engine,
            "R1FLEET_MOLECULE_LAB": name,
            "ANSIBLE_HOME": str(home),
            "ANSIBLE_LOCAL_TEMP": str(home / "tmp"),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(home / "cp"),
            "NO_COLOR": "1",
            "ANSIBLE_NOCOLOR": "1",
            "COLUMNS": "160",
        }


def roles() -> list[str]:
    """Name every role that has a scenario."""
    return sorted(path.parents[2].name for path in ROOT.glob("roles/*/molecule/default/molecule.yml"))

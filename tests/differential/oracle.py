"""Ansible itself, in an environment of its own under the cache; asked as a separate program, never imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from r1fleet.cache import cache_dir
from tests.differential.case import REQUIREMENT, Case
from tests.environments import ensure_environment

# Made only for cases that say so: it is ten times as large.
COLLECTIONS = "ansible==12.*"


@dataclass(frozen=True, slots=True)
class Oracle:
    """An environment that holds ansible-core."""

    folder: Path
    version: str

    @property
    def playbook(self) -> Path:
        """The program."""
        return self.folder / "bin" / "ansible-playbook"

    @property
    def environment(self) -> dict[str, str]:
        """Settings: nothing of the user's, and as quick as it can be."""
        home = cache_dir("oracle", "home")
        settings = home / "ansible.cfg"
        settings.touch()
        return {
            "ANSIBLE_CONFIG": str(settings),
            "ANSIBLE_HOME": str(home),
            "ANSIBLE_LOCAL_TEMP": str(home / "tmp"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_FORKS": "8",
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(home / "cp"),
            "PYTHONPATH": "",
        }


def ensure_oracle(case: Case | None = None) -> Oracle:
    """Return the environment that can play a case, or any play of ansible-core's own; made when there is none."""
    wanted = (REQUIREMENT, COLLECTIONS) if case is not None and case.collections else (REQUIREMENT,)
    folder = ensure_environment("oracle", wanted)
    return Oracle(folder, (folder / "ready").read_text().strip())

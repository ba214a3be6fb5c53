"""Public roles, fetched from PyPI when a test wants them and kept in the cache; none is committed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from r1fleet.cache import cache_dir, cache_lock
from tests.differential.case import Case

_DEBOPS = "debops/_data/ansible/collections"
_LISTS = {"apt": {"update_cache": True}, "changed_when": False}


@dataclass(frozen=True, slots=True)
class PublicRole:
    """A role as its package has it, and how a play applies it; ``folders`` go beside the playbook, unchanged."""

    name: str
    package: str
    role: str
    folders: dict[str, str]  # in the package: beside the playbook
    variables: dict[str, Any] = field(default_factory=dict)

    def case(self, folder: Path) -> Case:
        """Write the play into ``folder`` and return it as a case for both engines, run twice."""
        source = fetch(self.package)
        for inside, target in self.folders.items():
            (found,) = source.glob(inside)
            shutil.copytree(found, folder / target)
        play = {
            "hosts": "h1",
            "become": True,
            "environment": "{{ proxy_env }}",
            "pre_tasks": [_LISTS],
            "roles": [{"role": self.role, **self.variables}],
        }
        (folder / "site.yml").write_text(yaml.safe_dump([play], sort_keys=False))
        return Case(self.name, folder, ((), ()), collections=True)


def _of_debops(name: str, **variables: Any) -> PublicRole:
    tree = "ansible_collections/debops/debops"
    folders = {f"{_DEBOPS}/{tree}/{each}": f"collections/{tree}/{each}" for each in ("roles", "plugins", "meta")}
    return PublicRole(f"debops-{name}", "debops==3.3.2", f"debops.debops.{name}", folders, variables)


def _of_tripleo(name: str, **variables: Any) -> PublicRole:
    package = "tripleo-ansible==6.0.0"
    folders = {f"*.data/data/share/ansible/roles/{name}": f"roles/{name}"}
    return PublicRole(f"tripleo-{name}", package, name, folders, variables)


_ENTRIES: dict[str, Any] = {f"tripleo_hosts_entries_{kind}_hosts_entries": [] for kind in ("undercloud", "overcloud")}
ROLES = (
    _of_debops("apt_listchanges"),
    _of_debops("dpkg_cleanup"),
    _of_debops("gitusers"),
    _of_debops("fcgiwrap"),
    _of_debops("mosquitto"),
    _of_tripleo(
        "tripleo_hosts_entries",
        tripleo_stack_name="lab",
        tripleo_hosts_entries_hosts_path="/etc/host.conf",  # /etc/hosts is another on each lab
        tripleo_hosts_entries_extra_hosts_entries=["10.0.0.1 one", "10.0.0.2 two"],
        **_ENTRIES,
    ),
    _of_tripleo("tuned", tuned_system_packages=[]),
)


def fetch(package: str) -> Path:
    """Return the folder of a package's content; downloaded where the cache lacks it."""
    folder = cache_dir("public-roles") / package.replace("==", "-")
    with cache_lock("public-roles"):
        if not folder.is_dir():
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            argv = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--only-binary=:all:"]
            subprocess.run([*argv, "--dest", str(part), package], check=True, timeout=300)
            (wheel,) = part.glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(part)
            wheel.unlink()
            part.rename(folder)
    return folder

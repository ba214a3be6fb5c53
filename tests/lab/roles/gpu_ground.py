"""Lab hosts dressed as GPU hosts, the stand-in repositories they use, and plays of roles on them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from r1fleet import lab as labs
from r1fleet.lab import Lab
from tests.differential.footprint import Footprint, take_footprint
from tests.lab.reach import ROOT, answer, r1fleet
from tests.standins import container, cuda, debhost
from tests.standins.aptrepo import Signer, write_release
from tests.standins.deb import Deb
from tests.standins.debhost import Dressed
from tests.standins.server import Served, serve

DRIVERS = ("570.158.01", "580.126.20", "580.178.04", "590.48.01", "595.71.05", "610.57.04")
_COUNTS = re.compile(r"^(\S+) +: ok=\d+ +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Played:
    """A play that has run: changed and failed tasks of each host, and all it said."""

    text: str

    @property
    def counts(self) -> dict[str, tuple[int, int]]:
        """Changed and failed, by host."""
        return {row[1]: (int(row[2]), int(row[3]) + int(row[4])) for row in _COUNTS.finditer(self.text)}

    @property
    def changed(self) -> dict[str, int]:
        """Changed tasks by host; a failed one is an error here."""
        assert self.counts, self.text
        assert not any(failed for _, failed in self.counts.values()), self.text
        return {host: changed for host, (changed, _) in self.counts.items()}


@dataclass
class Fleet:
    """Dressed hosts, and what they are served."""

    lab: Lab
    served: Served
    signer: Signer
    folder: Path
    hosts: dict[str, Dressed] = field(default_factory=dict)

    def dress(self, name: str, release: str, gpus: str) -> Dressed:
        """Dress a host and plug GPUs in."""
        host = debhost.dress(self.lab, name, release, self.served, self.signer.binary)
        debhost.plug(host, gpus)
        self.hosts[name] = host
        return host

    def publish(self, drivers: tuple[str, ...]) -> None:
        """Write NVIDIA's repositories with drivers of these versions."""
        cuda.write_repositories(self.served.folder / "cuda", self.signer, drivers, f"{self.served.url}/cuda")

    def republish(self, folder: Path, index: str) -> None:
        """Sign an index that a test has changed."""
        write_release(folder, {"Packages": index.encode()}, self.signer, {"Label": cuda.LABEL})

    def write_play(self, *roles: str, tasks_from: str = "main") -> Path:
        """Write a play that includes roles."""
        path = self.folder / "site.yml"
        includes = [
            {"ansible.builtin.include_role": {"name": role, "tasks_from": tasks_from}, "name": role} for role in roles
        ]
        play = {"hosts": "all", "become": True, "environment": "{{ proxy_env }}", "tasks": includes}
        path.write_text(json.dumps([play]))
        roles_here = self.folder / "roles"
        if not roles_here.exists():
            roles_here.symlink_to(ROOT / "roles")
        return path

    @property
    def variables(self) -> dict[str, Any]:
        """What every play needs: the stand-ins' addresses and places."""
        return {
            "mirrors_cuda": f"{self.served.url}/cuda",
            "mirrors_container_toolkit": f"{self.served.url}/toolkit",
            "hardware_pci": f"/{debhost.PCI}",
            "nvidia_driver_proc": debhost.LOADED,
            "nvidia_container_toolkit_proc": debhost.LOADED,
        }

    def play(self, *roles: str, tasks_from: str = "main", options: tuple[str, ...] = (), **variables: Any) -> Played:
        """Play roles by the command line."""
        path = self.write_play(*roles, tasks_from=tasks_from)
        return self.play_file(str(path), options=options, **variables)

    def play_file(self, path: str, options: tuple[str, ...] = (), **variables: Any) -> Played:
        """Play a playbook by the command line."""
        words = ["-i", str(self.lab.inventory), "--output", "ansible", *options]
        extra = json.dumps({**self.variables, **variables})
        done = r1fleet("play", path, *words, "-e", extra, seconds=240)
        return Played(done.stdout + done.stderr)

    def root(self, host: str, script: str) -> str:
        """Run a shell script as root."""
        return answer(self.lab, host, script, user="root")

    def packages(self, host: str) -> dict[str, str]:
        """Return installed packages with their versions."""
        text = self.root(host, "dpkg-query -W -f '${db:Status-Status} ${Package} ${Version}\\n'")
        rows = [line.split() for line in text.splitlines()]
        return {row[1]: row[2] for row in rows if row[0] == "installed" and len(row) == 3}

    def footprints(self) -> dict[str, Footprint]:
        """Look at all hosts' disks."""
        return {name: take_footprint(host.root) for name, host in self.hosts.items()}


@contextmanager
def gpu_fleet(name: str, hosts: int, folder: Path, more: Iterable[Deb] = ()) -> Iterator[Fleet]:
    """Bring hosts up, still undressed, with stand-in repositories served to them; ``more`` is in the archive."""
    labs.down(name)
    signer = Signer.make(folder / "gpg")
    repositories = folder / "served"
    repositories.mkdir()
    try:
        lab = labs.up(name, hosts=hosts, extra_vars={})
        with serve(repositories, lab.gateway) as served:
            container.write_repository(repositories / "toolkit", signer)
            debhost.archive(repositories / "archive", signer, more)
            fleet = Fleet(lab, served, signer, folder)
            fleet.publish(DRIVERS)
            yield fleet
    finally:
        signer.close()
        labs.down(name)


def ansible_vars(fleet: Fleet, **by_host: dict[str, Any]) -> None:
    """Write host_vars beside the lab's inventory."""
    for host, variables in by_host.items():
        path = fleet.lab.inventory.parent / "host_vars" / f"{host}.yml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(variables))

"""Two lab hosts with a docker engine, and gangs of the rehearsal engine on them, in any runtime.

The image is as small as images get: it borrows the host's /usr, read-only.
"""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

from r1fleet.cli.connect import connector
from r1fleet.events import Event
from r1fleet.inventory import Host, Inventory
from r1fleet.lab import Lab
from r1fleet.launch import LaunchOptions, LaunchResult, launch, stop
from r1fleet.launch.plan import Plan, RankPlan, digest_of
from r1fleet.runtimes import Image
from r1fleet.spec import Container
from r1fleet.status import Access, StatusOptions, StatusReport, status
from r1fleet.transport import Become
from tests.gangs import ENGINE, MODEL, PORT, PYTHON, rehearsal
from tests.lab.reach import answer, ask

SOURCE = Path(__file__).with_name("rehearsal_engine.py")
NAME = "boxed"
IMAGE = "rehearsal:1"
MAKE_IMAGE = f"""
folder=$(mktemp -d) && cd $folder && mkdir -m 1777 tmp && mkdir usr sbin
for name in bin lib lib64; do ln -s usr/$name $name; done
tar -c . | docker import - {IMAGE}
"""


class Stage:
    """Two lab hosts with docker and the rehearsal's image."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.hosts = {host.name: _host(lab, host.name, str(host.address)) for host in lab.hosts}
        self.access = Access(connector(), lambda host: Become())
        self.events: list[Event] = []

    def plan(
        self,
        container: Container | None = None,
        *,
        runtime: str = "docker",
        hosts: tuple[str, ...] = ("h1", "h2"),
        boot: bool = False,
        program: str = PYTHON,
        engine: str = ENGINE,
        **more: Any,
    ) -> Plan:
        """Plan the rehearsal's gang: in containers, or in another runtime."""
        usual = Container(ulimits={}, volumes=("/usr:/usr:ro",))
        own = usual.model_copy(update=container.model_dump(exclude_unset=True)) if container else usual
        places = [(name, self.hosts[name].variables["ansible_host"]) for name in hosts]
        plain = rehearsal(places, **{"name": NAME, **more})
        changes: dict[str, object] = {"runtime": runtime, "boot": boot, "container": own}
        deployment = plain.deployment.model_copy(update={**changes, "image": IMAGE if runtime == "docker" else None})
        image = Image(IMAGE, own, (engine,)) if runtime == "docker" else None
        ranks = [_within(rank, plain.name, image, (program, engine)) for rank in plain.ranks]
        without = frozenset(hosts if runtime == "unsupervised" else ())
        plan = replace(plain, deployment=deployment, ranks=tuple(ranks), without_systemd=without)
        return replace(plan, digest=digest_of(plan))

    def launch(self, plan: Plan, **more: Any) -> LaunchResult:
        return launch(plan, self.access, self.events.append, LaunchOptions(hosts=self.hosts, interval=0.1, **more))

    def stop(self, name: str = NAME) -> Any:
        return stop(self.hosts.values(), self.access, self.events.append, name)

    def states(self) -> dict[str, str]:
        """Tell every deployment's state."""
        return {row.name: row.state for row in self.status().deployments}

    def status(self) -> StatusReport:
        return status(
            [Inventory("lab", None, self.hosts, {})], Access(connector(), lambda host: Become()), StatusOptions()
        )

    def generation(self) -> int:
        return self.status().deployments[0].generation

    def sh(self, host: str, script: str) -> str:
        return answer(self.lab, host, script, user="root")

    def left(self) -> str:
        """List what is left of any rank: containers, processes, listening ports."""
        look = (
            "docker ps -aq --filter name=^r1fleet-; ps -eo args | grep '[/]opt/rehearsal/engine.py';"
            " ps -eo args | grep 'r1fleet.agent.sessio[n]'; ls /etc/systemd/system | grep ^r1fleet-;"
            f" ss -ltnH 'sport = :{PORT}'; true"
        )
        return "".join(self.sh(host, look) for host in self.hosts)


def _host(lab: Lab, name: str, address: str) -> Host:
    variables = {
        "ansible_host": address,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(lab.key),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={lab.known_hosts}",
    }
    return Host(name, variables, ("nodes",))


def _within(rank: RankPlan, name: str, image: Image | None, words: tuple[str, str]) -> RankPlan:
    command = replace(rank.command, argv=(*words, *rank.command.argv[2:]))
    process = replace(rank.process, command=command, image=image, labels=(("deployment", name),))
    return replace(rank, command=command, process=process)


def set_up(lab: Lab) -> Stage:
    """Bring the rehearsal and its image to both hosts."""
    stage = Stage(lab)
    for host in stage.hosts:
        stage.sh(host, f"mkdir -p {MODEL} && echo '{{}}' >{MODEL}/config.json")
        ask(lab, host, f"cat >{ENGINE}", user="root", stdin=SOURCE.read_text())
        stage.sh(host, "until docker version >/dev/null 2>&1; do sleep 0.1; done")
    stage.sh("h1", MAKE_IMAGE)
    copy_image(lab)
    return stage


def copy_image(lab: Lab) -> None:
    """Copy the image, so that it is the same on both hosts: an import makes another each time."""
    saved = subprocess.run(
        lab.ssh("h1", "docker", "save", IMAGE, user="root").argv, capture_output=True, timeout=60, check=True
    )
    subprocess.run(
        lab.ssh("h2", "docker", "load", user="root").argv,
        input=saved.stdout,
        capture_output=True,
        timeout=60,
        check=True,
    )

"""Real vLLM, tensor parallel over two containers on two hosts, by the command line, with faults and a reboot."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from r1fleet import lab as labs
from r1fleet.lab import Lab
from r1fleet.lab.layer import require_space
from tests.lab.boxed import IMAGE, MAKE_IMAGE, copy_image
from tests.lab.ground import eventually
from tests.lab.reach import answer, r1fleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SENTENCE = "Two hosts computed this answer together"
DISK, MEMORY_KIB = 8 << 30, 6 << 20
LEFT = "docker ps -aq; pgrep -fa '[v]llm'; ls /etc/systemd/system | grep ^r1fleet-tiny; true"


@pytest.fixture(scope="module")
def lab(lab_name: str) -> Iterator[Lab]:
    """Two hosts with docker, provisioned for a deployment that runs the host's environment in containers."""
    free = re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text())
    assert free is not None
    assert int(free[1]) > MEMORY_KIB, "vLLM on two hosts needs 6 GiB of memory"
    name = f"{lab_name}-vllm"
    labs.down(name)
    made = labs.up(name, hosts=2, docker=True)
    require_space(made.folder, DISK, "vLLM on two hosts")
    _write(made)
    answer(made, "h1", MAKE_IMAGE, user="root")
    copy_image(made)
    done = r1fleet("provision", str(made.inventory), seconds=900)
    assert done.returncode == 0, done.stdout[-2000:]
    yield made
    labs.down(name)


def _write(made: Lab) -> None:
    data = yaml.safe_load(made.inventory.read_text())
    tiny = data["all"]["vars"]["deployments"]["tiny"]
    shared = ["/usr:/usr:ro", "/opt/r1fleet/venvs:/opt/r1fleet/venvs:ro"]
    tiny |= {"runtime": "docker", "image": IMAGE, "venv": "/opt/r1fleet/venvs/vllm", "boot": True}
    data["all"]["vars"]["deployments"] = {"tiny": {**tiny, "container": {"ulimits": {}, "volumes": shared}}}
    made.inventory.write_text(yaml.safe_dump(data, sort_keys=False))


def run(lab: Lab, *words: str, seconds: float = 600) -> str:
    done = r1fleet(*words, "-i", str(lab.inventory), seconds=seconds)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return done.stdout


def state(lab: Lab) -> str:
    told = r1fleet("status", "--json", "-i", str(lab.inventory)).stdout
    return str(json.loads(told)["deployments"][0]["state"])


def test_two_containers_on_two_hosts_answer_survive_a_reboot_and_leave_nothing(lab: Lab) -> None:
    assert "tiny is ready" in run(lab, "launch", "tiny")
    assert SENTENCE in run(lab, "ask", "hello", "-d", "tiny")

    for host in ("h1", "h2"):
        labs.break_host(lab.name, host, "reboot")
    for host in ("h1", "h2"):
        labs.heal_host(lab.name, host)
    assert eventually(lambda: state(lab) == "ready", 300)
    assert SENTENCE in run(lab, "ask", "hello", "-d", "tiny")

    answer(lab, "h2", "docker kill r1fleet-tiny-0-1", user="root")
    assert eventually(lambda: state(lab) in ("degraded", "failed"))
    run(lab, "stop", "tiny", "--yes")
    assert [answer(lab, host, LEFT, user="root") for host in ("h1", "h2")] == ["", ""]

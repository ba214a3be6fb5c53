"""Two hosts that are provisioned once for all tests that need an engine on them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from r1fleet import lab as labs
from r1fleet.lab import Lab
from r1fleet.launch import lock_release
from r1fleet.provision import Provisioned
from tests.lab import boxed
from tests.lab.reach import provision_lab
from tests.lab.stages import NAME, Stage, equip


@pytest.fixture(scope="session")
def bare(lab_name: str) -> Iterator[Lab]:
    """Two bare hosts with the packaged deployments in their inventory."""
    name = f"{lab_name}-provision"
    labs.down(name)
    yield labs.up(name, hosts=2)
    labs.down(name)


@pytest.fixture(scope="session")
def first(bare: Lab) -> Provisioned:
    """The first provisioning of the two, for real: packages, vLLM on CPU from a wheelhouse, tiny models."""
    return provision_lab(bare)


@pytest.fixture(scope="session")
def serving(bare: Lab, first: Provisioned) -> Lab:
    """The two hosts, provisioned."""
    assert first.exit_code == 0
    return bare


@pytest.fixture(scope="module")
def equipped(lab: Lab) -> Iterator[Lab]:
    """The session's two hosts with the rehearsal engine on them."""
    stage = Stage(lab)
    equip(stage)
    yield lab
    for host in stage.hosts:
        stage.sh(host, "rm -rf /opt/rehearsal")


@pytest.fixture
def stage(equipped: Lab) -> Iterator[Stage]:
    """Hosts that run nothing, before and after."""
    stage = Stage(equipped)
    yield stage
    if stage.traces():
        lock_release(stage.hosts.values(), stage.access)
        stage.stop()
    stage.transport.close()
    for host in stage.hosts:
        stage.sh(host, f"rm -rf /var/lib/r1fleet/{NAME}")


@pytest.fixture(scope="session")
def boxes(lab_name: str) -> Iterator[boxed.Stage]:
    """Two hosts with docker engines and a rehearsal's image."""
    name = f"{lab_name}-docker"
    labs.down(name)
    yield boxed.set_up(labs.up(name, hosts=2, docker=True, extra_vars={}))
    labs.down(name)

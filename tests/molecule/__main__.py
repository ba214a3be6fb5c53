"""``python -m tests.molecule ROLE [--engine ENGINE] [COMMAND]``: one scenario, as `make molecule` runs it."""

from __future__ import annotations

import argparse
import subprocess

from tests.molecule.scenario import ENGINES, ROOT, Scenario, roles


def main() -> int:
    """Run one scenario and show what Molecule prints."""
    parser = argparse.ArgumentParser(prog="python -m tests.molecule", description="Run a role's Molecule scenario.")
    parser.add_argument("role", choices=roles())
    parser.add_argument("command", nargs="?", default="test", help="test, converge, verify, destroy ...")
    parser.add_argument("--engine", choices=ENGINES, default="r1fleet", help="who converges (default: r1fleet)")
    given = parser.parse_args()
    scenario = Scenario(given.role, given.engine)
    return subprocess.run(scenario.argv(given.command), cwd=ROOT, env=scenario.environment(), check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())

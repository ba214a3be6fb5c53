"""vLLM's own parser, in the environment that provisioning made, reads every command that is planned for its version."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from r1fleet.engines.options import table_of
from r1fleet.lab import Lab
from tests.guides import cases, planned
from tests.lab.reach import ask

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

VERSION = "0.32"
PYTHON = "/opt/r1fleet/venvs/vllm/bin/python"
READER = """
import json, sys
from vllm.engine.arg_utils import FlexibleArgumentParser
from vllm.entrypoints.cli.serve import cmd_init
asked = json.load(sys.stdin)
script = {"__name__": "script"}
exec(asked["script"], script)
vllm = FlexibleArgumentParser()
serve = cmd_init()[0]
serving = serve.subparser_init(vllm.add_subparsers(dest="subparser", required=True))
told = {}
for name, argv in asked["commands"].items():
    serves = argv[1] == "serve"
    try:
        read = vllm.parse_args(argv[1:]) if serves else script["parser"]().parse_args(argv[2:])
        if serves:
            serve.validate(read)
        told[name] = vars(read)
    except (SystemExit, Exception) as error:
        told[name] = {"refused": repr(error)}
answers = script["ANSWERS"]  # the script has put its own standard output aside for answers
answers.write(json.dumps({"told": told, "options": sorted(serving._option_string_actions)}, default=str))
answers.flush()
"""
R1: dict[str, Any] = {"engine": "vllm", "engine_version": VERSION, "model": "deepseek-ai/DeepSeek-R1"}
GPT: dict[str, Any] = {
    **R1,
    "machine": "8xH200",
    "args": {"reasoning-parser": "deepseek_r1", "trust-remote-code": True},
}


@pytest.fixture(scope="module")
def commands() -> dict[str, list[str]]:
    """Plan what vLLM can be told: over hosts, by pipeline, data and experts, on CPU, and as one offline generation."""
    plans = {
        "hosts": planned(GPT, "h1", "h2"),
        "pipeline": planned({**GPT, "tensor_parallel": 8, "pipeline_parallel": 2}, "h1", "h2"),
        "experts": planned({**GPT, "expert_parallel": 8}),
        "data": planned({**GPT, "tensor_parallel": 8, "data_parallel": 2, "expert_parallel": 16}, "h1", "h2"),
        "cpu": planned({**R1, "accelerator": "cpu", "model": "tiny", "max_model_len": 512}, "h1", "h2"),
        "speculative": planned({**GPT, "args": {"speculative-config": {"method": "mtp", "num_speculative_tokens": 1}}}),
        "job": planned({**GPT, "args": {}, "job": {"prompts": ["Hello"], "max_new_tokens": 8, "temperature": 0.6}}),
    }
    found = {f"{name} {rank.node.rank}": list(rank.command.argv) for name, plan in plans.items() for rank in plan.ranks}
    mine = [case for case in cases() if case.plan.deployment.engine_version == VERSION]
    return found | {case.label: list(case.command.argv) for case in mine if case.plan.deployment.engine == "vllm"}


@pytest.fixture(scope="module")
def read(serving: Lab, commands: dict[str, list[str]]) -> dict[str, Any]:
    """Let the host's vLLM read all of them, and one that is wrong."""
    script = next(file.content for file in planned({**GPT, "args": {}, "job": {}}).ranks[0].files)
    asked = {**commands, "wrong": ["vllm", "serve", "/w", "--tensor-paralel-size-x", "2"]}
    text = json.dumps({"commands": asked, "script": script})
    command = f"sudo -u r1fleet env HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 {PYTHON} -c {shlex.quote(READER)}"
    done = ask(serving, "h1", command, stdin=text)
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


def test_every_planned_command_is_read(read: dict[str, Any], commands: dict[str, list[str]]) -> None:
    refused = {name: told["refused"] for name, told in read["told"].items() if "refused" in told}

    assert set(refused) == {"wrong"}
    assert len(commands) >= 10


def test_what_was_planned_is_what_is_read(read: dict[str, Any]) -> None:
    first, second = read["told"]["hosts 0"], read["told"]["hosts 1"]

    assert (first["headless"], second["headless"]) == (False, True)
    assert (second["nnodes"], second["node_rank"], second["master_addr"], second["master_port"]) == (
        2,
        1,
        "10.0.0.1",
        20000,
    )
    assert (first["tensor_parallel_size"], first["reasoning_parser"]) == (16, "deepseek_r1")
    assert read["told"]["experts 0"]["enable_expert_parallel"] is True
    assert read["told"]["data 1"]["data_parallel_size"] == 2
    assert read["told"]["job 0"]["temperature"] == 0.6


def test_the_packaged_table_holds_the_parsers_own_options(read: dict[str, Any]) -> None:
    table = table_of("vllm", VERSION)
    assert table is not None
    names = {word.removeprefix("--") for word in read["options"] if word.startswith("--")} - {"help"}
    switches = {name for name in names if f"no-{name}" in names}

    assert names - {f"no-{name}" for name in switches} == table.names
    assert switches == table.switches

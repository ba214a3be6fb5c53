"""The example of two nodes with eight H200 each plans without any host."""

from __future__ import annotations

import json

import pytest

from r1fleet.cli import main as cli
from r1fleet.console.views import plan_lines
from r1fleet.inventory import load
from r1fleet.launch.build import build
from r1fleet.launch.plan import Plan
from r1fleet.packaged import packaged
from r1fleet.runtimes import runtime_of
from r1fleet.topology import FROM_FACTS, Parallelism


def h200() -> Plan:
    inventory = load(packaged("inventories") / "h200.yaml")
    return build(inventory, "r1", variables_of=lambda host: host.variables)


def test_one_gang_over_both_nodes() -> None:
    plan = h200()

    assert [gang.parallel for gang in plan.gangs] == [Parallelism(16)]
    assert [(node.host, node.address, node.interface) for node in plan.gangs[0].nodes] == [
        ("node1", "192.168.114.10", FROM_FACTS),
        ("node2", "192.168.114.11", FROM_FACTS),
    ]
    assert plan.endpoints == ("http://192.168.114.10:40000",)
    assert plan.notes == (
        "tp 16 on 2 hosts with 8 x H200 each",
        "40.1 GiB of weights per device, 29% of 140.4 GiB",
        "1 host would do: consider replicas: 2",
        "port 40000 is among the ports that outgoing connections take: it may be taken when you launch",
    )


def test_the_second_nodes_command() -> None:
    assert (
        h200().ranks[1].command.lines()
        == """\
GLOO_SOCKET_IFNAME='<from facts>' \\
    NCCL_SOCKET_IFNAME='<from facts>' \\
    HF_HUB_OFFLINE=1 \\
    sglang serve \\
    --model-path /var/lib/r1fleet/weights/deepseek-ai--DeepSeek-R1@main \\
    --served-model-name deepseek-ai/DeepSeek-R1 \\
    --host 0.0.0.0 \\
    --port 40000 \\
    --tp-size 16 \\
    --nnodes 2 \\
    --node-rank 1 \\
    --dist-init-addr 192.168.114.10:20000 \\
    --trust-remote-code \\
    --mem-fraction-static 0.85 \\
    --reasoning-parser deepseek-r1"""
    )


def test_the_second_nodes_container() -> None:
    plan = h200()
    weights = "/var/lib/r1fleet/weights/deepseek-ai--DeepSeek-R1@main"
    entry = "/var/lib/r1fleet/r1/r1fleet-r1-0-1.sh"

    assert (
        runtime_of(plan.deployment).start(plan.ranks[1].process).lines()
        == f"""\
docker run \\
    --detach \\
    --init \\
    --name r1fleet-r1-0-1 \\
    --label r1fleet.deployment=r1 \\
    --label r1fleet.replica=0 \\
    --label r1fleet.rank=1 \\
    --env R1FLEET_UNIT=r1fleet-r1-0-1 \\
    --log-driver json-file \\
    --log-opt max-size=10m \\
    --log-opt max-file=2 \\
    --network host \\
    --ipc host \\
    --gpus all \\
    --ulimit memlock=-1 \\
    --mount type=bind,source={weights},target={weights},readonly \\
    --mount type=bind,source={entry},target={entry},readonly \\
    --mount type=bind,source=/var/lib/r1fleet/r1/logs,target=/var/lib/r1fleet/r1/logs \\
    --workdir /var/lib/r1fleet/r1/logs \\
    --entrypoint /bin/sh lmsysorg/sglang:v0.5.23 {entry}"""
    )


def test_the_plan_is_plain_data_that_survives_json() -> None:
    told = h200().as_json()

    assert json.loads(json.dumps(told)) == told
    assert (told["schema"], told["cluster"], told["name"]) == (1, "h200", "r1")


def test_a_plan_shows_the_engines_command_and_the_container_it_runs_in() -> None:
    shown = "\n".join(plan_lines(h200()))
    folder = "/var/lib/r1fleet/r1/generations/N"

    assert shown.count("  sglang serve \\") == shown.count("  docker run \\") == 2
    assert "  # rank 1 on node2: its container, whose entry script runs the above\n  docker run \\" in shown
    assert f"--mount type=bind,source={folder}/r1fleet-r1-0-1.sh,target={folder}/r1fleet-r1-0-1.sh,readonly" in shown
    assert "  N in paths is the number that the launch gets" in shown


def test_a_plan_for_programs_has_the_containers_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["plan", "-i", str(packaged("inventories") / "h200.yaml"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)

    assert [start[:3] for start in told["starts"]] == [["docker", "run", "--detach"]] * 2

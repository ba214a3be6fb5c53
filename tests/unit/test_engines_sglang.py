"""SGLang's commands, as text."""

from __future__ import annotations

from typing import Any

import pytest

from r1fleet.engines import RankRequest, engine_of
from r1fleet.engines.options import table_of
from r1fleet.errors import SpecError
from r1fleet.spec import Deployment, resolve
from r1fleet.topology import Gang, Node, Parallelism

SGLANG = engine_of("sglang")
BASE: dict[str, Any] = {
    "engine": "sglang",
    "engine_version": "0.5.23",
    "model": "deepseek-ai/DeepSeek-V3",
    "model_path": "/w/v3",
    "hosts": "gpu",
    "port": 40000,
}


def request(rank: int = 0, *, hosts: int = 2, ways: Parallelism | None = None, **more: Any) -> RankRequest:
    deployment = resolve("v3", Deployment.model_validate(BASE | more))
    nodes = tuple(Node(number, f"n{number}", f"192.168.114.1{number}", "eth0", 8) for number in range(hosts))
    gang = Gang(0, nodes, ways or Parallelism(8 * hosts), 20000)
    return RankRequest("v3", deployment, gang, nodes[rank])


def text(*arguments: Any, **more: Any) -> str:
    return SGLANG.command(request(*arguments, **more)).lines()


def test_the_second_node_of_two() -> None:
    assert (
        text(1, args={"trust-remote-code": True})
        == """\
GLOO_SOCKET_IFNAME=eth0 \\
    NCCL_SOCKET_IFNAME=eth0 \\
    HF_HUB_OFFLINE=1 \\
    sglang serve \\
    --model-path /w/v3 \\
    --served-model-name deepseek-ai/DeepSeek-V3 \\
    --host 0.0.0.0 \\
    --port 40000 \\
    --tp-size 16 \\
    --nnodes 2 \\
    --node-rank 1 \\
    --dist-init-addr 192.168.114.10:20000 \\
    --trust-remote-code"""
    )


def test_one_node_has_no_rendezvous_and_listens_for_others() -> None:
    assert (
        text(hosts=1, ways=Parallelism(8), max_model_len=4096, args={"disable-radix-cache": False})
        == """\
HF_HUB_OFFLINE=1 \\
    sglang serve \\
    --model-path /w/v3 \\
    --served-model-name deepseek-ai/DeepSeek-V3 \\
    --host 0.0.0.0 \\
    --port 40000 \\
    --tp-size 8 \\
    --context-length 4096"""
    )


@pytest.mark.parametrize(
    ("version", "start"),
    [
        ("0.4.10", ("python3", "-m", "sglang.launch_server")),
        ("0.5.4.post3", ("python3", "-m", "sglang.launch_server")),
        ("0.5.5", ("sglang", "serve")),
        ("0.5.23", ("sglang", "serve")),
        (None, ("sglang", "serve")),
    ],
)
def test_the_program_follows_the_version(version: str | None, start: tuple[str, ...]) -> None:
    argv = SGLANG.command(request(engine_version=version, image="x:1")).argv

    assert argv[: argv.index("--model-path")] == start


def test_every_generated_option_is_one_of_sglangs() -> None:
    table = table_of("sglang", "0.5.23")
    assert table is not None
    words = SGLANG.command(request(1, ways=Parallelism(4, 2, 2, 4), max_model_len=1)).argv

    assert {word.removeprefix("--") for word in words if word.startswith("--")} <= table.names


def test_attention_data_parallel_is_spelled_as_its_version_does_and_takes_more_ports() -> None:
    ways = Parallelism(16, attention=2)

    assert "--attn-dp-size 2" in text(ways=ways).replace(" \\\n    ", " ")
    old = text(ways=ways, engine_version="0.4.3", image="x:1").replace(" \\\n    ", " ")
    assert "--enable-dp-attention --dp-size 2" in old
    assert SGLANG.ports(request().deployment, request(ways=ways).gang) == 7
    assert SGLANG.ports(request().deployment, request().gang) == 1


def test_what_a_version_lacks_is_said_with_the_version_that_has_it() -> None:
    old = request(engine_version="0.4.3", image="x:1").deployment

    assert SGLANG.lacks(old) == {"pipeline": "SGLang 0.4.3 has no pipeline parallel: that came with 0.4.10"}
    assert SGLANG.lacks(request().deployment) == {}


def test_an_ipv6_leader_is_put_in_brackets() -> None:
    node = Node(0, "n0", "fd00::1", "eth0", 8)
    asked = request()
    gang = Gang(0, (node, Node(1, "n1", "fd00::2", "eth0", 8)), Parallelism(16), 20000)

    assert "[fd00::1]:20000" in SGLANG.command(RankRequest("v3", asked.deployment, gang, node)).argv


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"mem-fraction": 0.8}, "sglang 0.5.23 has no option mem-fraction; did you mean mem-fraction-static"),
        ({"tp": 8}, "use the deployment's key tensor_parallel"),
        ({"dist-init-addr": "x:1"}, "args may not hold dist-init-addr"),
        ({"enable-ep-moe": True}, "use the deployment's key expert_parallel"),
        ({"enable-dp-attention": True}, "use the deployment's key attention_data_parallel"),
        ({"disable-cuda-graph": True}, "use `cuda-graph-backend-decode: disabled`"),
        ({"reasoning-parser": "deepseek_r1"}, "it is called deepseek-r1"),
    ],
)
def test_wrong_args_are_refused_with_what_to_write(args: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        text(args=args)
    assert message in str(caught.value)


def test_a_key_is_refused_with_the_reason() -> None:
    with pytest.raises(SpecError, match="deployment v3 has an api_key, but SGLang takes it only on its command line"):
        SGLANG.refuse_secret("v3")


def test_other_accelerators_jobs_and_preparations_are_refused() -> None:
    for more, message in (
        ({"accelerator": "vastai", "image": "x:1"}, "SGLang is not planned for accelerator vastai"),
        ({"job": {}}, "SGLang is planned as a service only"),
        ({"prepare": {"experts": 8}}, "prepare.experts means nothing to SGLang"),
    ):
        with pytest.raises(SpecError, match=message):
            SGLANG.refuse("v3", request(**more).deployment, None)


def test_the_other_ranks_end_only_after_the_leader() -> None:
    assert SGLANG.leader_stops_first
    assert not engine_of("vllm").leader_stops_first


def test_false_is_spelled_only_where_the_option_has_such_a_form() -> None:
    args = {"disable-radix-cache": False, "lora-strict-loading": False}

    assert SGLANG.command(request(hosts=1, args=args)).argv[-2:] == ("8", "--no-lora-strict-loading")

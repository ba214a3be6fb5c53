"""vLLM's commands, as text."""

from __future__ import annotations

from typing import Any

import pytest

from r1fleet.engines import RankRequest, engine_of
from r1fleet.engines.options import table_of
from r1fleet.errors import SpecError
from r1fleet.spec import Deployment, resolve
from r1fleet.topology import Gang, Node, Parallelism

VLLM = engine_of("vllm")
BASE: dict[str, Any] = {
    "engine": "vllm",
    "engine_version": "0.32.0",
    "model": "deepseek-ai/DeepSeek-R1",
    "model_path": "/w/r1",
    "hosts": "gpu",
}


def request(rank: int = 0, *, hosts: int = 2, ways: Parallelism | None = None, **more: Any) -> RankRequest:
    deployment = resolve("r1", Deployment.model_validate(BASE | more))
    nodes = tuple(Node(number, f"h{number}", f"10.0.0.{number + 1}", f"eth{number}", 8) for number in range(hosts))
    gang = Gang(0, nodes, ways or Parallelism(8 * hosts), 20000)
    return RankRequest("r1", deployment, gang, nodes[rank])


def text(*arguments: Any, **more: Any) -> str:
    return VLLM.command(request(*arguments, **more)).lines()


def test_a_small_model_on_one_host_needs_no_rendezvous() -> None:
    assert (
        text(hosts=1, ways=Parallelism(1), max_model_len=32768, args={"gpu-memory-utilization": 0.4})
        == """\
HF_HUB_OFFLINE=1 \\
    VLLM_NO_USAGE_STATS=1 \\
    vllm serve /w/r1 \\
    --served-model-name deepseek-ai/DeepSeek-R1 \\
    --host 0.0.0.0 \\
    --port 8000 \\
    --tensor-parallel-size 1 \\
    --max-model-len 32768 \\
    --gpu-memory-utilization 0.4"""
    )


def test_the_second_of_two_gpu_hosts() -> None:
    args = {"trust-remote-code": True, "reasoning-parser": "deepseek_r1"}
    assert (
        text(1, args=args)
        == """\
VLLM_HOST_IP=10.0.0.2 \\
    GLOO_SOCKET_IFNAME=eth1 \\
    NCCL_SOCKET_IFNAME=eth1 \\
    HF_HUB_OFFLINE=1 \\
    VLLM_NO_USAGE_STATS=1 \\
    vllm serve /w/r1 \\
    --served-model-name deepseek-ai/DeepSeek-R1 \\
    --host 0.0.0.0 \\
    --port 8000 \\
    --tensor-parallel-size 16 \\
    --nnodes 2 \\
    --node-rank 1 \\
    --master-addr 10.0.0.1 \\
    --master-port 20000 \\
    --distributed-executor-backend mp \\
    --headless \\
    --trust-remote-code \\
    --reasoning-parser deepseek_r1"""
    )


def test_only_rank_0_serves() -> None:
    assert "--headless" not in text(0)
    assert "--headless" in text(1)


def test_pipeline_data_and_expert_parallel() -> None:
    words = VLLM.command(request(ways=Parallelism(4, 2, 2, 8))).argv

    assert "--pipeline-parallel-size 2 --data-parallel-size 2 --enable-expert-parallel" in " ".join(words)


def test_thirty_two_vastai_dies_of_one_server() -> None:
    args = {"enforce-eager": True, "trust-remote-code": True, "reasoning-parser": "deepseek_r1"}
    deployment = resolve(
        "r1",
        Deployment.model_validate(
            BASE
            | {"accelerator": "vastai", "engine_version": "0.17.0", "image": "vllm_vacc:x", "args": args}
            | {"max_model_len": 65536}
        ),
    )
    node = Node(0, "h1", "10.0.0.1", "eth0", 32)
    command = VLLM.command(RankRequest("r1", deployment, Gang(0, (node,), Parallelism(32), 20000), node))

    assert dict(command.env)["VACC_VISIBLE_DEVICES"] == ",".join(map(str, range(32)))
    assert command.argv == (
        *("vllm", "serve", "/w/r1", "--served-model-name", "deepseek-ai/DeepSeek-R1", "--host", "0.0.0.0"),
        *("--port", "8000", "--tensor-parallel-size", "32", "--max-model-len", "65536", "--enforce-eager"),
        *("--trust-remote-code", "--reasoning-parser", "deepseek_r1"),
    )


def test_what_the_user_puts_into_the_environment_wins() -> None:
    environment = dict(VLLM.command(request(accelerator="cpu", env={"OMP_NUM_THREADS": "16"})).env)

    assert environment["OMP_NUM_THREADS"] == "16"
    assert environment["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"


def test_every_generated_option_is_one_of_vllms() -> None:
    table = table_of("vllm", "0.32.0")
    assert table is not None
    words = VLLM.command(request(1, ways=Parallelism(4, 2, 2, 8), max_model_len=1)).argv

    assert {word.removeprefix("--") for word in words if word.startswith("--")} <= table.names


def test_values_of_args_become_words() -> None:
    args = {
        "enable_prefix_caching": False,
        "enforce-eager": True,
        "middleware": ["a", "b"],
        "speculative-config": {"method": "deepseek_mtp", "num_speculative_tokens": 1},
    }

    assert VLLM.command(request(hosts=1, args=args)).argv[-7:] == (
        *("--no-enable-prefix-caching", "--enforce-eager", "--middleware", "a", "b"),
        *("--speculative-config", '{"method":"deepseek_mtp","num_speculative_tokens":1}'),
    )


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"max-num-seq": 4}, "vllm 0.32 has no option max-num-seq; did you mean max-num-seqs"),
        ({"node-rank": 1}, "args may not hold node-rank"),
        ({"--tensor-parallel-size": 1}, "use the deployment's key tensor_parallel"),
        ({"tp": 1}, "use the deployment's key tensor_parallel"),
        ({"api_key": "s3cret"}, "use the deployment's key api_key"),
        ({"enable-reasoning": True}, "vllm has given up --enable-reasoning"),
        ({"reasoning-parser": "deepseek-r1"}, "it is called deepseek_r1"),
    ],
)
def test_wrong_args_are_refused_with_what_to_write(args: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        text(args=args)
    assert message in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_args_for_a_version_without_table_are_passed_and_said_to_be_unchecked() -> None:
    asked = request(engine_version="0.20.1", args={"brand-new": 1})

    assert VLLM.command(asked).argv[-2:] == ("--brand-new", "1")
    assert VLLM.notes(asked) == ("args are not checked: no option table for vllm 0.20.1",)
    assert VLLM.notes(request(args={"enforce-eager": True})) == ()


def test_the_key_travels_in_the_environment() -> None:
    assert VLLM.secret_environment("s3cret") == {"VLLM_API_KEY": "s3cret"}
    VLLM.refuse_secret("r1")


def test_it_is_asked_by_a_chat_completion() -> None:
    assert VLLM.completion_path == "/v1/chat/completions"
    assert VLLM.completion_request("r1", "Hello", max_tokens=8) == {
        "model": "r1",
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 8,
        "temperature": 0,
    }

"""LMDeploy's commands, as text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from r1fleet.engines import RankRequest, engine_of
from r1fleet.engines.options import table_of
from r1fleet.errors import SpecError
from r1fleet.spec import Deployment, resolve
from r1fleet.topology import Gang, Node, Parallelism, Site, known_shape, plan_gangs

LMDEPLOY = engine_of("lmdeploy")
MODEL = "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"
BASE: dict[str, Any] = {"engine": "lmdeploy", "engine_version": "0.18.0", "model": MODEL, "hosts": "gpu"}


def request(rank: int = 0, *, hosts: int = 1, leader: str = "10.0.0.1", **more: Any) -> RankRequest:
    deployment = resolve("r1", Deployment.model_validate(BASE | {"model_path": "/w/m"} | more))
    nodes = (Node(0, "h1", leader, "eth0", 4), Node(1, "h2", "10.0.0.2", "eth1", 4))[:hosts]
    return RankRequest("r1", deployment, Gang(0, nodes, Parallelism(4 * hosts), 20000), nodes[rank])


def shaped(asked: RankRequest) -> RankRequest:
    return replace(asked, shape=known_shape(asked.deployment.model), folder="/f")


def test_one_host() -> None:
    assert (
        LMDEPLOY.command(request(max_model_len=8192, args={"cache-max-entry-count": 0.5})).lines()
        == f"""\
HF_HUB_OFFLINE=1 \\
    lmdeploy serve api_server /w/m \\
    --model-name {MODEL} \\
    --server-name 0.0.0.0 \\
    --server-port 23333 \\
    --tp 4 \\
    --session-len 8192 \\
    --cache-max-entry-count 0.5"""
    )
    assert LMDEPLOY.notes(request()) == ()


def test_the_second_of_two_hosts() -> None:
    asked = request(1, hosts=2)

    assert (
        LMDEPLOY.command(asked).lines()
        == f"""\
GLOO_SOCKET_IFNAME=eth1 \\
    NCCL_SOCKET_IFNAME=eth1 \\
    HF_HUB_OFFLINE=1 \\
    lmdeploy serve api_server /w/m \\
    --model-name {MODEL} \\
    --server-name 0.0.0.0 \\
    --server-port 23333 \\
    --tp 8 \\
    --backend turbomind \\
    --nnodes 2 \\
    --node-rank 1 \\
    --dist-init-addr 10.0.0.1:20000"""
    )
    assert "falls back in silence" in LMDEPLOY.notes(asked)[0]


def test_every_generated_option_is_one_of_lmdeploys() -> None:
    table = table_of("lmdeploy", "0.18.0")
    assert table is not None
    words = LMDEPLOY.command(request(1, hosts=2, max_model_len=1)).argv

    assert {word.removeprefix("--") for word in words if word.startswith("--")} <= table.names


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"args": {"backend": "turbomind"}, "model": "deepseek-ai/DeepSeek-R1"},
            "TurboMind does not serve deepseek_v3",
        ),
        ({"args": {"tp": 2}}, "use the deployment's key tensor_parallel"),
        ({"leader": "fd00::1"}, "cannot meet at the IPv6 address fd00::1"),
    ],
)
def test_what_it_cannot_do_is_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        LMDEPLOY.command(shaped(request(hosts=2, **more)))
    assert message in str(caught.value)


def test_a_key_is_refused_with_the_reason() -> None:
    with pytest.raises(SpecError, match="LMDeploy takes it only on its command line"):
        LMDEPLOY.refuse_secret("r1")


def test_another_accelerator_is_refused() -> None:
    with pytest.raises(SpecError, match="LMDeploy is not planned for accelerator cpu"):
        LMDEPLOY.refuse("r1", request(accelerator="cpu").deployment, None)


def test_deepseek_over_several_hosts_meets_in_a_ray_cluster() -> None:
    leader, worker = (shaped(request(rank, hosts=2, model="deepseek-ai/DeepSeek-R1")) for rank in (0, 1))

    assert (
        LMDEPLOY.command(leader).lines()
        == """\
GLOO_SOCKET_IFNAME=eth0 \\
    NCCL_SOCKET_IFNAME=eth0 \\
    RAY_ADDRESS=10.0.0.1:20000 \\
    LMDEPLOY_DIST_MASTER_ADDR=10.0.0.1 \\
    LMDEPLOY_DIST_MASTER_PORT=20007 \\
    HF_HUB_OFFLINE=1 \\
    python3 /f/ray_rank.py \\
    --temporary /tmp/ray-20000 \\
    -- ray start \\
    --head \\
    --include-dashboard=false \\
    --node-ip-address=10.0.0.1 \\
    --num-gpus=4 \\
    --port=20000 \\
    --node-manager-port=20001 \\
    --object-manager-port=20002 \\
    --runtime-env-agent-port=20003 \\
    --dashboard-agent-grpc-port=20004 \\
    --dashboard-agent-listen-port=20005 \\
    --metrics-export-port=20006 \\
    --min-worker-port=10002 \\
    --max-worker-port=19999 \\
    --temp-dir=/tmp/ray-20000 \\
    --disable-usage-stats \\
    -- lmdeploy serve api_server /w/m \\
    --model-name deepseek-ai/DeepSeek-R1 \\
    --server-name 0.0.0.0 \\
    --server-port 23333 \\
    --tp 8 \\
    --backend pytorch"""
    )
    assert LMDEPLOY.command(worker).argv[1:7] == (
        "/f/ray_rank.py", "--wait-for", "10.0.0.1:20000", "--temporary", "/tmp/ray-20000", "--",
    )  # fmt: skip
    assert LMDEPLOY.command(worker).argv[7:12] == (
        "ray", "start", "--address=10.0.0.1:20000", "--block", "--node-ip-address=10.0.0.2",
    )  # fmt: skip
    assert "RAY_ADDRESS" not in dict(LMDEPLOY.command(worker).env)
    assert set(LMDEPLOY.files(worker)) == {"ray_rank.py"}
    assert LMDEPLOY.ports(leader.deployment, leader.gang) == 8
    assert "workers take ports 10002 to 19999 on every host" in LMDEPLOY.notes(leader)[0]


def test_a_model_of_turbomind_meets_in_a_ray_cluster_where_pytorch_is_asked_for() -> None:
    words = LMDEPLOY.command(shaped(request(hosts=2, args={"backend": "pytorch"}))).argv

    assert words.count("--backend") == 1
    assert "--nnodes" not in words
    assert "--head" in words


def test_deepseek_over_several_hosts_may_be_divided_by_data_parallel_attention() -> None:
    asked = shaped(request(1, hosts=2, model="deepseek-ai/DeepSeek-R1"))

    apart = replace(asked, gang=replace(asked.gang, parallel=Parallelism(16, expert=16, attention=16)))
    assert (
        LMDEPLOY.command(apart).lines()
        == """\
GLOO_SOCKET_IFNAME=eth1 \\
    NCCL_SOCKET_IFNAME=eth1 \\
    LMDEPLOY_DP_MASTER_ADDR=10.0.0.1 \\
    LMDEPLOY_DP_MASTER_PORT=20000 \\
    HF_HUB_OFFLINE=1 \\
    lmdeploy serve api_server /w/m \\
    --model-name deepseek-ai/DeepSeek-R1 \\
    --server-name 0.0.0.0 \\
    --server-port 23333 \\
    --tp 16 \\
    --dp 16 \\
    --ep 16 \\
    --backend pytorch \\
    --nnodes 2 \\
    --node-rank 1"""
    )
    assert "every host answers on 8 ports, 23333 to 23340" in LMDEPLOY.notes(apart)[0]


def test_auto_divides_by_tensor_parallel_only() -> None:
    deployment = Deployment.model_validate(BASE | {"machine": "8xL40S"})
    gang = plan_gangs("r1", deployment, [Site("h1")], shape=known_shape(MODEL), lacks=LMDEPLOY.lacks(deployment))[0]

    assert gang.parallel == Parallelism(4)
    assert "4 of 8 devices stay idle" in gang.reasons

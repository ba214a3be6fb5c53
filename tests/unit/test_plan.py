"""A plan is every rank's exact command, made without a host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from r1fleet.errors import SpecError
from r1fleet.facts import HostFacts, Interface
from r1fleet.inventory import Group, Host, Inventory
from r1fleet.launch import read_shape
from r1fleet.launch.build import build
from r1fleet.launch.plan import Plan
from r1fleet.topology import model_shape
from tests.fleets import Fleet

TINY: dict[str, Any] = {
    "engine": "vllm",
    "engine_version": "0.32.0",
    "accelerator": "cpu",
    "model": "tiny",
    "model_path": "/var/lib/r1fleet/weights/tiny",
    "hosts": "nodes",
    "tensor_parallel": 2,
    "port": 8000,
    "rendezvous_port": 29501,
    "max_model_len": 512,
    "args": {"enforce-eager": True, "max-num-seqs": 4, "kv-cache-memory-bytes": 67108864},
}


def variables(host: Host) -> Mapping[str, Any]:
    return host.variables


def fleet(deployment: Mapping[str, Any], *hosts: str, name: str = "tiny", **more: Mapping[str, Any]) -> Inventory:
    made = {
        host: Host(host, {"ansible_host": f"10.0.0.{number}", "deployments": {name: deployment}, **more.get(host, {})})
        for number, host in enumerate(hosts, 1)
    }
    return Inventory("lab", None, made, {"nodes": Group("nodes", hosts=hosts), "all": Group("all", hosts=hosts)})


def lab_facts(number: int) -> HostFacts:
    interface = Interface("host0", (f"10.0.0.{number}",))
    return HostFacts(interfaces=(interface,), default_address=f"10.0.0.{number}", default_interface="host0")


def lab_plan(deployment: Mapping[str, Any] = TINY) -> Plan:
    facts = {"h1": lab_facts(1), "h2": lab_facts(2)}
    return build(fleet(deployment, "h1", "h2"), "tiny", variables_of=variables, facts=facts)


def test_two_cpu_hosts_run_one_vllm_rank_each() -> None:
    plan = lab_plan()

    assert [rank.command.lines() for rank in plan.ranks] == [
        """\
VLLM_HOST_IP=10.0.0.1 \\
    GLOO_SOCKET_IFNAME=host0 \\
    VLLM_CPU_OMP_THREADS_BIND=nobind \\
    OMP_NUM_THREADS=1 \\
    TORCHDYNAMO_DISABLE=1 \\
    HF_HUB_OFFLINE=1 \\
    VLLM_NO_USAGE_STATS=1 \\
    PATH=/opt/r1fleet/venvs/vllm/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
    /opt/r1fleet/venvs/vllm/bin/vllm serve /var/lib/r1fleet/weights/tiny \\
    --served-model-name tiny \\
    --host 0.0.0.0 \\
    --port 8000 \\
    --tensor-parallel-size 2 \\
    --nnodes 2 \\
    --node-rank 0 \\
    --master-addr 10.0.0.1 \\
    --master-port 29501 \\
    --distributed-executor-backend mp \\
    --max-model-len 512 \\
    --enforce-eager \\
    --max-num-seqs 4 \\
    --kv-cache-memory-bytes 67108864""",
        """\
VLLM_HOST_IP=10.0.0.2 \\
    GLOO_SOCKET_IFNAME=host0 \\
    VLLM_CPU_OMP_THREADS_BIND=nobind \\
    OMP_NUM_THREADS=1 \\
    TORCHDYNAMO_DISABLE=1 \\
    HF_HUB_OFFLINE=1 \\
    VLLM_NO_USAGE_STATS=1 \\
    PATH=/opt/r1fleet/venvs/vllm/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
    /opt/r1fleet/venvs/vllm/bin/vllm serve /var/lib/r1fleet/weights/tiny \\
    --served-model-name tiny \\
    --host 0.0.0.0 \\
    --port 8000 \\
    --tensor-parallel-size 2 \\
    --nnodes 2 \\
    --node-rank 1 \\
    --master-addr 10.0.0.1 \\
    --master-port 29501 \\
    --distributed-executor-backend mp \\
    --headless \\
    --max-model-len 512 \\
    --enforce-eager \\
    --max-num-seqs 4 \\
    --kv-cache-memory-bytes 67108864""",
    ]
    assert plan.endpoints == ("http://10.0.0.1:8000",)
    assert plan.complete


def test_processes_are_named_for_deployment_replica_and_rank() -> None:
    processes = [rank.process for rank in lab_plan().ranks]

    assert [process.name for process in processes] == ["r1fleet-tiny-0-0", "r1fleet-tiny-0-1"]
    assert processes[1].log == "/var/lib/r1fleet/tiny/logs/r1fleet-tiny-0-1.log"
    assert processes[1].exit_record == "/var/lib/r1fleet/tiny/r1fleet-tiny-0-1.exit"
    assert processes[1].secrets is None


def test_the_same_input_gives_the_same_digest_and_another_input_another() -> None:
    assert lab_plan().digest == lab_plan().digest
    assert lab_plan().digest != lab_plan(TINY | {"max_model_len": 1024}).digest


CONFIG = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 3, "intermediate_size": 512}


def test_a_model_that_no_table_knows_is_read_from_the_leaders_folder() -> None:
    hosts = Fleet("h1", "h2")
    hosts["h1"].config = CONFIG
    draft = lab_plan()

    shape = read_shape(draft, hosts.hosts, hosts.access)

    assert shape is not None
    assert (shape.heads, shape.weight_bytes) == (3, 4096)
    assert hosts["h1"].calls == [("fleet_model", {"path": "/var/lib/r1fleet/weights/tiny"})]
    with pytest.raises(SpecError, match="3 attention heads cannot be divided by tp 2"):
        build(fleet(TINY, "h1", "h2"), "tiny", variables_of=variables, shape=shape)


def test_a_model_that_the_table_knows_is_not_asked_for() -> None:
    hosts = Fleet("h1", "h2")
    known = TINY | {"model": "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"}

    assert read_shape(lab_plan(known), hosts.hosts, hosts.access) is None
    assert hosts.order == []


def test_what_is_known_of_the_model_explains_the_plan_and_makes_it_no_other() -> None:
    shape = model_shape(CONFIG | {"num_attention_heads": 4}, weight_bytes=64 * 1024**2)
    facts = {"h1": lab_facts(1), "h2": lab_facts(2)}

    plan = build(fleet(TINY, "h1", "h2"), "tiny", variables_of=variables, facts=facts, shape=shape)

    assert "32 MiB of weights per device, in the host's own memory" in plan.notes
    assert not any("not known" in note for note in plan.notes)
    assert plan.digest == lab_plan().digest


def test_without_facts_the_interface_is_left_open_and_the_plan_is_incomplete() -> None:
    plan = build(fleet(TINY, "h1", "h2"), "tiny", variables_of=variables)

    assert dict(plan.ranks[1].command.env)["GLOO_SOCKET_IFNAME"] == "<from facts>"
    assert dict(plan.ranks[1].command.env)["VLLM_HOST_IP"] == "10.0.0.2"
    assert not plan.complete


def test_adapters_come_from_facts_unless_the_inventory_names_them() -> None:
    facts = {host: replace(lab_facts(number), hcas=("mlx5_4",), gid_index=3) for number, host in ((1, "h1"), (2, "h2"))}
    nvidia = {**TINY, "accelerator": "nvidia", "machine": "1xH200"}

    def told(**more: object) -> dict[str, str]:
        given = {"h1": dict(more), "h2": dict(more)}
        made = fleet(nvidia, "h1", "h2")
        plan = build(made, "tiny", variables_of=lambda host: {**variables(host), **given[host.name]}, facts=facts)
        return dict(plan.ranks[1].command.env)

    assert (told()["NCCL_IB_HCA"], told()["NCCL_IB_GID_INDEX"]) == ("mlx5_4", "3")
    assert told(r1fleet_hcas="mlx5_0")["NCCL_IB_HCA"] == "mlx5_0"


def test_what_the_inventory_says_about_addresses_beats_facts() -> None:
    own = {"h1": {"r1fleet_address": "172.16.0.1", "r1fleet_interface": "ib0"}}
    first = replace(lab_facts(1), interfaces=(*lab_facts(1).interfaces, Interface("ib0", ("172.16.0.1",))))
    inventory = fleet(TINY, "h1", "h2", h1=own["h1"])

    plan = build(inventory, "tiny", variables_of=variables, facts={"h1": first, "h2": lab_facts(2)})

    assert dict(plan.ranks[0].command.env)["GLOO_SOCKET_IFNAME"] == "ib0"
    assert "172.16.0.1" in plan.ranks[1].command.argv
    assert plan.endpoints == ("http://172.16.0.1:8000",)


@pytest.mark.parametrize(
    ("bind", "endpoint"),
    [
        ("0.0.0.0", "http://172.16.0.1:8000"),
        ("198.51.100.7", "http://198.51.100.7:8000"),
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("::", "http://172.16.0.1:8000"),
        ("2001:db8::7", "http://[2001:db8::7]:8000"),
    ],
)
def test_the_endpoint_is_where_the_engine_listens(bind: str, endpoint: str) -> None:
    spec = TINY | {"tensor_parallel": 1, "bind": bind}
    plan = build(fleet(spec, "h1", h1={"r1fleet_address": "172.16.0.1"}), "tiny", variables_of=variables)
    assert plan.endpoints == (endpoint,)


def test_a_named_interface_gives_the_address_that_facts_tell_for_it() -> None:
    facts = lab_facts(1)
    facts = replace(facts, interfaces=(*facts.interfaces, Interface("ib0", ("172.16.0.1",))))
    inventory = fleet(TINY | {"tensor_parallel": 1}, "h1", h1={"r1fleet_interface": "ib0"})

    plan = build(inventory, "tiny", variables_of=variables, facts={"h1": facts})

    assert plan.endpoints == ("http://172.16.0.1:8000",)


def test_an_unknown_deployment_names_the_nearest() -> None:
    with pytest.raises(SpecError, match="no deployment tinny; did you mean tiny"):
        build(fleet(TINY, "h1"), "tinny", variables_of=variables)


def test_an_unknown_group_names_the_nearest() -> None:
    with pytest.raises(SpecError, match="no group node; did you mean nodes"):
        build(fleet(TINY | {"hosts": "node"}, "h1"), "tiny", variables_of=variables)


def test_a_loopback_address_with_two_hosts_is_refused() -> None:
    inventory = fleet(TINY, "h1", "h2", h1={"r1fleet_address": "127.0.0.1"})

    with pytest.raises(SpecError, match=r"h1 would meet the other hosts at 127\.0\.0\.1"):
        build(inventory, "tiny", variables_of=variables)


def test_what_nothing_could_bring_back_is_refused_before_anything_starts() -> None:
    known = {"h1": HostFacts(systemd=True), "h2": HostFacts(systemd=False)}
    with pytest.raises(SpecError, match="boot: true needs systemd, which is not process 1 on h2"):
        build(fleet(TINY | {"boot": True}, "h1", "h2"), "tiny", variables_of=variables, facts=known)
    with pytest.raises(SpecError, match="restarts is for gangs of one host"):
        build(fleet(TINY | {"restarts": 2}, "h1", "h2"), "tiny", variables_of=variables)


def test_a_host_without_systemd_makes_its_deployments_unsupervised() -> None:
    known = {"h1": HostFacts(systemd=True), "h2": HostFacts(systemd=False)}

    plan = build(fleet(TINY, "h1", "h2"), "tiny", variables_of=variables, facts=known)

    assert plan.deployment.runtime == "unsupervised"
    assert plan.without_systemd == {"h2"}
    assert [note for note in plan.notes if note.startswith("unsupervised: ")]
    assert dict(plan.ranks[0].command.env)["PATH"].startswith("/opt/r1fleet/venvs/vllm/bin:")
    refused = {"engine": "sglang", "model": "m", "hosts": "nodes", "machine": "8xH200", "api_key": {"env": "K"}}
    with pytest.raises(SpecError, match="SGLang takes it only on its command line"):
        build(fleet(refused, "h1"), "tiny", variables_of=variables)


def test_a_deployment_with_a_key_has_a_secrets_file_and_no_secret_in_its_plan() -> None:
    plan = lab_plan(TINY | {"api_key": {"env": "R1_API_KEY"}})

    assert plan.ranks[0].process.secrets == "/var/lib/r1fleet/tiny/r1fleet-tiny-0-0.secrets"
    assert plan.as_json()["deployment"]["api_key"] == {"env": "R1_API_KEY", "file": None, "prompt": None}


def test_nodes_follow_the_inventorys_order_not_the_groups() -> None:
    inventory = fleet(TINY, "h1", "h2")
    turned = replace(inventory, groups={"nodes": Group("nodes", hosts=("h2", "h1"))})

    plan = build(turned, "tiny", variables_of=variables)

    assert [rank.node.host for rank in plan.ranks] == ["h1", "h2"]


def test_the_leaders_variables_decide() -> None:
    inventory = fleet(TINY, "h0", "h1", "h2", h1={"weights_dir": "/data"})
    body = {key: value for key, value in TINY.items() if key != "model_path"}
    for host in inventory.hosts.values():
        host.variables["deployments"]["tiny"] = body
    grouped = replace(inventory, groups={"nodes": Group("nodes", hosts=("h1", "h2"))})

    plan = build(grouped, "tiny", variables_of=variables)

    assert plan.deployment.model_path == "/data/tiny@main"


def test_an_interface_that_the_host_lacks_is_refused() -> None:
    inventory = fleet(TINY, "h1", "h2", h2={"r1fleet_interface": "hots0"})

    with pytest.raises(SpecError, match="host h2: the host has no interface hots0; did you mean host0") as caught:
        build(inventory, "tiny", variables_of=variables, facts={"h2": lab_facts(2)})
    assert "it has host0" in str(caught.value)


def test_an_address_that_the_host_lacks_is_refused_where_ranks_must_meet() -> None:
    nat = {"r1fleet_address": "203.0.113.1"}
    facts = {"h1": lab_facts(1)}

    with pytest.raises(SpecError, match=r"host h1: no interface of the host has the address 203\.0\.113\.1"):
        build(fleet(TINY, "h1", "h2", h1=nat), "tiny", variables_of=variables, facts=facts)
    alone = build(fleet(TINY | {"tensor_parallel": 1}, "h1", h1=nat), "tiny", variables_of=variables, facts=facts)
    assert alone.endpoints == ("http://203.0.113.1:8000",)


def test_one_port_for_two_purposes_is_refused() -> None:
    with pytest.raises(SpecError, match="port and rendezvous_port are both 8000"):
        lab_plan(TINY | {"rendezvous_port": 8000})

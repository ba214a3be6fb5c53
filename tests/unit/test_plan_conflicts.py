"""Bad input of a plan: ports, devices, versions, adapters and models that cannot be; nothing is contacted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from r1fleet.cli import main as cli
from r1fleet.errors import ExitCode, SpecError
from r1fleet.facts import HostFacts, Interface
from r1fleet.inventory import Group, Host, Inventory
from r1fleet.launch import read_model, read_shape
from r1fleet.launch.build import build
from r1fleet.launch.check import standing_checks
from r1fleet.launch.plan import Plan
from r1fleet.launch.wanted import ports_of
from tests.fleets import Fleet
from tests.guides import planned

R1: dict[str, Any] = {
    "engine": "sglang",
    "model": "deepseek-ai/DeepSeek-R1",
    "machine": "8xH200",
    "hosts": "gpu",
}
SMALL: dict[str, Any] = {
    "engine": "vllm",
    "model": "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B",
    "machine": "8xH200",
    "hosts": "gpu",
    "tensor_parallel": 1,
}


def both(first: Mapping[str, Any], second: Mapping[str, Any], *hosts: str) -> Plan:
    names = hosts or ("h1",)
    written = {"first": dict(first), "second": dict(second)}
    made = {
        name: Host(name, {"ansible_host": f"10.0.0.{n}", "deployments": written}) for n, name in enumerate(names, 1)
    }
    inventory = Inventory("lab", None, made, {"gpu": Group("gpu", hosts=names)})
    return build(inventory, "first", variables_of=lambda host: host.variables)


def clash(first: Mapping[str, Any], second: Mapping[str, Any], *hosts: str) -> str:
    with pytest.raises(SpecError) as caught:
        both(first, second, *hosts)
    assert caught.value.exit_code is ExitCode.USAGE
    return str(caught.value)


def test_two_deployments_on_one_port_are_refused() -> None:
    text = clash({**SMALL, "devices": [0]}, {**SMALL, "devices": [1]})

    assert "deployments first and second both want port 8000 of host h1 (port; port)" in text
    assert "instead_of: [second]" in text


def test_two_deployments_on_one_device_are_refused() -> None:
    assert "both want device 0 of host h1" in clash(SMALL, {**SMALL, "port": 8001})
    assert "both want device 0, 1, 2, 3 ... of host h1" in clash(R1, {**R1, "port": 30001})
    assert "both want device 3 of host h1" in clash({**SMALL, "devices": [3]}, {**R1, "port": 1})


def test_devices_and_ports_of_their_own_let_two_run_side_by_side() -> None:
    plan = both({**SMALL, "devices": [0]}, {**SMALL, "devices": [1], "port": 8001})

    assert dict(plan.ranks[0].command.env)["CUDA_VISIBLE_DEVICES"] == "0"


def test_one_in_place_of_the_other_may_have_its_ports_and_devices() -> None:
    assert both(R1, {**R1, "instead_of": ["first"]}).name == "first"
    assert both({**R1, "instead_of": ["second"]}, R1).name == "first"


def test_only_a_deployment_that_is_there_can_be_replaced() -> None:
    assert "instead_of names secnd, which is no other deployment of this inventory; did you mean second" in clash(
        {**SMALL, "instead_of": ["secnd"]}, {**SMALL, "port": 1, "devices": [1]}
    )


def test_a_rendezvous_port_and_those_after_it_are_ports_too() -> None:
    attention = {**R1, "attention_data_parallel": 2}

    assert "rendezvous_port" in clash({**R1, "port": 1}, {**R1, "port": 2}, "h1", "h2")
    text = clash({**attention, "port": 20003}, {**R1, "instead_of": ["first"]}, "h1", "h2")
    assert "port and rendezvous_port + 3 are both 20003" in text
    assert both({**attention, "port": 20003}, {**R1, "instead_of": ["first"]}, "h1").name == "first"


def test_attention_groups_have_their_ports_looked_at_before_the_launch() -> None:
    plan = planned({**R1, "attention_data_parallel": 2}, "h1", "h2")

    asked = [port.number for port in ports_of(plan, plan.gangs[0], "h1")]
    assert asked == [30000, *range(20000, 20007)]


def test_a_rendezvous_port_of_outgoing_connections_gets_a_note() -> None:
    notes = planned({**R1, "rendezvous_port": 50000}, "h1", "h2").notes

    assert any("rendezvous_port 50000 is among the ports" in note and "below 32768" in note for note in notes)
    assert not any("rendezvous_port" in note for note in planned({**R1, "rendezvous_port": 50000}, "h1").notes)


@pytest.mark.parametrize(
    ("engine", "version", "hint"),
    [
        ("vllm", "9.9", "the newest known is 0.32"),
        ("vllm", "0.6.5", "the oldest known is 0.6.6"),
        ("sglang", "0.5.24", "the newest known is 0.5.23"),
        ("sglang", "0.3", "the oldest known is 0.4.1"),
        ("lmdeploy", "0.6", "the oldest known is 0.7"),
        ("transformers", "4.46.3", "`transformers serve` is newer"),
    ],
)
def test_a_version_outside_those_that_are_known_is_refused(engine: str, version: str, hint: str) -> None:
    with pytest.raises(SpecError, match="is not a version that is known here") as caught:
        planned({**SMALL, "engine": engine, "engine_version": version})
    assert hint in str(caught.value)


@pytest.mark.parametrize("version", ["0.32", "0.32.5", "0.17.0", "0.20", "0.7.2", "0.6.6"])
def test_versions_between_those_that_are_known_are_planned(version: str) -> None:
    assert planned({**SMALL, "engine_version": version}).deployment.engine_version == version


@pytest.mark.parametrize(
    ("image", "program"),
    [
        ("lmsysorg/sglang:v0.4.3.post2", "python3"),
        ("docker.m.daocloud.io/lmsysorg/sglang:v0.4.3.post2-cu124@sha256:00", "python3"),
        ("lmsysorg/sglang:v0.5.23", "sglang"),
        ("lmsysorg/sglang:latest", "sglang"),
        ("registry.local/sglang:v0.4.3", "sglang"),
    ],
)
def test_an_official_images_tag_tells_the_version_where_none_is_written(image: str, program: str) -> None:
    assert planned({**R1, "image": image}).ranks[0].command.argv[0] == program


def test_an_image_newer_than_what_is_known_is_written_for_the_newest_and_said() -> None:
    plan = planned({**R1, "image": "lmsysorg/sglang:v0.6.1"})

    assert plan.ranks[0].command.argv[0] == "sglang"
    assert any("lmsysorg/sglang:v0.6.1 is of no version that is known here" in note for note in plan.notes)


def test_a_flag_written_twice_is_refused() -> None:
    with pytest.raises(SpecError, match="args hold max-num-seqs twice"):
        planned({**SMALL, "args": {"max-num-seqs": 4, "max_num_seqs": 8}})


def test_adapters_and_their_gid_are_told_to_nccl_host_by_host() -> None:
    body = {**R1, "runtime": "docker", "engine_version": "0.5.23"}
    plan = planned(body, "h1", "h2", r1fleet_hcas=["mlx5_0", "mlx5_3"], r1fleet_gid_index=3)

    told = dict(plan.ranks[1].command.env)
    assert (told["NCCL_IB_HCA"], told["NCCL_IB_GID_INDEX"]) == ("mlx5_0,mlx5_3", "3")
    image = plan.ranks[1].process.image
    assert image is not None
    assert image.container.devices == ("/dev/infiniband",)
    alone = planned(body, "h1", r1fleet_hcas="mlx5_0")
    assert "NCCL_IB_HCA" not in dict(alone.ranks[0].command.env)


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"r1fleet_hcas": 5}, "r1fleet_hcas is 5; it must be a list of RDMA adapters"),
        ({"r1fleet_hcas": ["a", ""]}, "it must be a list of RDMA adapters"),
        ({"r1fleet_gid_index": "three"}, "r1fleet_gid_index is 'three'; it must be a number from 0 on"),
        ({"r1fleet_gid_index": True}, "it must be a number from 0 on"),
    ],
)
def test_adapters_that_are_none_are_refused(variables: dict[str, Any], text: str) -> None:
    with pytest.raises(SpecError) as caught:
        planned(R1, "h1", "h2", **variables)
    assert text in str(caught.value)
    assert str(caught.value).startswith("host h1: ")


def test_hosts_may_meet_by_a_name_that_every_one_of_them_is_asked_for() -> None:
    facts = {
        host: HostFacts(interfaces=(Interface("eth0", (address,)),), default_address=address, default_interface="eth0")
        for host, address in (("h1", "10.0.0.1"), ("h2", "10.0.0.2"))
    }
    written = {**R1, "hosts": "gpu"}
    made = {
        name: Host(name, {"ansible_host": name, "r1fleet_address": f"{name}.cluster", "deployments": {"r1": written}})
        for name in facts
    }
    inventory = Inventory("lab", None, made, {"gpu": Group("gpu", hosts=tuple(made))})

    plan = build(inventory, "r1", variables_of=lambda host: host.variables, facts=facts)

    assert plan.complete
    assert "h1.cluster:20000" in plan.ranks[1].command.argv
    assert dict(plan.ranks[1].command.env)["NCCL_SOCKET_IFNAME"] == "eth0"
    assert {"kind": "resolves", "name": "h1.cluster"} in standing_checks(plan, "h2")
    assert not [row for row in standing_checks(planned(R1, "h1", "h2"), "h2") if row["kind"] == "resolves"]


# --- the model's own files ---------------------------------------------------------------------------

QWEN = {
    "model_type": "qwen2",
    "hidden_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "intermediate_size": 768,
}


def test_a_models_folder_here_tells_its_shape(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(QWEN))
    assert read_model(tmp_path).weight_bytes is None
    (tmp_path / "model.safetensors").write_bytes(b"1234")
    assert read_model(tmp_path).weight_bytes == 4
    (tmp_path / "model.safetensors.index.json").write_text('{"metadata": {"total_size": 4096}}')
    shape = read_model(tmp_path / "config.json")

    assert (shape.heads, shape.family, shape.weight_bytes) == (6, "qwen2", 4096)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps(QWEN)[:80], "is cut or is no JSON (at line 1)"),
        ("[" * 100_000, "is cut or is no JSON"),
        ("[1]", "holds no JSON object"),
        ("\udcff", "is cut or is no JSON"),
        (" " * (1024 * 1024 + 1), "no model's config.json has more than 1"),
        (json.dumps({**QWEN, "num_attention_heads": 0}), "lacks num_attention_heads"),
        ('{"model_type": "deepseek_v3"}', "lacks hidden_size, num_hidden_layers, num_attention_heads"),
        ("{}", "describes no decoder"),
    ],
)
def test_a_config_that_is_cut_huge_or_lacks_keys_is_refused_in_words(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config.json").write_text(text, errors="surrogateescape")

    with pytest.raises(SpecError) as caught:
        read_model(tmp_path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/config.json: ")
    assert caught.value.exit_code is ExitCode.USAGE


def test_an_index_that_is_cut_and_a_folder_that_is_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read: No such file"):
        read_model(tmp_path / "none")
    (tmp_path / "config.json").write_text(json.dumps(QWEN))
    (tmp_path / "model.safetensors.index.json").write_text('{"metadata": ')
    with pytest.raises(SpecError, match=r"index\.json: is cut"):
        read_model(tmp_path)


@pytest.mark.parametrize(
    ("config", "problem", "message"),
    [
        (None, "config.json is cut or is no JSON", "config.json is cut or is no JSON"),
        ({"model_type": "llama", "hidden_size": 1}, "", "lacks num_hidden_layers"),
    ],
)
def test_a_leaders_config_that_is_wrong_is_told_with_its_host(
    config: dict[str, Any] | None, problem: str, message: str
) -> None:
    fleet = Fleet("h1")
    fleet["h1"].config, fleet["h1"].config_problem = config, problem
    draft = planned({**SMALL, "model": "own/model", "tensor_parallel": 1, "pipeline_parallel": 1})

    with pytest.raises(SpecError) as caught:
        read_shape(draft, fleet.hosts, fleet.access)
    assert message in str(caught.value)
    assert "host h1" in str(caught.value)


def test_a_plan_from_a_models_own_files_explains_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(QWEN))
    inventory = tmp_path / "own.yaml"
    inventory.write_text(
        "all: {vars: {deployments: {own: {engine: vllm, model: own/model, hosts: gpu, machine: 4xL40S}}}, "
        "children: {gpu: {hosts: {h1: {ansible_host: 192.0.2.1}}}}}"
    )

    assert cli.run(["plan", "-i", str(inventory), "--model-config", str(tmp_path), "--explain"]) == 0
    told = capsys.readouterr().out
    assert "why: model: own/model: qwen2, BF16 weights of unknown size, 4 layers, 6 heads, 2 key-value heads" in told
    assert "why: tp 4: 6 attention heads cannot be divided by tp 4" in told
    assert "why: tp 2 x pp 2: chosen" in told
    assert cli.run(["plan", "-i", str(inventory), "--model-config", str(tmp_path), "--json"]) == 0
    assert any("tp 2 x pp 2: chosen" in line for line in json.loads(capsys.readouterr().out)["explanation"])
    (tmp_path / "config.json").write_text("{")
    assert cli.run(["plan", "-i", str(inventory), "--model-config", str(tmp_path)]) == 5
    assert "is cut or is no JSON" in capsys.readouterr().err


def test_a_refusal_explains_every_division_that_would_fill_the_devices(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inventory = tmp_path / "small.yaml"
    inventory.write_text(
        "all: {vars: {deployments: {r1: {engine: vllm, model: deepseek-ai/DeepSeek-R1, hosts: gpu, machine: 2xH100}}}, "
        "children: {gpu: {hosts: {h1: {ansible_host: 192.0.2.1}}}}}"
    )

    assert cli.run(["plan", "-i", str(inventory), "--explain"]) == 5
    told = capsys.readouterr().err
    assert "why: tp 2: 320.6 GiB of weights per device do not fit" in told
    assert "why: tp 1 x pp 2: 320.6 GiB of weights per device do not fit" in told
    assert told.index("why: tp 2") < told.index("error: deployment r1 cannot be divided as asked")

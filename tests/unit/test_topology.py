"""How models are divided: legal numbers win, illegal ones are refused with the reason, auto fills the hosts."""

from __future__ import annotations

from typing import Any

import pytest

from r1fleet.errors import SpecError
from r1fleet.spec import Deployment
from r1fleet.topology import (
    MODELS,
    Gang,
    Machine,
    Parallelism,
    Site,
    declared_machine,
    known_shape,
    machine_of,
    model_shape,
    plan_gangs,
)

R1 = "deepseek-ai/DeepSeek-R1"
DISTILL = "deepseek-ai/DeepSeek-R1-Distill-"
GIB = 1024**3


def plan(model: str, hosts: int = 1, **more: Any) -> tuple[Gang, ...]:
    deployment = Deployment.model_validate({"engine": "vllm", "model": model, "hosts": "gpu", **more})
    sites = [Site(f"h{number}", f"10.0.0.{number}", "eth0") for number in range(1, hosts + 1)]
    return plan_gangs("r1", deployment, sites, shape=known_shape(model))


def ways(model: str, hosts: int = 1, **more: Any) -> tuple[int, int]:
    parallel = plan(model, hosts, **more)[0].parallel
    return parallel.tensor, parallel.pipeline


def refusal(model: str, hosts: int = 1, **more: Any) -> str:
    with pytest.raises(SpecError) as caught:
        plan(model, hosts, **more)
    return str(caught.value)


@pytest.mark.parametrize(
    ("model", "hosts", "machine", "expected"),
    [
        (R1, 1, "8xH200", (8, 1)),
        (R1, 2, "8xH200", (16, 1)),
        (R1, 4, "8xH100", (16, 2)),
        (R1, 1, "8xH20", (8, 1)),
        (DISTILL + "Qwen-1.5B", 1, "1x4070 Ti Super", (1, 1)),
        (DISTILL + "Qwen-7B", 1, "4xL40S", (4, 1)),
        (DISTILL + "Qwen-7B", 1, "8xL40S", (4, 2)),
        (DISTILL + "Llama-70B", 2, "8xL40S", (16, 1)),
        (DISTILL + "Qwen-32B", 1, "2xH100-80G", (2, 1)),
    ],
)
def test_auto_fills_the_hosts_with_the_widest_legal_tensor_parallel(
    model: str, hosts: int, machine: str, expected: tuple[int, int]
) -> None:
    assert ways(model, hosts, machine=machine) == expected


def test_auto_says_when_fewer_hosts_would_do() -> None:
    assert "1 host would do: consider replicas: 2" in plan(R1, 2, machine="8xH200")[0].reasons
    assert not [text for text in plan(R1, 2, machine="8xH100")[0].reasons if "would do" in text]


def test_auto_says_when_fewer_devices_would_do() -> None:
    assert "1 of the 8 devices would do: set tensor_parallel" in plan(DISTILL + "Llama-8B", machine="8xH200")[0].reasons


def test_a_legal_number_wins_and_idle_devices_are_told() -> None:
    gang = plan(DISTILL + "Qwen-1.5B", machine="8xH200", tensor_parallel=1)[0]

    assert gang.parallel == Parallelism(1, 1)
    assert "7 of 8 devices stay idle" in gang.reasons


def test_a_written_tensor_parallel_leaves_several_hosts_to_the_pipeline() -> None:
    gang = plan(R1, 2, machine="8xH200", tensor_parallel=8)[0]

    assert gang.parallel == Parallelism(8, 2)
    assert [node.devices for node in gang.nodes] == [8, 8]
    assert "61 layers do not divide evenly into 2 stages" in gang.reasons


def test_fp8_blocks_forbid_tp_32_and_name_the_nearest_plan() -> None:
    text = refusal(R1, 4, machine="8xH200", tensor_parallel=32)

    assert "FP8 blocks of 128: 18432/32 = 576 is not divisible by 128" in text
    assert "FP8 blocks of 128: 2048/32 = 64 is not divisible by 128" in text
    assert "the nearest legal plan is tensor_parallel 16, pipeline_parallel 2" in text


@pytest.mark.parametrize(
    ("model", "number", "reason"),
    [
        (DISTILL + "Qwen-7B", 8, "28 attention heads cannot be divided by tp 8"),
        (DISTILL + "Qwen-1.5B", 8, "12 attention heads cannot be divided by tp 8"),
        (R1, 3, "128 attention heads cannot be divided by tp 3"),
    ],
)
def test_heads_must_divide(model: str, number: int, reason: str) -> None:
    assert reason in refusal(model, machine="8xH200", tensor_parallel=number)


@pytest.mark.parametrize(
    ("model", "machine", "hosts"),
    [
        (R1, "8xH100", 1),
        (R1, "8xL40S", 1),
        (DISTILL + "Qwen-7B", "1x4070 Ti Super", 1),
        (DISTILL + "Llama-70B", "1xH200", 1),
    ],
)
def test_weights_that_leave_no_room_are_refused(model: str, machine: str, hosts: int) -> None:
    text = refusal(model, hosts, machine=machine)

    assert "of weights per device do not fit" in text
    assert "no other division fits either" in text


def test_a_length_whose_cache_does_not_fit_is_refused() -> None:
    assert "of cache for one sequence of 131072 tokens" in refusal(
        DISTILL + "Qwen-14B", machine="1xL40S", max_model_len=131072
    )
    assert ways(DISTILL + "Qwen-14B", machine="1xL40S", max_model_len=32768) == (1, 1)


def test_more_devices_than_there_are_is_refused() -> None:
    assert "tp 16 needs 16 devices; 1 host has 8" in refusal(R1, machine="8xH200", tensor_parallel=16)


def test_what_does_not_spread_evenly_over_the_hosts_is_refused() -> None:
    text = refusal(DISTILL + "Llama-8B", 3, machine="1xH200", tensor_parallel=2, pipeline_parallel=1)

    assert "tp 2 takes 2 devices, which cannot be spread evenly over 3 hosts" in text


def test_replicas_divide_the_hosts_into_equal_consecutive_parts() -> None:
    gangs = plan(R1, 4, machine="8xH200", replicas=2)

    assert [[node.host for node in gang.nodes] for gang in gangs] == [["h1", "h2"], ["h3", "h4"]]
    assert [gang.leader.host for gang in gangs] == ["h1", "h3"]
    assert [[node.rank for node in gang.nodes] for gang in gangs] == [[0, 1], [0, 1]]


def test_hosts_that_make_no_equal_parts_are_refused() -> None:
    text = refusal(R1, 4, machine="8xH200", replicas=3)

    assert "4 hosts cannot be divided into 3 equal replicas" in text
    assert "replicas can be 1, 2, 4" in text


def test_a_vastai_server_holds_tp_32_by_itself() -> None:
    gang = plan(R1, machine="8xVA16", accelerator="vastai")[0]

    assert (gang.parallel, len(gang.nodes), gang.leader.devices) == (Parallelism(32, 1), 1, 32)
    assert ways(R1, machine="16xVA16", accelerator="vastai") == (32, 2)


def test_vastai_cards_do_not_work_together_across_hosts() -> None:
    text = refusal(R1, 2, machine="8xVA16", accelerator="vastai")

    assert "no tensor or pipeline parallel across hosts" in text
    assert "set replicas: 2" in text
    assert len(plan(R1, 2, machine="8xVA16", accelerator="vastai", replicas=2)) == 2


def test_deepseek_on_vastai_runs_with_tp_32_only() -> None:
    assert "with tp 32 only, not tp 16" in refusal(R1, machine="8xVA16", accelerator="vastai", tensor_parallel=16)


def test_a_cpu_host_is_one_device() -> None:
    gang = plan("tiny", 2, accelerator="cpu")[0]

    assert (gang.parallel, [node.devices for node in gang.nodes]) == (Parallelism(2, 1), [1, 1])


def test_what_vllm_on_cpu_cannot_do_is_refused() -> None:
    assert "pipeline parallel in eager mode" in refusal("tiny", 2, accelerator="cpu", pipeline_parallel=2)
    assert "expert parallel" in refusal("tiny", 2, accelerator="cpu", expert_parallel=2)


def test_experts_must_be_there_and_divide() -> None:
    assert "needs a model with experts" in refusal(DISTILL + "Qwen-14B", machine="8xH200", expert_parallel=8)
    assert "256 experts cannot be divided by ep 3" in refusal(R1, machine="8xH200", expert_parallel=3)


def test_expert_parallel_regroups_the_devices_as_each_engine_does() -> None:
    assert plan(R1, machine="8xH200", expert_parallel=8)[0].parallel == Parallelism(8, expert=8)
    assert "vLLM's expert parallel is always tp x dp = 8, not 4" in refusal(
        R1, machine="8xH200", tensor_parallel=8, expert_parallel=4
    )
    assert plan(R1, machine="8xH200", engine="sglang", expert_parallel=4)[0].parallel == Parallelism(8, expert=4)
    assert "SGLang's expert parallel 3 does not divide tp 8" in refusal(
        R1, machine="8xH200", engine="sglang", tensor_parallel=8, expert_parallel=3
    )


def test_data_parallel_multiplies_the_devices() -> None:
    gang = plan(DISTILL + "Qwen-14B", machine="8xH200", data_parallel=2)[0]

    assert gang.parallel == Parallelism(4, 1, 2)


def test_unknown_devices_are_an_error_only_where_auto_needs_them() -> None:
    assert "how many devices its hosts have is not known" in refusal(R1, 2)
    assert ways("unknown/model", 2, tensor_parallel=16, pipeline_parallel=1) == (16, 1)


def test_an_unknown_model_is_planned_and_said_not_to_be_checked() -> None:
    assert (
        "the model's shape is not known: divisibility and memory were not checked"
        in plan("unknown/model", machine="8xH200")[0].reasons
    )


def test_facts_beat_nothing_and_must_agree_with_each_other_and_the_declaration() -> None:
    deployment = Deployment.model_validate({"engine": "vllm", "model": R1, "hosts": "gpu"})
    eight, four = (machine_of(["NVIDIA H200"] * count, [140 * GIB] * count) for count in (8, 4))

    told = plan_gangs("r1", deployment, [Site("h1", machine=eight)], shape=known_shape(R1))
    assert told[0].parallel.tensor == 8
    with pytest.raises(SpecError, match="its hosts differ: h1 has 8 x H200, h2 has 4 x H200"):
        plan_gangs("r1", deployment, [Site("h1", machine=eight), Site("h2", machine=four)], shape=None)
    declared = deployment.model_copy(update={"machine": "8xH200"})
    with pytest.raises(SpecError, match="declares 8 x H200 a host, but h1 has 4 x H200"):
        plan_gangs("r1", declared, [Site("h1", machine=four)], shape=None)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.1.1", "::1", "localhost"])
def test_a_loopback_rendezvous_is_refused_for_several_hosts_only(address: str) -> None:
    deployment = Deployment.model_validate({"engine": "vllm", "model": "m", "hosts": "g", "accelerator": "cpu"})

    with pytest.raises(SpecError, match="every host's own loopback"):
        plan_gangs("r1", deployment, [Site("h1", address), Site("h2", "10.0.0.2")], shape=None)
    assert plan_gangs("r1", deployment, [Site("h1", address)], shape=None)[0].leader.address == address


@pytest.mark.parametrize(
    ("text", "devices", "name"),
    [("8xH200", 8, "H200"), ("2 x RTX 4090", 2, "RTX 4090"), ("8xVA16", 32, "VA16"), ("4xSomething", 4, "Something")],
)
def test_declared_machines(text: str, devices: int, name: str) -> None:
    machine = declared_machine(text)

    assert (machine.devices, machine.name) == (devices, name)


@pytest.mark.parametrize("text", ["H200", "0xH200", "eightxH200", "8x"])
def test_a_machine_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="is not of the form 8xH200"):
        declared_machine(text)


def test_a_driver_that_tells_no_memory_leaves_it_unknown() -> None:
    assert machine_of(["NVIDIA GB10"], [None]) == Machine(1, "GB10", None, True, "nvfp4", "nvidia")
    assert machine_of([], []) is None


def test_a_models_own_config_tells_the_same_as_the_table() -> None:
    config = {
        "model_type": "deepseek_v3",
        "max_position_embeddings": 163840,
        "hidden_size": 7168,
        "num_hidden_layers": 61,
        "num_attention_heads": 128,
        "num_key_value_heads": 128,
        "qk_nope_head_dim": 128,
        "intermediate_size": 18432,
        "vocab_size": 129280,
        "n_routed_experts": 256,
        "moe_intermediate_size": 2048,
        "first_k_dense_replace": 3,
        "kv_lora_rank": 512,
        "qk_rope_head_dim": 64,
        "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
    }

    assert model_shape(config, weight_bytes=688_586_727_753) == known_shape(R1)


def test_a_config_that_describes_no_decoder_has_no_shape() -> None:
    assert model_shape({"model_type": "clip"}) is None
    assert model_shape({"hidden_size": "128", "num_hidden_layers": 2}) is None


def test_every_row_of_the_model_table_says_where_it_is_from_and_names_are_unique() -> None:
    names = [name for row in MODELS for name in row.names]

    assert len(names) == len(set(names))
    assert all(row.source for row in MODELS)


def test_latent_attention_keeps_its_cache_whole_on_every_rank() -> None:
    shape = known_shape(R1)
    assert shape is not None
    assert shape.kv_bytes(1, tensor=1, pipeline=1) == shape.kv_bytes(1, tensor=16, pipeline=1) == 70_272

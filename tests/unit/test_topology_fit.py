"""Where DeepSeek fits: SGLang's own hardware table, the arithmetic of known clusters, and the wanted sequences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from r1fleet.errors import SpecError
from r1fleet.spec import Deployment
from r1fleet.topology import Gang, Parallelism, Site, known_shape, plan_gangs
from r1fleet.topology.divide import divide
from r1fleet.topology.ground import Ground, demand_of
from r1fleet.topology.machines import declared_machine

R1 = "deepseek-ai/DeepSeek-R1"
BF16 = "unsloth/DeepSeek-R1-BF16"
BLOCK_INT8, CHANNEL_INT8 = "meituan/DeepSeek-R1-Block-INT8", "meituan/DeepSeek-R1-Channel-INT8"
W4A8 = "novita/Deepseek-R1-0528-W4AFP8"
AWQ = "cognitivecomputations/DeepSeek-R1-AWQ"
MXFP4, NVFP4 = "amd/DeepSeek-R1-MXFP4-Preview", "nvidia/DeepSeek-R1-FP4"


def ways(model: str, hosts: int, machine: str, **more: Any) -> Parallelism:
    """Divide a model over cards of any vendor: this is arithmetic, not a launch."""
    body = {"engine": "sglang", "model": model, "hosts": "gpu", "machine": machine, **more}
    deployment = Deployment.model_validate(body)
    ground = Ground(hosts, declared_machine(machine), known_shape(model), "sglang", "nvidia", demand_of(deployment))
    return divide("r1", deployment, ground).ways


def plan(model: str, hosts: int = 1, **more: Any) -> Gang:
    deployment = Deployment.model_validate({"engine": "sglang", "model": model, "hosts": "gpu", **more})
    sites = [Site(f"h{number}", f"10.0.0.{number}", "eth0") for number in range(1, hosts + 1)]
    return plan_gangs("r1", deployment, sites, shape=known_shape(model))[0]


def refusal(model: str, hosts: int = 1, **more: Any) -> str:
    with pytest.raises(SpecError) as caught:
        plan(model, hosts, **more)
    return str(caught.value)


# fmt: off
SGLANG_TABLE = [
    (R1, 1, "8xH200"), (R1, 1, "8xB200"), (R1, 1, "8xMI300X"),
    (R1, 2, "8xH100"), (R1, 2, "8xH800"), (R1, 2, "8xH20"),
    (BF16, 2, "8xH200"), (BF16, 2, "8xMI300X"),
    (BF16, 4, "8xH100"), (BF16, 4, "8xH800"), (BF16, 4, "8xH20"), (BF16, 4, "8xA100"), (BF16, 4, "8xA800"),
    (BLOCK_INT8, 2, "8xA100"), (CHANNEL_INT8, 2, "8xA800"), (CHANNEL_INT8, 4, "8xL40S"),
    (W4A8, 1, "8xH20"), (W4A8, 1, "8xH100"), (W4A8, 1, "4xH200"),
    (AWQ, 1, "8xH100"), (AWQ, 1, "8xH800"), (AWQ, 1, "8xH20"), (AWQ, 1, "8xA100"), (AWQ, 1, "8xA800"),
    (MXFP4, 1, "8xMI355X"), (MXFP4, 1, "4xMI350X"),
    (NVFP4, 1, "8xB200"), (NVFP4, 1, "4xB200"),
]
# fmt: on


@pytest.mark.parametrize(("model", "hosts", "machine"), SGLANG_TABLE)
def test_every_set_up_of_sglangs_table_is_legal_and_uses_all_its_cards(model: str, hosts: int, machine: str) -> None:
    cards = hosts * int(machine.partition("x")[0])

    assert ways(model, hosts, machine).world == cards


@pytest.mark.parametrize("machine", ["2xXeon 6980P", "8xAtlas 800I A3"])
def test_machines_of_the_table_whose_memory_is_not_known_here_are_not_contradicted(machine: str) -> None:
    assert ways(R1, 1, machine).world == int(machine.partition("x")[0])


# fmt: off
FITS = [
    (R1, 1, "8xH200", "57%"), (R1, 1, "8xH20-3e", "57%"), (R1, 1, "8xH20", "84%"), (R1, 2, "8xH20", "42%"),
    (R1, 2, "8xH100", "50%"), (R1, 2, "8xH200", "29%"), (R1, 1, "8xB200", "45%"),
    (BF16, 2, "8xH20", "82%"), (BF16, 2, "8xH200", "56%"), (BF16, 4, "8xH100", "49%"), (BF16, 4, "8xA100", "49%"),
    (BF16, 1, "8xB200", "87%"),
]
NO_FIT = [
    (R1, 1, "8xH100"), (BF16, 1, "8xH200"), (BF16, 1, "8xH20"), (BF16, 2, "8xH100"),
    (R1, 1, "8xL40S"), (R1, 1, "8xRTX 4090"), (R1, 1, "8xRTX 5090"),
]
# fmt: on


@pytest.mark.parametrize(("model", "hosts", "machine", "share"), FITS)
def test_clusters_that_hold_the_weights(model: str, hosts: int, machine: str, share: str) -> None:
    weights = next(text for text in plan(model, hosts, machine=machine).reasons if "of weights per device" in text)

    assert f", {share} of " in weights
    assert ("tight" in weights) == (int(share.rstrip("%")) > 75)


@pytest.mark.parametrize(("model", "hosts", "machine"), NO_FIT)
def test_clusters_that_do_not(model: str, hosts: int, machine: str) -> None:
    assert "of weights per device do not fit" in refusal(model, hosts, machine=machine)


@pytest.mark.parametrize(("hosts", "machine"), [(1, "8xA100"), (4, "8xA100"), (2, "8xA800")])
def test_fp8_weights_on_cards_without_it_are_refused_with_what_to_use(hosts: int, machine: str) -> None:
    assert "A100 has no native FP8: use weights cast to BF16, INT8 or AWQ" in refusal(R1, hosts, machine=machine)
    distill = "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B"
    assert "has no native FP8" in refusal(distill, 1, machine=machine, args={"quantization": "fp8"})


def test_a_cast_that_still_says_fp8_is_refused() -> None:
    shape = known_shape(R1)
    assert shape is not None
    deployment = Deployment.model_validate({"engine": "vllm", "model": "own/cast", "hosts": "gpu", "machine": "8xB200"})
    cast = replace(shape, weight_bytes=1_342_000_000_000)

    with pytest.raises(SpecError, match="a cast must drop `quantization_config`"):
        plan_gangs("r1", deployment, [Site("h1", "10.0.0.1")], shape=cast)


def test_four_bit_floats_need_cards_that_multiply_them() -> None:
    assert "H200 does not multiply NVFP4" in refusal(NVFP4, machine="8xH200")


def test_fp8_weights_over_32_cards_are_divided_by_pipeline_too() -> None:
    assert plan(R1, 4, machine="8xH100").parallel == Parallelism(16, 2)
    assert plan(BF16, 4, machine="8xH100").parallel == Parallelism(32)


def test_the_part_of_memory_that_args_allow_is_respected() -> None:
    assert plan(R1, machine="8xH20", args={"mem-fraction-static": 0.9}).parallel == Parallelism(8)
    text = refusal(R1, machine="8xH20", args={"mem_fraction_static": 0.8})
    assert "80.2 GiB of weights per device leave nothing for the cache under mem-fraction-static 0.8" in text


def test_the_wanted_sequences_count() -> None:
    wanted: dict[str, Any] = {
        "machine": "8xH200",
        "max_model_len": 131072,
        "tensor_parallel": 8,
        "pipeline_parallel": 1,
    }

    assert "8.6 GiB of cache per device for one sequence of 131072 tokens" in plan(R1, **wanted).reasons
    text = refusal(R1, **wanted, concurrency=7)
    assert "80.2 GiB of weights and 60.0 GiB of cache for 7 sequences of 131072 tokens exceed 92%" in text
    assert "the nearest legal plan is tensor_parallel 4, pipeline_parallel 2" in text


def test_a_smaller_cache_number_and_attention_groups_make_room() -> None:
    wanted: dict[str, Any] = {"machine": "8xH200", "max_model_len": 131072, "concurrency": 8, "tensor_parallel": 8}

    assert plan(R1, **wanted, args={"kv-cache-dtype": "fp8_e5m2"}).parallel == Parallelism(8)
    assert plan(R1, **wanted, attention_data_parallel=8).parallel == Parallelism(8, attention=8)


def test_weights_rewritten_to_fp8_take_half() -> None:
    model = "deepseek-ai/DeepSeek-R1-Distill-Llama-70B"

    assert "of weights per device do not fit" in refusal(model, machine="1xH100")
    reasons = plan(model, machine="1xH200", args={"quantization": "fp8"}).reasons
    assert "65.7 GiB of weights per device, 47% of 140.4 GiB" in reasons
    assert any(
        "leave `quantization: fp8` out" in text
        for text in plan(R1, machine="8xH200", args={"quantization": "fp8"}).reasons
    )


def test_a_sequence_longer_than_the_model_was_made_for_is_refused() -> None:
    assert "max_model_len 200000 is longer than the 163840 tokens" in refusal(
        R1, machine="8xH200", max_model_len=200000
    )


def test_attention_groups_divide_the_tensor_parallel() -> None:
    assert "attention dp 3 does not divide tp 8" in refusal(
        R1, machine="8xH200", tensor_parallel=8, attention_data_parallel=3
    )


def test_the_plan_tells_what_else_was_looked_at() -> None:
    told = {str(one.ways): one.refusals for one in plan(R1, 4, machine="8xH200").considered}

    assert "FP8 blocks of 128: 18432/32 = 576 is not divisible by 128" in told["tp 32"]
    assert told["tp 16 x pp 2"] == ()


def test_what_an_engines_version_lacks_is_a_reason() -> None:
    deployment = Deployment.model_validate({"engine": "vllm", "model": R1, "hosts": "gpu", "machine": "8xH200"})
    sites = [Site("h1", "10.0.0.1"), Site("h2", "10.0.0.2")]

    with pytest.raises(SpecError, match=r"vLLM 0\.7\.2 does not join hosts by itself"):
        plan_gangs(
            "r1", deployment, sites, shape=known_shape(R1), lacks={"hosts": "vLLM 0.7.2 does not join hosts by itself"}
        )


def test_only_the_devices_meant_are_counted() -> None:
    assert plan(NVFP4, machine="8xB200", devices=[4, 5, 6, 7]).parallel == Parallelism(4)
    gang = plan("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", machine="8xH200", devices=[2, 3])
    assert (gang.parallel, gang.leader.chosen) == (Parallelism(2), (2, 3))
    assert "there is no device 8: every host has 8 x H200" in refusal(R1, machine="8xH200", devices=[8])


def test_cards_of_another_vendor_are_refused() -> None:
    assert "MI300X is no nvidia device" in refusal(R1, machine="8xMI300X")
    assert "set `accelerator: vastai`" in refusal(R1, machine="8xVA16")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"machine": "8xVA16", "max_model_len": 131072}, "tp 32 holds at most 65536 tokens a sequence, not 131072"),
        ({"machine": "8xVA16", "max_model_len": 65536, "concurrency": 5}, "serves at most 4 sequences at once, not 5"),
        (
            {"machine": "16xVA16", "pipeline_parallel": 2, "args": {"speculative-config": {}}},
            "tp 32 x pp 2 has no speculative decoding",
        ),
        ({"machine": "8xVA16", "model": "deepseek-ai/DeepSeek-V3.2"}, "is not said to run deepseek_v32"),
        (
            {"machine": "8xVA16", "model": "deepseek-ai/DeepSeek-R1-Distill-Llama-8B"},
            "distilled models on its own engine only: use engine: vastgenx",
        ),
        (
            {"machine": "8xVA16", "engine": "vastgenx"},
            "vastgenx serves compiled Qwen and Llama models, not deepseek_v3",
        ),
    ],
)
def test_what_the_vendor_says_of_its_cards_holds(more: dict[str, Any], reason: str) -> None:
    model = more.pop("model", R1)

    assert reason in refusal(model, accelerator="vastai", **{"engine": "vllm"} | more)

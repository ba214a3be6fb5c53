"""Jobs and what is prepared for them: DeepSeek's scripts, offline generation, compiled models, chats."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from r1fleet.cli import main as cli
from r1fleet.errors import SpecError
from r1fleet.launch.check import standing_checks
from r1fleet.launch.plan import Plan
from r1fleet.launch.record import placed
from r1fleet.topology import FROM_FACTS
from tests.guides import planned

SCRIPTS: dict[str, Any] = {"engine": "deepseek", "model": "deepseek-ai/DeepSeek-R1", "machine": "8xH200"}
OFFLINE: dict[str, Any] = {"engine": "vllm", "model": "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "machine": "4xL40S"}
COMPILED: dict[str, Any] = {
    "engine": "vastgenx",
    "accelerator": "vastai",
    "model": "deepseek-ai/DeepSeek-R1-Distill-Llama-8B",
    "machine": "1xVA16",
}


def refusal(body: dict[str, Any], *hosts: str) -> str:
    with pytest.raises(SpecError) as caught:
        planned(body, *hosts)
    return str(caught.value)


def option(plan: Plan, name: str) -> str:
    argv = plan.ranks[0].command.argv
    return argv[argv.index(name) + 1]


def test_each_rank_of_the_scripts_reads_its_own_part_of_what_convert_made() -> None:
    plan = planned(SCRIPTS, "h1", "h2")
    convert = plan.preparations[0].command.argv

    assert (plan.kind, plan.endpoints) == ("job", ())
    assert convert[convert.index("--model-parallel") + 1] == "16"
    assert convert[convert.index("--save-path") + 1] == option(plan, "--ckpt-path")
    assert option(plan, "--ckpt-path") == "/var/lib/r1fleet/weights/deepseek-ai--DeepSeek-R1@main-mp16"


def test_one_host_needs_no_address_but_a_port_of_its_own() -> None:
    argv = planned({**SCRIPTS, "rendezvous_port": 21000}, "h1").ranks[0].command.argv

    assert "--master-addr" not in argv
    assert argv[argv.index("--master-port") + 1] == "21000"


def test_a_model_has_its_own_configuration_of_the_scripts() -> None:
    v31 = planned({**SCRIPTS, "model": "deepseek-ai/DeepSeek-V3.1"}, "h1")

    assert option(v31, "--config").endswith("/configs/config_v3.1.json")
    assert option(planned(SCRIPTS), "--config").endswith("/configs/config_671B.json")


def test_prompts_travel_as_a_file_one_a_line_and_an_input_stays_where_it_is() -> None:
    written = planned({**SCRIPTS, "job": {"prompts": ["Hello", "And you?"]}})
    given = planned({**SCRIPTS, "job": {"input": "/data/questions.txt"}})

    assert [(file.path, file.content) for file in written.ranks[0].files] == [
        ("/var/lib/r1fleet/r1/prompts.txt", "Hello\nAnd you?\n")
    ]
    assert option(written, "--input-file") == "/var/lib/r1fleet/r1/prompts.txt"
    assert option(placed(written, 3), "--input-file") == "/var/lib/r1fleet/r1/generations/3/prompts.txt"
    assert placed(written, 3).ranks[0].files[0].path == "/var/lib/r1fleet/r1/generations/3/prompts.txt"
    assert option(given, "--input-file") == "/data/questions.txt"
    assert "--interactive" in planned(SCRIPTS).ranks[0].command.argv


def test_other_prompts_make_another_plan() -> None:
    first, second = (planned({**SCRIPTS, "job": {"prompts": [prompt]}}) for prompt in ("one", "two"))

    assert first.digest != second.digest


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"model": "deepseek-ai/DeepSeek-R1-Distill-Llama-70B"}, "is a Llama model"),
        ({"model": "deepseek-ai/DeepSeek-V3.2"}, "which has scripts of its own"),
        ({"model": "cognitivecomputations/DeepSeek-R1-AWQ"}, "convert.py reads FP8 or BF16 weights, not int4"),
        ({"prepare": {"experts": 128}}, "convert.py is told 128 experts, and deepseek-ai/DeepSeek-R1 has 256"),
        ({"prepare": {"model_parallel": 3}}, "256 experts cannot be divided by model_parallel 3"),
        ({"prepare": {"model_parallel": 16}}, "would make 16 parts, but generate.py runs as 8 ranks"),
        ({"prepare": {"precision": "int8"}}, "prepare.precision means nothing to DeepSeek's generate.py"),
        ({"args": {"top-k": 1}}, "args cannot be passed on"),
        ({"job": {"top_p": 0.9}}, "generate.py has no top_p"),
        ({"pipeline_parallel": 2, "tensor_parallel": 4}, "DeepSeek's generate.py has no pipeline parallel"),
        ({"api_key": {"env": "K"}}, "a job has no endpoint"),
        ({"accelerator": "cpu", "machine": "1xcpu"}, "is not planned for accelerator cpu"),
        ({"job": {"input": "/a", "prompts": ["b"]}}, "give input or prompts, not both"),
    ],
)
def test_what_the_scripts_cannot_do_is_refused(more: dict[str, Any], message: str) -> None:
    assert message in refusal({**SCRIPTS, **more})


def test_offline_generation_takes_the_engines_options_and_checks_them() -> None:
    plan = planned({**OFFLINE, "max_model_len": 4096, "job": {"prompts": ["Hi"], "max_new_tokens": 16}})
    argv = plan.ranks[0].command.argv

    assert argv[1].endswith("/vllm_generate.py")
    assert " ".join(argv[2:]).endswith(
        "--tensor-parallel-size 4 --max-model-len 4096 --input-file /var/lib/r1fleet/r1/prompts.txt --max-new-tokens 16"
    )
    assert [file.path.rpartition("/")[2] for file in plan.ranks[0].files] == ["vllm_generate.py", "prompts.txt"]
    assert "did you mean max-num-seqs" in refusal({**OFFLINE, "job": {}, "args": {"max-num-seq": 4}})


@pytest.mark.parametrize("engine", ["vllm", "lmdeploy"])
def test_offline_generation_runs_on_one_host(engine: str) -> None:
    assert "on one host" in refusal({**OFFLINE, "engine": engine, "job": {}}, "h1", "h2")


def test_lmdeploys_pipeline_gets_its_args_as_fields() -> None:
    body = {**OFFLINE, "engine": "lmdeploy", "max_model_len": 8192, "job": {}}
    plan = planned({**body, "args": {"cache-max-entry-count": 0.5, "backend": "turbomind"}})

    assert option(plan, "--engine-config") == '{"tp":4,"session_len":8192,"cache_max_entry_count":0.5}'
    assert option(plan, "--backend") == "turbomind"


def test_an_interactive_job_without_a_terminal_is_refused_before_any_host_is_contacted(
    capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    inventory = tmp_path / "jobs.yaml"
    inventory.write_text(
        "all: {vars: {deployments: {chat: {engine: deepseek, model: deepseek-ai/DeepSeek-R1, hosts: gpu, "
        "machine: 8xH200}}}, children: {gpu: {hosts: {h1: {ansible_host: 192.0.2.1}}}}}"
    )
    assert cli.run(["launch", "-i", str(inventory)]) == 5
    told = capsys.readouterr().err
    assert "chat asks a person what to generate" in told
    assert "r1fleet launch --attach, or give it job.input or job.prompts" in told
    assert cli.run(["launch", "--attach", "--detach", "-i", str(inventory)]) == 5


def test_a_chat_is_a_service_and_its_client() -> None:
    body = {"engine": "transformers", "model": "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "machine": "2xRTX 4090"}
    plan = planned({**body, "job": {"temperature": 0.7}, "api_key": None})

    assert (plan.kind, plan.gangs[0].parallel.world) == ("service", 1)
    assert "1 of 2 devices stay idle" in plan.notes
    assert plan.clients[0].argv[-1] == "temperature=0.7"
    assert "takes none" in refusal({**body, "api_key": {"env": "K"}})
    assert "not a list of prompts" in refusal({**body, "job": {"prompts": ["a"]}})
    assert "has no longest sequence to set" in refusal({**body, "max_model_len": 10})
    assert "transformers 5.23 does not join hosts by itself" in refusal(body, "h1", "h2")
    assert "transformers 4.50 is not a version that is known here" in refusal({**body, "engine_version": "4.50"})


def test_a_compiled_model_is_served_from_where_it_was_compiled() -> None:
    plan = planned({**COMPILED, "max_model_len": 4096, "prepare": {"folder": "/data/vacc", "input_len": 2048}})
    compiled = "/data/vacc/DeepSeek-R1-Distill-Llama-8B-fp16-tp4-2048-4096"

    assert option(plan, "--model") == compiled
    assert plan.preparations[-1].command.argv == ("vamc", "compile", f"{compiled}.yaml")
    assert "input_ids: [[2048], [4096]]" in plan.preparations[-1].files[f"{compiled}.yaml"]
    image = plan.ranks[0].process.image
    assert image is not None
    assert image.read_only == (compiled,)
    assert "clients call the model DeepSeek-R1-Distill-Llama-8B-fp16-tp4-2048-4096, as vamc named it" in plan.notes


def test_int8_names_its_calibration_data() -> None:
    notes = planned({**COMPILED, "prepare": {"precision": "int8"}}).notes

    assert any("calibrated with allenai/c4, ceval/ceval-exam and yahma/alpaca-cleaned" in note for note in notes)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"model": "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"}, "with the vendor's files laid over it"),
        ({"model": "deepseek-ai/DeepSeek-R1"}, "use engine: vllm"),
        ({"accelerator": "nvidia", "machine": "1xH200"}, "set `accelerator: vastai`"),
        ({"prepare": {"input_len": 4096}}, "input_len 4096 is longer than max_model_len 2048"),
        ({"prepare": {"experts": 1}}, "its keys are folder, precision, input_len, overlay"),
        ({"args": {"llm_devices": "[0]"}}, "use the deployment's key devices"),
        ({"args": {"batchsize": 8}}, "did you mean batch-size"),
        ({"job": {}}, "planned as a service only"),
    ],
)
def test_what_vastgenx_cannot_do_is_refused(more: dict[str, Any], message: str) -> None:
    assert message in refusal({**COMPILED, **more})


LLMDEPLOY: dict[str, Any] = {
    **COMPILED,
    "engine": "llmdeploy",
    "venv": "/opt/llmdeploy",
    "args": {"model_deploy_config": "/w/m_deploy.json", "tp_elf_path_list": ["/opt/elf"]},
}


def test_llmdeploy_is_started_by_a_file_that_the_plan_writes() -> None:
    plan = planned({**LLMDEPLOY, "bind": "10.0.0.5", "max_model_len": 4096, "rendezvous_port": 21000})
    argv = plan.ranks[0].command.argv
    written = yaml.safe_load(next(file.content for file in plan.ranks[0].files if file.path == argv[-1]))

    assert argv[:2] == ("/opt/llmdeploy/bin/llmdeploy", "api")
    assert plan.preparations[-1].command.argv[:2] == ("/opt/llmdeploy/bin/vamc", "compile")
    assert written["api"] == {"server_host": "10.0.0.5", "server_port": 7863}
    assert written["model"]["model_name"] == "DeepSeek-R1-Distill-Llama-8B-fp16-tp4-1024-4096"
    assert written["model"]["tp_device_ids_list"] == [0, 1, 2, 3]
    assert (written["model"]["publish_port"], written["model"]["subscribe_port"]) == (21000, 21001)
    assert written["model"]["max_answer_tokens"] == 4096


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"args": {}}, "llmdeploy needs args.model_deploy_config"),
        ({"args": {"model_deploy_config": "/m"}}, "llmdeploy needs args.tp_elf_path_list"),
        ({"args": {**LLMDEPLOY["args"], "tok_k": 2}}, "did you mean top-k"),
        ({"args": {**LLMDEPLOY["args"], "server_port": 1}}, "use the deployment's key port"),
        ({"accelerator": "nvidia", "machine": "1xH200"}, "LMDeploy, for NVIDIA's, is engine: lmdeploy"),
        ({"engine_version": "1.5"}, "the oldest known is 1.6"),
    ],
)
def test_what_llmdeploy_cannot_do_is_refused(more: dict[str, Any], message: str) -> None:
    assert message in refusal({**LLMDEPLOY, **more})


def test_vastgenx_spells_its_options_with_underscores() -> None:
    argv = (
        planned({**COMPILED, "devices": [4, 5, 6, 7], "machine": "2xVA16", "args": {"batch-size": 8}}).ranks[0].command
    )

    assert argv.argv[-4:] == ("--llm_devices", "[4,5,6,7]", "--batch_size", "8")
    assert dict(argv.env)["VACC_VISIBLE_DEVICES"] == "4,5,6,7"
    assert FROM_FACTS not in " ".join(argv.argv)


def test_what_a_job_reads_is_looked_for_on_each_host_before_it_starts() -> None:
    given = planned({**SCRIPTS, "job": {"input": "/data/questions.txt"}}, "h1", "h2")
    looked = [row["path"] for row in standing_checks(given, "h2") if row["kind"] == "input"]
    scripts = "/opt/r1fleet/DeepSeek-V3/inference"
    assert looked == [
        f"{scripts}/generate.py",
        "/var/lib/r1fleet/weights/deepseek-ai--DeepSeek-R1@main-mp16",
        f"{scripts}/configs/config_671B.json",
        "/data/questions.txt",
    ]
    offline = planned({**OFFLINE, "job": {"prompts": ["Hello"]}})
    assert [row for row in standing_checks(offline, "h1") if row["kind"] == "input"] == []

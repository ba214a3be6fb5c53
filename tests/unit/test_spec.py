"""What people write about deployments is read once, and every problem is told with its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from r1fleet.errors import ExitCode, SpecError, Where
from r1fleet.inventory.source import Text
from r1fleet.spec import Deployment, SpecErrors, deployments, resolve, weights_dir_of

PLACE = Where("fleet.yaml", 3, 1)
LEAST: dict[str, Any] = {"engine": "vllm", "model": "org/name", "hosts": "gpu"}


class Placed(dict[str, Any]):
    """A mapping that knows where its keys stand, as the inventory's reader makes them."""

    where = PLACE

    def at(self, key: object) -> Where:
        return Where("fleet.yaml", 10 + list(self).index(str(key)), 5)


def problem(body: Mapping[str, Any]) -> str:
    with pytest.raises(SpecError) as caught:
        deployments({"deployments": {"r1": body}})
    return str(caught.value)


def test_the_least_that_can_be_written_has_the_documented_defaults() -> None:
    read = deployments({"deployments": {"r1": LEAST}})["r1"]

    assert (read.accelerator, read.revision, read.replicas, read.tensor_parallel) == ("nvidia", "main", 1, "auto")
    assert (read.bind, read.rendezvous_port, read.user, read.boot) == ("0.0.0.0", 20000, "r1fleet", False)
    assert read.timeouts.model_dump() == {"rendezvous": 300, "load": 3600, "ready": 300}
    assert read.container.ulimits == {"memlock": -1}


def test_no_deployments_are_no_error() -> None:
    assert deployments({}) == {}


def test_an_unknown_key_names_the_nearest_and_its_place() -> None:
    body = Placed(LEAST | {"tensor_paralel": 2})

    assert (
        problem(body) == "fleet.yaml:13:5: unknown key `tensor_paralel` in deployment r1; did you mean tensor_parallel?"
    )


def test_places_come_from_what_was_written_where_rendering_forgot_them() -> None:
    body = LEAST | {"tensor_paralel": 2}

    with pytest.raises(SpecError) as caught:
        deployments({"deployments": {"r1": body}}, places={"deployments": Placed({"r1": Placed(body)})})
    assert caught.value.where == Where("fleet.yaml", 13, 5)


def test_an_unknown_key_of_a_section_names_the_section() -> None:
    text = problem(LEAST | {"container": {"shmsize": "1g"}})

    assert text == "unknown key `shmsize` in container of deployment r1; did you mean shm_size?"


def test_a_key_like_no_other_lists_the_keys() -> None:
    assert "the keys are engine, engine_version" in problem(LEAST | {"zzz": 2})


def test_all_problems_are_told_together() -> None:
    with pytest.raises(SpecErrors) as caught:
        deployments({"deployments": {"r1": LEAST | {"port": 70000, "engine": "vlm"}, "r2": {"engine": "vllm"}}})

    assert [one.what for one in caught.value.problems] == [
        "deployment r1: engine is 'vlm'; it can be sglang, vllm, lmdeploy, deepseek, transformers, vastgenx or "
        "llmdeploy",
        "deployment r1: port is 70000; it must be less than or equal to 65535",
        "deployment r2 has no model",
        "deployment r2 has no hosts",
    ]
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"engine_version": 0.5}, "engine_version is 0.5; it must be text: put it in quotes"),
        ({"tensor_parallel": "two"}, "tensor_parallel is 'two'; it must be a number or auto"),
        ({"tensor_parallel": 0}, "tensor_parallel is 0; it must be a number or auto"),
        ({"port": 0}, "port is 0; it must be greater than or equal to 1"),
        ({"venv": "relative"}, "venv cannot be 'relative'"),
        ({"user": "a b"}, "user cannot be 'a b'"),
        ({"args": 5}, "args is 5; it must be a mapping"),
        ({"boot": "perhaps"}, "boot is 'perhaps'; it must be true or false"),
        ({"env": {"A B": "1"}}, "'A B' is no name for an environment variable"),
        ({"api_key": {"env": "A", "file": "b"}}, "api_key: give exactly one of env, file, prompt"),
        ({"api_key": {}}, "api_key: give exactly one of env, file, prompt"),
        ({"api_key": "sk-secret"}, "api_key"),
        ({"timeouts": {"load": 0}}, "timeouts.load is 0"),
        ({"devices": []}, "devices is []"),
        ({"devices": [1, 1]}, "devices: names a device twice"),
        ({"devices": [-1]}, "devices is -1"),
        ({"concurrency": 0}, "concurrency is 0"),
        ({"attention_data_parallel": "two"}, "attention_data_parallel is 'two'; it must be a number or auto"),
        ({"job": {"temprature": 1}}, "unknown key `temprature` in job of deployment r1; did you mean temperature?"),
        ({"job": {"prompts": ["a\nb"]}}, "job.prompts cannot be 'a\\nb'\n  hint: a prompt is one line of text"),
        ({"job": {"input": "here.txt"}}, "job.input cannot be 'here.txt'"),
        ({"job": {"input": "/a", "prompts": ["b"]}}, "job: give input or prompts, not both"),
        ({"prepare": {"precision": "fp8"}}, "prepare.precision is 'fp8'; it can be fp16 or int8"),
        ({"prepare": {"model_parallel": "x"}}, "prepare.model_parallel is 'x'; it must be a whole number"),
    ],
)
def test_a_wrong_value_is_told_in_words(body: Mapping[str, Any], text: str) -> None:
    assert text in problem(LEAST | dict(body))


def test_a_secret_written_in_place_of_a_reference_is_not_repeated() -> None:
    assert "sk-secret" not in problem(LEAST | {"api_key": "sk-secret"})


@pytest.mark.parametrize("name", ["a b", "../x", "-x", "", "x" * 64])
def test_a_name_that_cannot_name_a_unit_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match="is no name for a deployment"):
        deployments({"deployments": {name: LEAST}})


@pytest.mark.parametrize("name", ["weights", "wheelhouses", "home"])
def test_a_name_that_is_a_folder_of_the_hosts_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match=f"cannot be called {name}"):
        deployments({"deployments": {name: LEAST}})


def test_numbers_in_the_environment_become_text() -> None:
    assert Deployment.model_validate(LEAST | {"env": {"OMP_NUM_THREADS": 4}}).env == {"OMP_NUM_THREADS": "4"}


def resolved(**more: Any) -> Deployment:
    return resolve("r1", Deployment.model_validate(LEAST | more))


def test_defaults_that_depend_on_other_keys() -> None:
    read = resolved(revision="v1")

    assert read.model_path == "/var/lib/r1fleet/weights/org--name@v1"
    assert (read.served_model_name, read.port, read.runtime) == ("org/name", 8000, "venv")
    assert read.venv == "/opt/r1fleet/venvs/vllm"
    assert (resolved(engine="sglang").port, resolved(engine="lmdeploy").port) == (30000, 23333)


def test_weights_may_lie_elsewhere() -> None:
    read = resolve("r1", Deployment.model_validate(LEAST), weights_dir="/data/")

    assert read.model_path == "/data/org--name@main"


def test_folders_of_models_have_one_spelling() -> None:
    assert resolved(model_path="/data//m/").model_path == "/data/m"
    assert resolved(model="//data/./models/x/../m").model_path == "/data/models/m"
    prepared = resolved(prepare={"bf16": True, "folder": "/data/cast/."}).prepare
    assert (prepared.folder, prepared.download) == ("/data/cast", "/var/lib/r1fleet/weights/org--name@main")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"model_path": "~/m"}, "model_path cannot be '~/m'"),
        ({"model_path": "/home/$USER/m"}, "model_path cannot be '/home/$USER/m'"),
        ({"prepare": {"folder": "/$HOME/m"}}, "prepare.folder cannot be '/$HOME/m'"),
        ({"model": "/home/$USER/m"}, "model: '/home/$USER/m' must be an absolute path without $"),
    ],
)
def test_a_folder_that_only_its_host_could_spell_out_is_refused(body: dict[str, Any], text: str) -> None:
    assert text in problem(LEAST | body)


def test_where_models_lie_is_told_plainly_or_with_its_place() -> None:
    assert weights_dir_of({}) == "/var/lib/r1fleet/weights"
    assert weights_dir_of({"weights_dir": "//data//w/"}) == "/data/w"
    with pytest.raises(SpecError, match="weights_dir is '~/w'; it must be an absolute path") as caught:
        weights_dir_of({"weights_dir": "~/w"}, places={"weights_dir": Text("{{ home }}/w", PLACE)})
    assert caught.value.where == PLACE
    with pytest.raises(SpecError, match="weights_dir is 7;"):
        weights_dir_of({"weights_dir": 7})


def test_a_model_may_be_named_by_its_folder() -> None:
    read = resolved(model="/data/models/tiny")

    assert (read.model_path, read.served_model_name) == ("/data/models/tiny", "tiny")


def test_an_image_means_docker_and_a_version_picks_the_official_image() -> None:
    assert resolved(image="x:1").runtime == "docker"
    assert resolved(runtime="docker", engine_version="0.32.0").image == "vllm/vllm-openai:v0.32.0"


def test_docker_without_image_or_version_is_refused() -> None:
    with pytest.raises(SpecError, match="runs in docker and names no image"):
        resolved(runtime="docker")


def test_what_a_container_gets_follows_the_accelerator() -> None:
    assert resolved().container.gpus == "all"
    assert resolved(accelerator="cpu").container.gpus is None
    assert resolved(accelerator="vastai").container.privileged is True
    assert resolved(accelerator="vastai", container={"privileged": False}).container.privileged is False

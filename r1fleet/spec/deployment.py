"""One deployment, as people write it in the inventory's variables."""

from __future__ import annotations

import posixpath
import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

AUTO: Final = "auto"

EngineName = Literal["sglang", "vllm", "lmdeploy", "deepseek", "transformers", "vastgenx", "llmdeploy"]
RuntimeName = Literal["docker", "venv", "unsupervised"]
Accelerator = Literal["nvidia", "vastai", "cpu"]


def plain_path(path: str) -> str:
    """Return the one spelling of an absolute path, by which folders of models are told apart.

    >>> plain_path("//data//weights/./m/")
    '/data/weights/m'
    """
    return "/" + posixpath.normpath(path).lstrip("/")


Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[int, Field(ge=1)]
Ways = Literal["auto"] | Annotated[int, Field(ge=1)]
"""How many ways something is divided: a number, or ``auto``."""

AbsolutePath = Annotated[str, Field(pattern=r"^/[^\x00\n]*$")]
ModelFolder = Annotated[str, Field(pattern=r"^/[^\x00\n$]*$"), AfterValidator(plain_path)]
Text = Annotated[str, Field(min_length=1, pattern=r"^[^\x00\n]*$")]
Account = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")]
ArgValue = bool | int | float | str | list[Any] | dict[str, Any]

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class _Written(BaseModel):
    """What people write: unknown keys are errors, and nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SecretRef(_Written):
    """Where a secret is to be found on the controller: exactly one of env, file, prompt."""

    env: Text | None = None
    file: Text | None = None
    prompt: Literal[True] | Text | None = None

    @model_validator(mode="after")
    def _one_source(self) -> SecretRef:
        if len([value for value in (self.env, self.file, self.prompt) if value is not None]) != 1:
            raise ValueError("give exactly one of env, file, prompt")
        return self


class Container(_Written):
    """How the docker runtime runs the image; what is left out follows the accelerator."""

    shm_size: Text = "32g"
    ipc: Text = "host"
    network: Text = "host"
    publish: tuple[Text, ...] = ()
    ulimits: dict[str, int | Text] = {"memlock": -1}
    volumes: tuple[Text, ...] = ()
    devices: tuple[Text, ...] = ()
    privileged: bool | None = None
    gpus: Text | None = None
    user: Annotated[str, Field(pattern=r"^\d+(:\d+)?$")] | None = None
    keep: bool = False


class Job(_Written):
    """What a job generates: from a file on the hosts, from prompts written here, or else from a person's input.

    What is left out is the engine's own.
    """

    input: AbsolutePath | None = None
    prompts: tuple[Text, ...] = ()
    max_new_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Job:
        if self.input is not None and self.prompts:
            raise ValueError("give input or prompts, not both")
        return self

    @property
    def interactive(self) -> bool:
        """Whether a person types what the model is asked."""
        return self.input is None and not self.prompts


class Prepare(_Written):
    """How a download becomes what the engine reads; ``folder`` is where the result lies on every host.

    ``download`` is filled in: where the download lies, when the engine reads something else.
    """

    folder: ModelFolder | None = None
    download: ModelFolder | None = None
    bf16: bool = False
    experts: Annotated[int, Field(ge=1)] | None = None
    model_parallel: Annotated[int, Field(ge=1)] | None = None
    precision: Literal["fp16", "int8"] = "fp16"
    input_len: Annotated[int, Field(ge=1)] = 1024
    overlay: AbsolutePath | None = None


class Timeouts(_Written):
    """How long, in seconds, each phase of a launch may take."""

    rendezvous: Seconds = 300
    load: Seconds = 3600
    ready: Seconds = 300


class Deployment(_Written):
    """One deployment; unknown keys are errors."""

    engine: EngineName
    engine_version: Annotated[str, Field(pattern=r"^\d+(\.\w+)+([.+-][\w.]+)*$")] | None = None
    accelerator: Accelerator = "nvidia"
    model: Text
    revision: Text = "main"
    model_path: ModelFolder | None = None
    served_model_name: Text | None = None
    hosts: Text
    replicas: Annotated[int, Field(ge=1)] = 1
    machine: Text | None = None
    tensor_parallel: Ways = AUTO
    pipeline_parallel: Ways = AUTO
    data_parallel: Ways = AUTO
    expert_parallel: Ways = AUTO
    attention_data_parallel: Ways = AUTO
    max_model_len: Annotated[int, Field(ge=1)] | None = None
    concurrency: Annotated[int, Field(ge=1)] = 1
    devices: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] | None = None
    instead_of: tuple[Text, ...] = ()
    runtime: RuntimeName | None = None
    image: Text | None = None
    venv: AbsolutePath | None = None
    scripts: AbsolutePath | None = None
    bind: Text = "0.0.0.0"
    port: Port | None = None
    rendezvous_port: Port = 20000
    api_key: SecretRef | None = None
    env: dict[str, str] = Field(default_factory=dict)
    args: dict[str, ArgValue] = Field(default_factory=dict)
    container: Container = Field(default_factory=Container)
    job: Job | None = None
    prepare: Prepare = Field(default_factory=Prepare)
    user: Account = "r1fleet"
    boot: bool = False
    restarts: Annotated[int, Field(ge=0)] = 0
    log_limit: Annotated[str, Field(pattern=r"^(0|\d+[mg])$")] = "1g"
    timeouts: Timeouts = Field(default_factory=Timeouts)

    @property
    def environment_on_host(self) -> bool:
        """Whether the engine's environment lies on the host: ranks run from it, or a volume brings it in."""
        if self.runtime != "docker":
            return True
        pairs = (volume.split(":") for volume in self.container.volumes)
        brought = [pair[0].rstrip("/") for pair in pairs if len(pair) > 1 and pair[0] == pair[1]]
        return self.venv is not None and any(f"{self.venv}/".startswith(f"{folder}/") for folder in brought)

    @field_validator("model")
    @classmethod
    def _plain_where_a_folder(cls, value: str) -> str:
        if value.startswith("/") and "$" in value:
            raise ValueError(f"{value!r} must be an absolute path without $")
        return plain_path(value) if value.startswith("/") else value

    @field_validator("devices")
    @classmethod
    def _each_once(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and len(set(value)) != len(value):
            raise ValueError("names a device twice")
        return value

    @field_validator("env", mode="before")
    @classmethod
    def _numbers_are_text(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {name: str(item) if type(item) in (int, float) else item for name, item in value.items()}

    @field_validator("env")
    @classmethod
    def _names_of_variables(cls, value: dict[str, str]) -> dict[str, str]:
        wrong = [name for name in value if not _VARIABLE.match(name)]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is no name for an environment variable")
        return value

"""Which engines this version can plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from r1fleet.engines.deepseek import DeepSeek
from r1fleet.engines.interface import Engine
from r1fleet.engines.llmdeploy import LLMDeploy
from r1fleet.engines.lmdeploy import LMDeploy
from r1fleet.engines.sglang import SGLang
from r1fleet.engines.transformers import Transformers
from r1fleet.engines.vastgenx import VastGenX
from r1fleet.engines.vllm import VLLM
from r1fleet.errors import SpecError

ENGINES: Final[Mapping[str, Engine]] = {
    engine.name: engine
    for engine in (VLLM(), SGLang(), LMDeploy(), DeepSeek(), Transformers(), VastGenX(), LLMDeploy())
}


def engine_of(name: str) -> Engine:
    """Return the adapter of an engine; a name without one is an error."""
    engine = ENGINES.get(name)
    if engine is None:
        raise SpecError(
            f"engine {name} is not supported by this version", hint="this version plans " + ", ".join(ENGINES)
        )
    return engine


def takes_key(name: str) -> bool:
    """Tell whether an engine takes an API key in a way that keeps it secret."""
    try:
        engine_of(name).refuse_secret(name)
    except SpecError:
        return False
    return True

"""How each engine's version spells what a plan sets, as rows of a table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from r1fleet.errors import SpecError

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """From ``since`` on, an engine spells ``setting`` so; ``{}`` stands for the value, None for what it lacks."""

    engine: str
    setting: str
    since: Version
    words: str | None


@dataclass(frozen=True, slots=True)
class Known:
    """The versions of an engine that are known: those with option tables, newest first."""

    label: str
    tables: tuple[str, ...]
    before: str


# fmt: off
KNOWN: Final[Mapping[str, Known]] = {
    "vllm": Known("vLLM", ("0.32", "0.17", "0.7.2", "0.6.6"), "an older one is not known"),
    "sglang": Known("SGLang", ("0.5.23", "0.4.3", "0.4.1"), "an older one is not known"),
    "lmdeploy": Known("LMDeploy", ("0.18", "0.7"), "an older one does not serve DeepSeek-V3"),
    "transformers": Known("transformers", ("5.23",), "an older one has no such server: `transformers serve` is newer"),
    "vastgenx": Known("vastgenx", ("1.2", "1.1"), "before it came llmdeploy: engine: llmdeploy"),
    "llmdeploy": Known("llmdeploy", ("1.6",), "an older one is not known"),
    "deepseek": Known("DeepSeek's generate.py", (), ""),
}
"""What an ``engine_version`` may be: between two tables the older one's spellings hold."""

SPELLINGS: Final[tuple[Row, ...]] = (
    Row("sglang", "program", (0, 4, 1), "python3 -m sglang.launch_server"),
    Row("sglang", "program", (0, 5, 5), "sglang serve"),
    Row("sglang", "model", (0, 4, 1), "--model-path {}"),
    Row("sglang", "name", (0, 4, 1), "--served-model-name {}"),
    Row("sglang", "bind", (0, 4, 1), "--host {}"),
    Row("sglang", "port", (0, 4, 1), "--port {}"),
    Row("sglang", "tensor", (0, 4, 1), "--tp-size {}"),
    Row("sglang", "pipeline", (0, 4, 1), None),
    Row("sglang", "pipeline", (0, 4, 10), "--pp-size {}"),
    Row("sglang", "data", (0, 4, 1), "--dp-size {}"),
    Row("sglang", "expert", (0, 4, 1), "--enable-ep-moe --ep-size {}"),
    Row("sglang", "expert", (0, 5, 5), "--ep-size {}"),
    Row("sglang", "attention", (0, 4, 1), "--enable-dp-attention --dp-size {}"),
    Row("sglang", "attention", (0, 5, 23), "--attn-dp-size {}"),
    Row("sglang", "hosts", (0, 4, 1), "--nnodes {}"),
    Row("sglang", "rank", (0, 4, 1), "--node-rank {}"),
    Row("sglang", "rendezvous", (0, 4, 1), "--dist-init-addr {}"),
    Row("sglang", "length", (0, 4, 1), "--context-length {}"),

    Row("vllm", "program", (0, 6, 6), "vllm serve"),
    Row("vllm", "name", (0, 6, 6), "--served-model-name {}"),
    Row("vllm", "bind", (0, 6, 6), "--host {}"),
    Row("vllm", "port", (0, 6, 6), "--port {}"),
    Row("vllm", "tensor", (0, 6, 6), "--tensor-parallel-size {}"),
    Row("vllm", "pipeline", (0, 6, 6), "--pipeline-parallel-size {}"),
    Row("vllm", "data", (0, 6, 6), None),
    Row("vllm", "data", (0, 8, 5), "--data-parallel-size {}"),
    Row("vllm", "expert", (0, 6, 6), None),
    Row("vllm", "expert", (0, 8, 5), "--enable-expert-parallel"),
    Row("vllm", "attention", (0, 6, 6), None),
    Row("vllm", "hosts", (0, 6, 6), None),
    Row("vllm", "hosts", (0, 11, 1), "--nnodes {}"),
    Row("vllm", "rank", (0, 11, 1), "--node-rank {}"),
    Row("vllm", "rendezvous", (0, 11, 1), "--master-addr {}"),
    Row("vllm", "rendezvous port", (0, 11, 1), "--master-port {}"),
    Row("vllm", "executor", (0, 11, 1), "--distributed-executor-backend mp"),
    Row("vllm", "worker", (0, 11, 1), "--headless"),
    Row("vllm", "length", (0, 6, 6), "--max-model-len {}"),
    Row("vllm", "reasoning", (0, 7, 2), "--enable-reasoning"),
    Row("vllm", "reasoning", (0, 9), ""),

    Row("lmdeploy", "program", (0, 7), "lmdeploy serve api_server"),
    Row("lmdeploy", "name", (0, 7), "--model-name {}"),
    Row("lmdeploy", "bind", (0, 7), "--server-name {}"),
    Row("lmdeploy", "port", (0, 7), "--server-port {}"),
    Row("lmdeploy", "tensor", (0, 7), "--tp {}"),
    Row("lmdeploy", "backend", (0, 7), "--backend {}"),
    Row("lmdeploy", "pipeline", (0, 7), None),
    Row("lmdeploy", "data", (0, 7), None),
    Row("lmdeploy", "attention", (0, 7), None),
    Row("lmdeploy", "attention", (0, 18), "--dp {}"),
    Row("lmdeploy", "expert", (0, 7), None),
    Row("lmdeploy", "expert", (0, 18), "--ep {}"),
    Row("lmdeploy", "hosts", (0, 7), None),
    Row("lmdeploy", "hosts", (0, 18), "--nnodes {}"),
    Row("lmdeploy", "rank", (0, 18), "--node-rank {}"),
    Row("lmdeploy", "rendezvous", (0, 18), "--dist-init-addr {}"),
    Row("lmdeploy", "length", (0, 7), "--session-len {}"),

    Row("transformers", "program", (5, 23), "transformers serve"),
    Row("transformers", "hosts", (5, 23), None),
    Row("transformers", "tensor", (5, 23), None),
    Row("transformers", "pipeline", (5, 23), None),
    Row("transformers", "data", (5, 23), None),
    Row("transformers", "expert", (5, 23), None),
    Row("transformers", "attention", (5, 23), None),
    Row("transformers", "bind", (5, 23), "--host {}"),
    Row("transformers", "port", (5, 23), "--port {}"),

    Row("vastgenx", "program", (1, 1), "vastgenx serve"),
    Row("vastgenx", "hosts", (1, 1), None),
    Row("vastgenx", "pipeline", (1, 1), None),
    Row("vastgenx", "data", (1, 1), None),
    Row("vastgenx", "expert", (1, 1), None),
    Row("vastgenx", "attention", (1, 1), None),
    Row("vastgenx", "model", (1, 1), "--model {}"),
    Row("vastgenx", "bind", (1, 1), "--host {}"),
    Row("vastgenx", "port", (1, 1), "--port {}"),
    Row("vastgenx", "devices", (1, 1), "--llm_devices {}"),

    Row("llmdeploy", "program", (1, 6), "llmdeploy api"),
    Row("llmdeploy", "hosts", (1, 6), None),
    Row("llmdeploy", "pipeline", (1, 6), None),
    Row("llmdeploy", "data", (1, 6), None),
    Row("llmdeploy", "expert", (1, 6), None),
    Row("llmdeploy", "attention", (1, 6), None),

    Row("deepseek", "program", (0,), "torchrun"),
    Row("deepseek", "hosts", (0,), "--nnodes {}"),
    Row("deepseek", "devices", (0,), "--nproc-per-node {}"),
    Row("deepseek", "rank", (0,), "--node-rank {}"),
    Row("deepseek", "rendezvous", (0,), "--master-addr {}"),
    Row("deepseek", "rendezvous port", (0,), "--master-port {}"),
    Row("deepseek", "pipeline", (0,), None),
    Row("deepseek", "data", (0,), None),
    Row("deepseek", "expert", (0,), None),
    Row("deepseek", "attention", (0,), None),
)
# fmt: on


_WITHOUT: Final[Mapping[str, str]] = {
    "hosts": "does not join hosts by itself",
    "tensor": "runs in one process",
    "pipeline": "has no pipeline parallel",
    "data": "has no data parallel",
    "expert": "has no expert parallel",
    "attention": "has no data parallel attention",
}


class Spelling:
    """One engine's version, as it spells things; without a version the newest."""

    def __init__(self, engine: str, version: str | None) -> None:
        self.engine = engine
        self.version = version
        self._rows = {row.setting: row for row in SPELLINGS if row.engine == engine and at_least(version, row.since)}

    def words(self, setting: str, value: object = "") -> tuple[str, ...]:
        """Spell a setting; nothing where the value is None or False."""
        if value is None or value is False:
            return ()
        row = self._rows.get(setting)
        if row is None or row.words is None:
            raise SpecError(f"{self} has no way to say {setting}")
        return tuple(word.replace("{}", str(value)) for word in row.words.split())

    def lacks(self) -> Mapping[str, str]:
        """Say in words which settings this version does not have, by setting."""
        return dict(self._lacks())

    def _lacks(self) -> Iterator[tuple[str, str]]:
        for row in self._rows.values():
            if row.words is None:
                later = [more for more in SPELLINGS if (more.engine, more.setting) == (row.engine, row.setting)][-1]
                since = f": that came with {'.'.join(map(str, later.since))}" if later.words else ""
                yield row.setting, f"{self} {_WITHOUT[row.setting]}{since}"

    def __str__(self) -> str:
        """Name the engine and its version."""
        known = KNOWN[self.engine]
        version = self.version or next(iter(known.tables), "")
        return f"{known.label} {version}".rstrip()


def numbers(version: str) -> Version:
    """Read the numbers of a version, without what follows a plus sign."""
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[+-]|\.?(?:post|dev|rc|a|b)\d", version)[0]))


def at_least(version: str | None, since: Version) -> bool:
    """Tell whether a version is ``since`` or later; an unknown version counts as the newest."""
    return version is None or numbers(version)[: len(since)] >= since


def refuse_unknown(name: str, engine: str, version: str | None) -> None:
    """Refuse a version outside those that are known, and say which are."""
    hint = beyond(engine, version) if version is not None else None
    if hint is not None:
        raise SpecError(
            f"deployment {name}: {KNOWN[engine].label} {version} is not a version that is known here", hint=hint
        )


def beyond(engine: str, version: str) -> str | None:
    """Say how a version lies outside those that are known; None for one between them."""
    known = KNOWN[engine]
    if not known.tables:
        return None
    newest, oldest, told = numbers(known.tables[0]), numbers(known.tables[-1]), numbers(version)
    if told[: len(newest)] > newest:
        return f"the newest known is {known.tables[0]}: leave engine_version out to write for it, and name the image"
    if told[: len(oldest)] < oldest:
        return f"the oldest known is {known.tables[-1]}; {known.before}"
    return None

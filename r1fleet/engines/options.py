"""What users may type under ``args``: option spellings per engine and version, as tables."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

from r1fleet.errors import SpecError


@dataclass(frozen=True, slots=True)
class Moved:
    """A spelling that engines no longer take, or soon will not; ``instead`` is what to write."""

    engine: str
    spelling: str
    instead: str


# fmt: off
MOVED: Final[tuple[Moved, ...]] = (
    Moved("vllm", "enable-reasoning", "leave it out: `reasoning-parser` alone turns reasoning on"),
    Moved("sglang", "enable-ep-moe", "use the deployment's key expert_parallel"),
    Moved("sglang", "enable-dp-attention", "use `attn-dp-size: N`"),
    Moved("sglang", "disable-cuda-graph",
          "use `cuda-graph-backend-decode: disabled` and `cuda-graph-backend-prefill: disabled`"),
)

PARSERS: Final[Mapping[str, Mapping[str, str]]] = {
    "vllm": {"deepseek-r1": "deepseek_r1"},
    "sglang": {"deepseek_r1": "deepseek-r1"},
}
"""Values of ``reasoning-parser`` that are spelled for the other engine."""

TABLES: Final[Mapping[str, tuple[str, ...]]] = {"vllm": ("0.32",), "sglang": ("0.5.23",), "lmdeploy": ("0.18",)}
"""Versions whose options are packaged, newest first."""
# fmt: on


@dataclass(frozen=True, slots=True)
class Spelling:
    """The options of one engine's version; ``switches`` are those that take ``--no-`` for false."""

    version: str
    names: frozenset[str]
    switches: frozenset[str]


@dataclass(frozen=True, slots=True)
class Written:
    """The ``args`` of one deployment, to be checked and spelled for one engine.

    ``owned`` maps an option that the plan sets itself to what to write in its place.
    """

    name: str
    engine: str
    version: str | None
    args: Mapping[str, Any]
    owned: Mapping[str, str]

    def words(self) -> tuple[str, ...]:
        """Return the options as words of a command; raises SpecError for the first wrong one."""
        table = spelling(self.engine, self.version)
        return tuple(word for key, value in self.args.items() for word in self._option(key, value, table))

    def note(self) -> str | None:
        """Tell when no table fits the version, so that nothing was checked."""
        if not self.args or spelling(self.engine, self.version) is not None:
            return None
        return f"args are not checked: no option table for {self.engine} {self.version}"

    def _option(self, key: str, value: Any, table: Spelling | None) -> Iterator[str]:
        option = key.lstrip("-").replace("_", "-")
        self._refuse(key, option, value)
        if table is not None:
            self._check(key, option, table)
        switchable = self.engine == "vllm" if table is None else option in table.switches
        if value is True:
            yield f"--{option}"
        elif value is False:
            if switchable:
                yield f"--no-{option}"
        elif isinstance(value, dict):
            yield from (f"--{option}", json.dumps(value, separators=(",", ":")))
        elif isinstance(value, list):
            yield f"--{option}"
            yield from map(str, value)
        else:
            yield from (f"--{option}", str(value))

    def _refuse(self, key: str, option: str, value: Any) -> None:
        if option in self.owned:
            raise SpecError(
                f"deployment {self.name}: args may not hold {key}: the plan sets it", hint=self.owned[option]
            )
        for row in MOVED:
            if row.engine == self.engine and row.spelling == option:
                raise SpecError(f"deployment {self.name}: {self.engine} has given up --{option}", hint=row.instead)
        other = PARSERS.get(self.engine, {}).get(str(value))
        if option == "reasoning-parser" and other:
            raise SpecError(
                f"deployment {self.name}: {self.engine} has no reasoning parser {value}", hint=f"it is called {other}"
            )

    def _check(self, key: str, option: str, table: Spelling) -> None:
        if option in table.names or option.split(".")[0] in table.names:
            return
        if option.startswith("no-") and option[3:] in table.switches:
            return
        near = difflib.get_close_matches(option, sorted(table.names), n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise SpecError(
            f"deployment {self.name}: {self.engine} {table.version} has no option {key}{meant}",
            hint="if your version has it, set engine_version to that version",
        )


def spelling(engine: str, version: str | None) -> Spelling | None:
    """Return the option table of a version; without a version the newest, None for a version without table."""
    for known in TABLES.get(engine, ()):
        if version is None or version == known or version.startswith(f"{known}."):
            return _table(engine, known)
    return None


def at_least(version: str | None, *numbers: int) -> bool:
    """Tell whether a version is ``numbers`` or later; an unknown version counts as the newest."""
    if version is None:
        return True
    told = tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0])[: len(numbers)])
    return told >= numbers


@cache
def _table(engine: str, version: str) -> Spelling:
    """Read a packaged table: one option a line, a second word ``switch`` where it also has a ``--no-`` form."""
    text = resources.files("r1fleet.engines").joinpath(f"tables/{engine}-{version}.txt").read_text(encoding="utf-8")
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return Spelling(version, frozenset(row[0] for row in rows), frozenset(row[0] for row in rows if row[1:]))

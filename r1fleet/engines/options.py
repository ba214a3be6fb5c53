"""What users may type under ``args``: checked against the option tables of the engine's version."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

from r1fleet.engines.spellings import KNOWN, Version, at_least
from r1fleet.errors import SpecError


@dataclass(frozen=True, slots=True)
class Moved:
    """A spelling that engines no longer take, or soon will not; ``instead`` is what to write."""

    engine: str
    spelling: str
    since: Version
    instead: str


# fmt: off
MOVED: Final[tuple[Moved, ...]] = (
    Moved("vllm", "enable-reasoning", (0, 9), "leave it out: `reasoning-parser` alone turns reasoning on"),
    Moved("sglang", "enable-ep-moe", (0, 4, 1), "use the deployment's key expert_parallel"),
    Moved("sglang", "enable-dp-attention", (0, 4, 1), "use the deployment's key attention_data_parallel"),
    Moved("sglang", "disable-cuda-graph", (0, 5, 23),
          "use `cuda-graph-backend-decode: disabled` and `cuda-graph-backend-prefill: disabled`"),
)

PARSERS: Final[Mapping[str, Mapping[str, str]]] = {
    "vllm": {"deepseek-r1": "deepseek_r1"},
    "sglang": {"deepseek_r1": "deepseek-r1"},
}
"""Values of ``reasoning-parser`` that are spelled for the other engine."""
# fmt: on


@dataclass(frozen=True, slots=True)
class Table:
    """The options of one engine's version, by name with hyphens.

    ``switches`` are those that take ``--no-`` for false; ``written`` has those that the engine writes otherwise.
    """

    version: str
    names: frozenset[str]
    switches: frozenset[str]
    written: Mapping[str, str]


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
        options = self.checked()
        table = table_of(self.engine, self.version)
        return tuple(word for option, value in options.items() for word in self._words(option, value, table))

    def checked(self) -> Mapping[str, Any]:
        """Return the options by their names with hyphens; raises SpecError for the first wrong one."""
        table = table_of(self.engine, self.version)
        found: dict[str, Any] = {}
        for key, value in self.args.items():
            option = plain(key)
            self._refuse(key, option, value)
            if table is not None:
                self._check(key, option, table)
            if option in found:
                raise SpecError(f"deployment {self.name}: args hold {option} twice", hint="write it once")
            found[option] = value
        return found

    def note(self) -> str | None:
        """Tell when no table fits the version, so that nothing was checked."""
        if not self.args or table_of(self.engine, self.version) is not None:
            return None
        return f"args are not checked: no option table for {self.engine} {self.version}"

    def _words(self, option: str, value: Any, table: Table | None) -> Iterator[str]:
        written = table.written.get(option, option) if table else option
        switchable = self.engine == "vllm" if table is None else option in table.switches
        if value is True:
            yield f"--{written}"
        elif value is False:
            if switchable:
                yield f"--no-{written}"
        elif isinstance(value, dict):
            yield from (f"--{written}", json.dumps(value, separators=(",", ":")))
        elif isinstance(value, list):
            yield f"--{written}"
            yield from map(str, value)
        else:
            yield from (f"--{written}", str(value))

    def _refuse(self, key: str, option: str, value: Any) -> None:
        for row in MOVED:
            if (row.engine, row.spelling) == (self.engine, option) and at_least(self.version, row.since):
                raise SpecError(f"deployment {self.name}: {self.engine} has given up --{option}", hint=row.instead)
        if option in self.owned:
            raise SpecError(
                f"deployment {self.name}: args may not hold {key}: the plan sets it", hint=self.owned[option]
            )
        other = PARSERS.get(self.engine, {}).get(str(value))
        if option == "reasoning-parser" and other:
            raise SpecError(
                f"deployment {self.name}: {self.engine} has no reasoning parser {value}", hint=f"it is called {other}"
            )

    def _check(self, key: str, option: str, table: Table) -> None:
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


def plain(key: str) -> str:
    """Return an option's name as tables are asked for it."""
    return key.lstrip("-").replace("_", "-")


def table_of(engine: str, version: str | None) -> Table | None:
    """Return the option table of a version; without a version the newest, None for a version without table."""
    for known in KNOWN[engine].tables:
        if version is None or version == known or version.startswith(f"{known}."):
            return _table(engine, known)
    return None


@cache
def _table(engine: str, version: str) -> Table:
    """Read a packaged table: one option a line, a second word ``switch`` where it also has a ``--no-`` form."""
    text = resources.files("r1fleet.engines").joinpath(f"tables/{engine}-{version}.txt").read_text(encoding="utf-8")
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    names = {plain(row[0]): row[0] for row in rows}
    switches = frozenset(plain(row[0]) for row in rows if row[1:])
    other = {name: written for name, written in names.items() if name != written}
    return Table(version, frozenset(names), switches, other)

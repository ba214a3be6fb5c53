"""A command is a value; quoting happens here and nowhere else."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Part = str | int | float | Mapping[str, object] | Iterable[object] | None


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments and the environment it adds; never a shell string."""

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = field(default=())

    def shell(self) -> str:
        """Quote for a POSIX shell: ``NAME=value program arguments``, on one line."""
        pairs = [f"{name}={shlex.quote(value)}" for name, value in self.env]
        return " ".join([*pairs, shlex.join(self.argv)])

    def lines(self) -> str:
        """Quote for reading: one option a line, ended by backslashes."""
        rows = [f"{name}={shlex.quote(value)}" for name, value in self.env]
        row = ""
        for word in self.argv:
            quoted = shlex.quote(word)
            if word.startswith("-") and row:
                rows.append(row)
                row = quoted
            else:
                row = f"{row} {quoted}".lstrip()
        return " \\\n    ".join([*rows, row])


def cmd(*parts: Part, env: Mapping[str, str] | None = None) -> Command:
    """Build a command: mappings become options, ``True`` a bare flag, ``None`` and ``False`` nothing.

    >>> cmd("docker", "run", {"--name": "r1", "--env": ["A=1", "B=2"], "--rm": True}, "image").argv
    ('docker', 'run', '--name', 'r1', '--env', 'A=1', '--env', 'B=2', '--rm', 'image')
    """
    return Command(tuple(_words(parts)), tuple((env or {}).items()))


def _words(parts: Iterable[object]) -> Iterable[str]:
    for part in parts:
        if part is None:
            continue
        if isinstance(part, Mapping):
            for name, value in part.items():
                yield from _option(str(name), value)
        elif isinstance(part, Iterable) and not isinstance(part, str):
            yield from _words(part)
        else:
            yield str(part)


def _option(name: str, value: object) -> Iterable[str]:
    if value is None or value is False:
        return
    if value is True:
        yield name
    elif isinstance(value, (list, tuple)):
        for single in value:
            yield from (name, str(single))
    else:
        yield from (name, str(value))

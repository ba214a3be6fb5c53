"""The user's and the system's ssh_config, with the ``Include`` lines that paramiko does not know."""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import paramiko

from r1fleet.errors import UsageError

_FILES = (("~/.ssh/config", "~/.ssh"), ("/etc/ssh/ssh_config", "/etc/ssh"))
_DEPTH = 16
_SETTING = re.compile(r"\s*(\w+)\s*(?:=\s*|\s)(.*?)\s*$")


@cache
def ssh_config() -> paramiko.SSHConfig:
    """Read both files, once."""
    config = paramiko.SSHConfig()
    for name, folder in _FILES:
        read_config(config, Path(name).expanduser(), Path(folder).expanduser())
    return config


def read_config(config: paramiko.SSHConfig, path: Path, folder: Path) -> None:
    """Add a file, if it is there, to ``config``; names that it includes are relative to ``folder``."""
    try:
        lines = list(_lines(path, folder, "", 0))
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    try:
        config.parse(io.StringIO("\n".join(["Host *", *lines])))
    except paramiko.ConfigParseError as error:
        raise _unreadable(path, error) from error


def _lines(path: Path, folder: Path, outer: str, depth: int) -> Iterator[str]:
    """Yield a file's lines; what it includes holds only where ``outer`` and its own sections do."""
    if depth > _DEPTH:
        raise UsageError(f"{path} includes itself, or more than {_DEPTH} files deep", hint="take an Include line out")
    section = outer
    for line in path.read_text(encoding="utf-8").splitlines():
        setting = _SETTING.match(line)
        key, value = (setting.group(1).lower(), setting.group(2)) if setting else ("", "")
        if key == "include":
            for found in _found(value, folder):
                yield from _lines(found, folder, section, depth + 1)
            yield _heading(section)
        elif key in ("host", "match"):
            section = _both(outer, _criteria(key, value))
            yield _heading(section)
        else:
            yield line


def _found(patterns: str, folder: Path) -> Iterator[Path]:
    for pattern in shlex.split(patterns):
        path = folder / Path(pattern).expanduser()
        yield from sorted(
            found for found in Path(path.anchor).glob(str(path.relative_to(path.anchor))) if found.is_file()
        )


def _criteria(key: str, value: str) -> str:
    """Return a section's condition as words for ``Match``, nothing where it always holds."""
    if key == "match":
        return "" if value.lower() == "all" else value
    patterns = value.split()
    return "" if patterns == ["*"] else f'originalhost "{",".join(word.strip(chr(34)) for word in patterns)}"'


def _both(outer: str, inner: str) -> str:
    return " ".join(part for part in (outer, inner) if part)


def _heading(criteria: str) -> str:
    return f"Match {criteria}" if criteria else "Host *"


def _unreadable(path: Path, error: Exception) -> UsageError:
    return UsageError(f"{path} cannot be read: {error}", hint="ssh -G localhost shows the same")

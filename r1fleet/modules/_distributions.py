"""Which Python packages are installed, told by the names of their metadata folders."""

from __future__ import annotations

import glob
import os
import re
import site
import sys
from typing import Iterable

from r1fleet.modules._pep440 import fits

_REQUIREMENT = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:===?\s*([^\s;,<>!~=*]+)|([<>!~=][^;@]*))?$")
_OPTION = re.compile(r"\s--hash[= ]\S+")


def normalized(name: str) -> str:
    """Spell a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(requirement: str) -> tuple[str, str | None] | None:
    """Split ``name==version``, ``name>=1,<2`` or a bare name; None for what only pip can judge."""
    match = _REQUIREMENT.match(requirement.strip())
    if match is None or (match.group(3) and fits("1", match.group(3)) is None):
        return None
    return match.group(1), match.group(2) or match.group(3)


def pins_of_file(path: str) -> list[tuple[str, str | None] | None] | None:
    """Read a requirements file; None where it includes others or cannot be read."""
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read().replace("\\\n", " ")
    except (OSError, UnicodeDecodeError):
        return None
    lines = [re.sub(r"(^|\s)#.*$", "", line).strip() for line in text.splitlines()]
    if any(re.match(r"^(-r|-c|-e|--requirement|--constraint|--editable)\b", line) for line in lines):
        return None
    return [pinned(_OPTION.sub("", line)) for line in lines if line and not line.startswith("-")]


def search_path(virtualenv: str | None) -> list[str]:
    """Return the folders in which the environment's (or our own Python's) packages lie."""
    if virtualenv:
        return glob.glob(os.path.join(glob.escape(virtualenv), "lib*", "python3*", "site-packages"))
    # Our own Python runs without these; pip's does not.
    folders = [site.getusersitepackages(), *site.getsitepackages(), *sys.path]
    return [folder for folder in dict.fromkeys(folders) if folder and os.path.isdir(folder)]


def installed(folders: Iterable[str]) -> dict[str, str]:
    """Return versions by normalized name; the first folder that has a package wins, as for imports."""
    found: dict[str, str] = {}
    for folder in folders:
        for entry in os.listdir(folder):
            stem, extension = os.path.splitext(entry)
            if extension not in (".dist-info", ".egg-info") or not _complete(os.path.join(folder, entry), extension):
                continue
            name, _, version = stem.partition("-")
            found.setdefault(normalized(name), re.sub(r"-py3.*$", "", version) or _version(os.path.join(folder, entry)))
    return found


def _complete(path: str, extension: str) -> bool:
    """Tell whether the metadata is whole: pip writes RECORD last, and an interrupted removal leaves it out."""
    return extension == ".egg-info" or os.path.exists(os.path.join(path, "METADATA"))


def _version(path: str) -> str:
    source = os.path.join(path, "PKG-INFO") if os.path.isdir(path) else path
    try:
        with open(source, encoding="utf-8", errors="replace") as stream:
            return next((line[9:].strip() for line in stream if line.startswith("Version: ")), "")
    except OSError:
        return ""


def satisfies(present: str | None, wanted: str | None) -> bool:
    """Tell whether an installed version is the pinned one, or in the range; one without local part takes any."""
    if present is None or wanted is None:
        return present is not None
    if wanted[0] in "<>!~=":
        return bool(fits(present.replace("_", "+", 1), wanted))
    present, wanted = present.lower().replace("_", "+", 1), wanted.lower()
    if "+" not in wanted:
        present = present.partition("+")[0]
    return _trimmed(present) == _trimmed(wanted)


def _trimmed(version: str) -> str:
    """Drop a leading v and zeros at the end of a plain release, which mean nothing."""
    version = version[1:] if version.startswith("v") else version
    return re.sub(r"(\.0)+$", "", version) if re.match(r"^[0-9.]+$", version) else version

"""What is an inventory to Ansible but not to r1fleet: one clear message each."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

from r1fleet.errors import InventoryError, Where

_YAML_HINT = (
    "write it as YAML: all: / hosts: / one key for each host (ansible-inventory -i FILE --list --yaml shows it so)"
)
_INI_SECTION = re.compile(r"\[[\w.-]+(:(vars|children|hosts))?\]\s*([#;].*)?")
_INI_HOST = re.compile(r"[\w.-]+(\[[\w:]+\])?[\w.-]*(\s+\w+=\S+)*\s*([#;].*)?")


def refuse_other_kinds(path: str) -> None:
    """Refuse host lists, folders, programs and files that are not there."""
    if "," in path and not Path(path).exists():
        raise InventoryError(f'"{path}" is a list of hosts, not an inventory file', hint=_YAML_HINT)
    file = Path(path)
    if file.is_dir():
        raise InventoryError(
            "a folder is no inventory: one file is one cluster", where=Where(path), hint=_choices(yaml_files(file))
        )
    if not file.exists():
        raise InventoryError(f"no such inventory: {path}", hint=_nearby(file))
    if not file.is_file():
        raise InventoryError("an inventory must be a file", where=Where(path))
    if os.access(file, os.X_OK) and _begins_with_interpreter(file):
        raise InventoryError("an inventory that is a program is not run", where=Where(path), hint=_YAML_HINT)


def refuse_other_text(path: Path, text: str) -> None:
    """Refuse an empty file and the INI format."""
    numbered = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in numbered if line and not line.startswith(("#", ";")) and line != "---"]
    if not lines:
        raise InventoryError("the inventory is empty", where=Where(str(path)), hint="begin with `all:`")
    number, line = lines[0]
    if _INI_SECTION.fullmatch(line) or (path.suffix != ".json" and _INI_HOST.fullmatch(line)):
        raise InventoryError("this inventory is written as INI", where=Where(str(path), number), hint=_YAML_HINT)


def _begins_with_interpreter(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return stream.read(2) == b"#!"
    except OSError:
        return False  # reading it tells why


def yaml_files(folder: Path) -> list[Path]:
    """Return the YAML files of ``folder``, sorted; none where it cannot be read."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml") and path.is_file())
    except OSError:
        return []


def _nearby(missing: Path) -> str:
    """Name the inventories that may have been meant: beside it, in ``inventories/``, in the working directory."""
    folders = dict.fromkeys((missing.parent, Path("inventories"), Path()))
    found = [path for folder in folders for path in yaml_files(folder)]
    near = difflib.get_close_matches(missing.stem, [path.stem for path in found], n=3)
    return _choices([path for path in found if path.stem in near] or found)


def _choices(found: list[Path]) -> str:
    if not found:
        return "name an inventory file; `r1fleet init` makes examples"
    shown = ", ".join(str(path) for path in found[:8])
    return f"there is {shown}" if len(found) == 1 else f"name one of {shown}"

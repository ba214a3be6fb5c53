"""The door of the engine: a playbook that comes out of here is read, complete and checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from r1fleet.errors import PlaybookError
from r1fleet.inventory import Inventory
from r1fleet.playbook.model import Playbook
from r1fleet.playbook.parse import read_playbook
from r1fleet.playbook.reading import Search


def load_playbook(
    path: Path | str, *, inventory: Inventory, search: Search | None = None, extra_vars: Mapping[str, Any] | None = None
) -> Playbook:
    """Read a playbook and check it; raise one PlaybookError with every problem found. No host is touched."""
    search = search or Search.beside(inventory.path)
    found = search.playbook(str(path))
    if found is None:
        raise PlaybookError(
            f"no such playbook: {path}", hint="give the path of a YAML file, or the name of one in playbooks/"
        )
    return read_playbook(found, search, extra_vars or {})

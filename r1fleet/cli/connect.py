"""How hosts are reached; what that takes is loaded when it is first wanted."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

from r1fleet.transport import Transport


def connector(
    *,
    accept_new: bool = False,
    password: str | None = None,
    modules: Mapping[str, str] = MappingProxyType({}),
) -> Transport:
    """Return the transport of this controller.

    ``accept_new`` learns unknown host keys, ``password`` is for logins whose host names none, ``modules`` maps
    names to sources of the user's own modules.
    """
    # Fabric and paramiko take longer to import than `plan` takes in all, and it connects nowhere.
    connections = importlib.import_module("r1fleet.cli.connections")
    return cast(Transport, connections.Connections(accept_new=accept_new, password=password, modules=modules))

"""What the kernel tells of RDMA adapters, listening ports and names; nothing is connected to."""

from __future__ import annotations

import os
import socket
from typing import Any

from r1fleet.agent.processes import all_listeners
from r1fleet.modules._proc import entries, number, read

_RDMA = "/sys/class/infiniband"
_MOST = 512


def rdma() -> list[dict[str, Any]]:
    """Tell each port of each RDMA adapter: its state, its rate, its network interface, its table of GIDs."""
    found = []
    for device in entries(_RDMA):
        for port in entries("{}/{}/ports".format(_RDMA, device)):
            base = "{}/{}/ports/{}".format(_RDMA, device, port)
            found.append(
                {
                    "device": device,
                    "port": number(port),
                    "state": read(base + "/state").partition(": ")[2],
                    "physical": read(base + "/phys_state").partition(": ")[2],
                    "rate": read(base + "/rate"),
                    "link": read(base + "/link_layer"),
                    "pci": os.path.basename(os.path.realpath("{}/{}/device".format(_RDMA, device))),
                    "interfaces": entries("{}/{}/device/net".format(_RDMA, device)),
                    "gids": _gids(base),
                }
            )
    return found


def _gids(base: str) -> list[dict[str, Any]]:
    found = []
    for index in sorted(entries(base + "/gids"), key=number)[:_MOST]:
        gid = read("{}/gids/{}".format(base, index))
        if gid and gid.replace(":", "").strip("0"):
            kind = read("{}/gid_attrs/types/{}".format(base, index))
            holder = read("{}/gid_attrs/ndevs/{}".format(base, index))
            found.append({"index": number(index), "gid": gid, "kind": kind, "interface": holder})
    return found


def listening() -> list[dict[str, Any]]:
    """Tell every TCP port that something listens on, with the process where it can be seen."""
    return all_listeners()[:_MOST]


def meaning(names: list[str]) -> dict[str, list[str]]:
    """Tell what this host takes names for; a name that means nothing here has no address."""
    found = {}
    for name in names:
        try:
            answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            answers = []
        found[name] = sorted({str(answer[4][0]) for answer in answers})
    return found

"""What a lab hands to its user: an inventory, the hosts' true keys, and a key that opens them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from r1fleet.cache import write_atomic
from r1fleet.lab.disk import true_key
from r1fleet.lab.layout import INTERFACE, USER, Lab
from r1fleet.packaged import packaged

_PACKAGED = packaged("inventories") / "lab" / "deployments.yaml"
_HEADER = "# Written by `r1fleet lab up`, and again each time; your own variables go into group_vars/ beside it.\n"


def write_handout(lab: Lab, extra_vars: Mapping[str, Any] | None) -> None:
    """Write known_hosts and the inventory."""
    lines = [f"{host.name},{host.address} {true_key(host)}\n" for host in lab.hosts]
    write_atomic(lab.known_hosts, "".join(lines))
    lab.inventory.parent.mkdir(exist_ok=True)
    extra = _packaged_vars() if extra_vars is None else extra_vars
    text = yaml.safe_dump(inventory_data(lab, extra), sort_keys=False, allow_unicode=True, width=120)
    write_atomic(lab.inventory, _HEADER + text)


def inventory_data(lab: Lab, extra_vars: Mapping[str, Any]) -> dict[str, Any]:
    """Build the inventory, in the form that Ansible reads."""
    # Quoted twice where it must be: once for the words of the arguments, once for ssh, which takes several files.
    known_hosts = f'"{lab.known_hosts}"' if " " in str(lab.known_hosts) else str(lab.known_hosts)
    variables = {
        "ansible_user": USER,
        "ansible_ssh_private_key_file": str(lab.key),
        "ansible_ssh_common_args": f"-o {shlex.quote(f'UserKnownHostsFile={known_hosts}')}",
        "ansible_python_interpreter": "/usr/bin/python3",
        "r1fleet_interface": INTERFACE,
        "proxy_env": proxy_env(lab),
    }
    hosts = {host.name: {"ansible_host": host.address, "r1fleet_address": host.address} for host in lab.hosts}
    children = {"lab": {"children": {"nodes": {"hosts": hosts}}}}
    return {"all": {"vars": {**variables, **extra_vars}, "children": children}}


def proxy_env(lab: Lab) -> dict[str, str]:
    """Return the environment with which a play's tasks reach packages."""
    direct = ["localhost", "127.0.0.1", lab.prefix, lab.gateway, *(host.address for host in lab.hosts)]
    return {"http_proxy": lab.proxy, "https_proxy": lab.proxy, "no_proxy": ",".join(direct)}


def take_back(lab: Lab) -> None:
    """Remove what was handed out; what the user put beside it stays."""
    for path in (lab.inventory, lab.known_hosts, lab.key, lab.key.with_name(f"{lab.key.name}.pub")):
        path.unlink(missing_ok=True)
    for path in lab.folder.glob("proxy.*"):
        path.unlink()
    remove_if_empty(lab.inventory.parent, lab.folder / "hosts")


def remove_if_empty(*folders: Path) -> None:
    """Remove those folders that hold nothing of the user's."""
    for folder in folders:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _packaged_vars() -> Mapping[str, Any]:
    if not _PACKAGED.is_file():
        return {}
    loaded: Mapping[str, Any] = yaml.safe_load(_PACKAGED.read_text(encoding="utf-8"))
    return loaded

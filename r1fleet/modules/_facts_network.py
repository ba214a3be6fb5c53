"""Facts about network interfaces, addresses and default routes."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.modules import _netlink as netlink
from r1fleet.modules._proc import entries, number, read

_TYPES = {"1": "ether", "32": "infiniband", "512": "ppp", "772": "loopback", "65534": "tunnel"}
_SCOPES = {0: "global", 200: "site", 253: "link", 254: "host"}
_PROMISCUOUS = 0x100


def collect(ctx: Context) -> dict[str, Any]:
    """Tell every interface with its addresses, and which one leads out."""
    names = [name for name in entries("/sys/class/net") if os.path.isdir("/sys/class/net/" + name)]
    found = {name: _interface(name) for name in names}
    numbers = {number(read("/sys/class/net/{}/ifindex".format(name))): name for name in names}
    for address in netlink.addresses():
        name = numbers.get(address.interface)
        if name is not None:
            _add(found[name], address)
    facts: dict[str, Any] = {_key(name): value for name, value in found.items()}
    facts["interfaces"] = names
    facts.update(_defaults(found, numbers))
    facts["all_ipv4_addresses"] = [
        each["address"] for value in found.values() for each in _all4(value) if _public(each)
    ]
    facts["all_ipv6_addresses"] = [
        each["address"] for value in found.values() for each in value.get("ipv6", []) if each["address"] != "::1"
    ]
    return facts


def _key(name: str) -> str:
    """Spell an interface as part of a variable's name."""
    return name.replace("-", "_").replace(":", "_").replace(".", "_")


def _public(entry: dict[str, Any]) -> bool:
    return not entry["address"].startswith("127.")


def _all4(facts: dict[str, Any]) -> list[dict[str, Any]]:
    first = [facts["ipv4"]] if "ipv4" in facts else []
    return first + list(facts.get("ipv4_secondaries", []))


def _interface(name: str) -> dict[str, Any]:
    base = "/sys/class/net/" + name
    facts: dict[str, Any] = {"device": name, "active": read(base + "/operstate") != "down"}
    hardware = read(base + "/address")
    if hardware and hardware != "00:00:00:00:00:00":
        facts["macaddress"] = hardware
    facts["mtu"] = number(read(base + "/mtu"))
    speed = number(read(base + "/speed"), -1)
    if speed > 0:
        facts["speed"] = speed
    facts["type"] = _TYPES.get(read(base + "/type"), "unknown")
    facts["promisc"] = bool(int(read(base + "/flags", "0x0"), 16) & _PROMISCUOUS)
    module = os.path.join(base, "device", "driver", "module")
    if os.path.exists(module):
        facts["module"] = os.path.basename(os.path.realpath(module))
    if os.path.isdir(base + "/device"):
        facts["pciid"] = os.path.basename(os.path.realpath(base + "/device"))
    facts.update(_combined(base))
    return facts


def _combined(base: str) -> dict[str, Any]:
    """Tell what a bridge or a bond is made of."""
    if os.path.isdir(base + "/bridge"):
        facts = {"type": "bridge", "interfaces": entries(base + "/brif"), "id": read(base + "/bridge/bridge_id")}
        return dict(facts, stp=read(base + "/bridge/stp_state") == "1")
    if os.path.isdir(base + "/bonding"):
        words = read(base + "/bonding/mode").split()
        facts = {"type": "bonding", "slaves": read(base + "/bonding/slaves").split(), "mode": words[0] if words else ""}
        facts.update(
            miimon=read(base + "/bonding/miimon"), lacp_rate=(read(base + "/bonding/lacp_rate").split() or [""])[0]
        )
        return dict(facts, primary=read(base + "/bonding/primary"))
    return {}


def _add(facts: dict[str, Any], address: netlink.Address) -> None:
    if address.family == socket.AF_INET6:
        entry = {"address": address.text, "prefix": str(address.prefix), "scope": _SCOPES.get(address.scope, "global")}
        facts.setdefault("ipv6", []).append(entry)
        return
    network = ipaddress.ip_interface("{}/{}".format(address.text, address.prefix)).network
    entry = {
        "address": address.text,
        "broadcast": address.broadcast,
        "netmask": str(network.netmask),
        "network": str(network.network_address),
        "prefix": str(address.prefix),
    }
    if "ipv4" in facts:
        facts.setdefault("ipv4_secondaries", []).append(entry)
    else:
        facts["ipv4"] = entry


def _defaults(found: dict[str, dict[str, Any]], numbers: dict[int, str]) -> dict[str, Any]:
    return {"default_ipv4": _default4(found), "default_ipv6": _default6(found)}


def _default4(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Follow the kernel's table: of the default routes the one with the least metric."""
    routes = []
    for line in read("/proc/net/route").splitlines()[1:]:
        words = line.split()
        if words[1] == "00000000" and words[7] == "00000000" and int(words[3], 16) & 1:
            gateway = socket.inet_ntoa(struct.pack("=I", int(words[2], 16)))
            routes.append((int(words[6]), words[0], gateway))
    if not routes:
        return {}
    _, name, gateway = min(routes)
    facts = {"gateway": gateway, "interface": name, "alias": name}
    if gateway == "0.0.0.0":  # a route by device only
        facts.pop("gateway")
    return dict(facts, **_shown(found.get(name, {}), found.get(name, {}).get("ipv4", {})))


def _default6(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    routes = []
    for line in read("/proc/net/ipv6_route").splitlines():
        words = line.split()
        if words[0] == "0" * 32 and words[1] == "00" and words[9] != "lo":
            routes.append((int(words[5], 16), words[9], words[4]))
    if not routes:
        return {}
    _, name, gateway = min(routes)
    own = [entry for entry in found.get(name, {}).get("ipv6", []) if entry["scope"] == "global"]
    facts = {"gateway": str(ipaddress.IPv6Address(bytes.fromhex(gateway))), "interface": name}
    return dict(facts, **_shown(found.get(name, {}), own[0] if own else {}))


def _shown(interface: dict[str, Any], address: dict[str, Any]) -> dict[str, Any]:
    more = {name: interface[name] for name in ("macaddress", "mtu", "type") if name in interface}
    return dict(address, **more)

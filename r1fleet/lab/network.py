"""A lab's network: one bridge in a namespace of its own, one cable to the controller and one to each host."""

from __future__ import annotations

import json
from pathlib import Path

from r1fleet.command import Command, cmd
from r1fleet.errors import LabError
from r1fleet.lab.layout import INTERFACE, Lab, LabHost
from r1fleet.lab.mounts import mounts
from r1fleet.lab.shell import ip, ip_batch, ip_succeeds, run, succeeds

_RUN_NETNS = Path("/run/netns")
_WORSE_METRIC = 65535
_RULE_PRIORITY = 20077
_LEAST_BURST = 16 * 1024
_LEAST_QUEUE = 64 * 1024


def ensure_switch(lab: Lab) -> None:
    """Make the bridge, the controller's address and its routes; what hosts are sent never leaves by another."""
    check_owner(lab)
    ip("route", "replace", "unreachable", lab.prefix, "metric", _WORSE_METRIC)
    _ensure_namespace(lab.switch)
    if not _exists(lab.interface):
        ip("link", "add", lab.interface, "type", "veth", "peer", "name", "uplink", "netns", lab.switch)
    if not _exists("switch", lab.switch):
        ip("link", "add", "name", "switch", "type", "bridge", "forward_delay", 0, namespace=lab.switch)
    ip_batch(
        ["link set lo up", "link set dev switch up", "link set dev uplink master switch", "link set dev uplink up"],
        namespace=lab.switch,
    )
    Path(f"/proc/sys/net/ipv6/conf/{lab.interface}/disable_ipv6").write_text("1")
    # Forwarding is what makes the kernel answer "unreachable" at once; the rule lets nothing pass.
    Path(f"/proc/sys/net/ipv4/conf/{lab.interface}/forwarding").write_text("1")
    ip_batch(
        [
            f'link set dev {lab.interface} alias "{lab.folder}"',
            f"addr replace {lab.gateway}/32 dev {lab.interface}",
            f"link set dev {lab.interface} up",
            *(f"route replace {host.address}/32 dev {lab.interface} src {lab.gateway}" for host in lab.hosts),
        ]
    )
    if not _has_rule(lab):
        ip("rule", "add", "iif", lab.interface, "priority", _RULE_PRIORITY, "unreachable")


def is_ours(lab: Lab) -> bool:
    """Whether the lab's number is not, by now, that of a lab of another cache."""
    tag = Path(f"/sys/class/net/{lab.interface}/ifalias")
    owner = tag.read_text(encoding="utf-8").strip() if tag.exists() else ""
    return owner in ("", str(lab.folder))


def check_owner(lab: Lab) -> None:
    """Raise LabError if another cache's lab has taken the number while this lab was down."""
    if not is_ours(lab):
        raise LabError(
            f"the network {lab.prefix} of lab {lab.name} is in use by a lab of another cache folder",
            hint=f"`r1fleet lab down --name {lab.name}` gives up this lab's disks; up again gets a new network",
        )


def ensure_host(lab: Lab, host: LabHost) -> None:
    """Give a host its namespace, cable, address and routes."""
    _ensure_namespace(host.namespace)
    if not _exists(INTERFACE, host.namespace):
        if _exists(host.name, lab.switch):
            ip("link", "del", host.name, namespace=lab.switch)
        peer = ["peer", "name", INTERFACE, "netns", host.namespace]
        ip("link", "add", "name", host.name, "type", "veth", *peer, namespace=lab.switch)
    ip_batch([f"link set dev {host.name} master switch", f"link set dev {host.name} up"], namespace=lab.switch)
    ip_batch(
        [
            "link set lo up",
            f"addr replace {host.address}/24 dev {INTERFACE}",
            f"link set dev {INTERFACE} up",
            f"route replace default via {lab.gateway}",
        ],
        namespace=host.namespace,
    )


def cut_cable(lab: Lab, host: LabHost) -> None:
    """Take the host's link down: frames to it vanish."""
    if _exists(host.name, lab.switch):
        ip("link", "set", "dev", host.name, "down", namespace=lab.switch)


def swallow(host: LabHost) -> None:
    """Drop every packet to and from the host while its link stays up."""
    rules = "\n".join(
        f"add chain inet r1lab {way} {{ type filter hook {way} priority -400; policy drop; }}\n"
        f"add rule inet r1lab {way} {match} lo accept"
        for way, match in (("input", "iifname"), ("output", "oifname"))
    )
    run(_nft(host, "-f", "-"), stdin=f"add table inet r1lab\nflush table inet r1lab\n{rules}\n")


def swallow_no_more(host: LabHost) -> None:
    """Undo ``swallow``; nothing happens if it was not done."""
    if _is_namespace(host.namespace) and succeeds(_nft(host, "list", "table", "inet", "r1lab")):
        run(_nft(host, "delete", "table", "inet", "r1lab"))


def slow_down(lab: Lab, host: LabHost, bits: int) -> None:
    """Let the host's link carry so many bits a second each way, like a slower cable."""
    burst = max(_LEAST_BURST, bits // 8 // 200)  # bytes: what 5 ms let pass
    queue = max(_LEAST_QUEUE, bits // 8 // 10)  # bytes: what 100 ms let pass, about a switch's buffer
    rate = ["root", "tbf", "rate", f"{bits}bit", "burst", burst, "limit", queue + burst]
    run(cmd("tc", "-n", host.namespace, "qdisc", "replace", "dev", INTERFACE, [str(word) for word in rate]))
    run(cmd("tc", "-n", lab.switch, "qdisc", "replace", "dev", host.name, [str(word) for word in rate]))


def slow_down_no_more(lab: Lab, host: LabHost) -> None:
    """Undo ``slow_down``; nothing happens if it was not done."""
    for namespace, interface in ((host.namespace, INTERFACE), (lab.switch, host.name)):
        if _is_namespace(namespace) and _exists(interface, namespace):
            succeeds(cmd("tc", "-n", namespace, "qdisc", "del", "dev", interface, "root"))


def remove_network(lab: Lab) -> None:
    """Remove namespaces, bridge, cables, rule and routes, as far as they are there."""
    for name in sorted(path.name for path in _RUN_NETNS.glob(f"{lab.cgroup}-*")):
        ip("netns", "del", name)
    # The cable goes with the switch's namespace, too, at a moment of the kernel's choosing.
    if not ip_succeeds("link", "del", lab.interface) and _exists(lab.interface):
        ip("link", "del", lab.interface)
    if _has_rule(lab):
        ip("rule", "del", "iif", lab.interface, "priority", _RULE_PRIORITY)
    ip_succeeds("route", "del", "unreachable", lab.prefix, "metric", _WORSE_METRIC)


def _nft(host: LabHost, *words: str) -> Command:
    return cmd("ip", "netns", "exec", host.namespace, "nft", words)


def _ensure_namespace(name: str) -> None:
    path = _RUN_NETNS / name
    if path.exists() and not _is_namespace(name):
        path.unlink()  # left by a crash between the file and its mount
    if not path.exists():
        ip("netns", "add", name)


def _is_namespace(name: str) -> bool:
    return any(mount.point == _RUN_NETNS / name for mount in mounts())


def _exists(interface: str, namespace: str = "") -> bool:
    return ip_succeeds("link", "show", "dev", interface, namespace=namespace)


def _has_rule(lab: Lab) -> bool:
    rows = json.loads(ip("-4", "-j", "rule", "show") or "[]")
    return any(row.get("iif") == lab.interface for row in rows)

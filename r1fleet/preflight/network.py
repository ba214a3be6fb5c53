"""Checks of addresses, names, ports, firewalls and RDMA adapters."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from r1fleet.facts.report import RdmaPort
from r1fleet.preflight.check import Check, Ground, Reached, Seen, Site, Verdict, few
from r1fleet.preflight.expected import MACHINES


def _interface(site: Site) -> Seen | None:
    want, network = site.want, site.report.network
    if want is None or not want.interface:
        return None
    names = [one.name for one in network.interfaces]
    if want.interface not in names:
        return Seen(False, f"no interface {want.interface}, only {', '.join(names[:8]) or 'none'}")
    holder = network.interface_of(want.address)
    if want.address and holder != want.interface and _is_address(want.address):
        return Seen(False, f"{want.address} is on {holder or 'no interface'}, not on {want.interface}")
    return Seen(True, f"{want.interface} carries {want.address}")


def _bind(site: Site) -> Seen | None:
    want, network = site.want, site.report.network
    if want is None or not _is_address(want.bind):
        return None
    holder = network.interface_of(want.bind)
    own = [address for one in network.interfaces for address in one.addresses]
    return Seen(holder is not None, f"{want.bind} is on {holder}" if holder else f"{want.bind} is not among {few(own)}")


def _loopback_name(site: Site) -> Seen | None:
    if not site.several:
        return None
    report = site.report
    found = report.names.get(report.hostname)
    if not found:
        return Seen(None, f"{report.hostname} means nothing here")
    own = [address for address in found if address.startswith("127.") or address == "::1"]
    return Seen(not own, f"{report.hostname} is {', '.join(found)}", {"name": report.hostname})


def _ports(site: Site) -> Seen | None:
    if site.want is None or not site.want.ports:
        return None
    wanted = {port.number: port.purpose for port in site.want.ports}
    taken = {one.port: one for one in site.report.listeners if one.port in wanted}
    said = [
        f"port {number} ({wanted[number]}) is taken by pid {one.pid or '?'} ({one.command or 'unknown'})"
        for number, one in taken.items()
    ]
    pids = " ".join(str(one.pid) for one in taken.values() if one.pid)
    return Seen(not said, "; ".join(said) if said else f"free: {', '.join(map(str, wanted))}", {"pids": pids})


def _port_range(site: Site) -> Seen | None:
    if not site.several or site.want is None or site.want.rendezvous is None:
        return None
    if site.report.ephemeral is None:
        return Seen(None, "the range of ports for outgoing connections is not told")
    first, last = site.report.ephemeral
    inside = first <= site.want.rendezvous <= last
    return Seen(not inside, f"rendezvous port {site.want.rendezvous}, outgoing connections take {first} to {last}")


def _firewall(site: Site) -> Seen | None:
    if not site.several:
        return None
    found = site.report.firewall
    if found.closed is None:
        return Seen(None, "no tool tells what is filtered")
    what = f"{', '.join(found.tools) or 'rules'}: what no rule lets in is dropped" if found.closed else "lets all in"
    return Seen(not found.closed, what)


def _reach(ground: Ground) -> Iterator[tuple[str, Seen]]:
    """Tell, for each host, which others could not connect to it, and at which ports."""
    if ground.reached is None:
        return
    by_target: dict[str, list[Reached]] = defaultdict(list)
    for one in ground.reached:
        by_target[one.target].append(one)
    for target in (host for host in ground.reports if host in by_target):
        tried = by_target[target]
        failed = [one for one in tried if one.problem]
        if not failed:
            sources = len({one.source for one in tried})
            yield target, Seen(True, f"{sources} hosts reach {tried[0].address} at {len(tried)} ports")
            continue
        closed = list(dict.fromkeys(one.source for one in failed))
        yield target, Seen(False, "; ".join(_ways(failed)), {"sources": few(closed, " ")})


def _ways(failed: Sequence[Reached]) -> Iterator[str]:
    """Tell closed ways to one address, those together that are closed alike."""
    for problem in dict.fromkeys(one.problem for one in failed):
        alike = [one for one in failed if one.problem == problem]
        sources = list(dict.fromkeys(one.source for one in alike))
        ports = list(dict.fromkeys(str(one.port) for one in alike))
        yield f"{few(sources)} to {alike[0].address} port {few(ports)}: {problem}"


def _proxies(site: Site) -> Seen | None:
    if site.want is None:
        return None
    names = site.report.proxies
    return Seen(not names, f"{', '.join(names)} in the host's environment" if names else "no proxy variables")


def _rate(site: Site) -> Seen | None:
    """Hold the fastest way out of the host against what its type of machine is built for."""
    if not site.several or site.want is None:
        return None
    expected = MACHINES.get(site.want.machine.replace(" ", ""))
    if expected is None or not expected.network_gbit:
        return None
    rates = [_gbit(port) for port in site.report.rdma if port.state == "ACTIVE"]
    chosen = next((one for one in site.report.network.interfaces if one.name == site.want.interface), None)
    if chosen is not None and chosen.speed:
        rates.append(chosen.speed // 1000)
    if not rates:
        return Seen(None, "no adapter tells its rate")
    return Seen(
        max(rates) >= expected.network_gbit,
        f"{max(rates)} Gbit/s, {expected.network_gbit} expected of {site.want.machine}",
    )


def _rdma_ports(site: Site) -> Seen | None:
    chosen = _chosen(site)
    if not site.several or not chosen:
        return None
    down = [f"{port.device}:{port.port} {port.state or 'unknown'}" for port in chosen if port.state != "ACTIVE"]
    return Seen(not down, ", ".join(down) if down else f"{len(chosen)} ports active")


def _gid(site: Site) -> Seen | None:
    roce = [port for port in _chosen(site) if port.link == "Ethernet"]
    if not site.several or site.want is None or not roce:
        return None
    index = site.want.gid_index if site.want.gid_index is not None else 3
    wrong = []
    for port in roce:
        entry = next((gid for gid in port.gids if gid.index == index), None)
        if entry is None or "v2" not in entry.kind:
            good = next(
                (gid.index for gid in port.gids if "v2" in gid.kind and gid.interface == site.want.interface), None
            )
            wrong.append(
                f"{port.device} entry {index} is {entry.kind if entry else 'empty'}"
                + (f", RoCE v2 is {good}" if good is not None else "")
            )
    return Seen(not wrong, "; ".join(wrong[:4]) if wrong else f"entry {index} is RoCE v2 on all")


def _rdma_devices(site: Site) -> Seen | None:
    if not site.several or site.want is None or site.want.runtime != "docker" or not site.report.rdma:
        return None
    if not site.report.rdma_nodes:
        return Seen(False, "there are RDMA adapters and no /dev/infiniband")
    return Seen(
        site.want.gives_rdma,
        "/dev/infiniband goes into the container" if site.want.gives_rdma else "/dev/infiniband stays outside",
    )


def _peermem(site: Site) -> Seen | None:
    if not site.several or not site.gpus or not site.report.rdma:
        return None
    return Seen(site.report.peermem, f"nvidia_peermem is {'' if site.report.peermem else 'not '}loaded")


def _memlock(site: Site) -> Seen | None:
    if not site.several or site.want is None or not site.report.rdma or site.want.memlock_unlimited is None:
        return None
    return Seen(
        site.want.memlock_unlimited,
        "unlimited for the ranks" if site.want.memlock_unlimited else "limited for the ranks",
    )


def _chosen(site: Site) -> list[RdmaPort]:
    names = site.want.hcas if site.want else ()
    return [
        port for port in site.report.rdma if not names or port.device in names or f"{port.device}:{port.port}" in names
    ]


def _gbit(port: RdmaPort) -> int:
    found = re.match(r"(\d+)", port.rate)
    return int(found.group(1)) if found else 0


def _is_address(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9.]+|[0-9a-fA-F:]*:[0-9a-fA-F:.]*", text))


# fmt: off
CHECKS: Final = (
    Check("interface", "a deployment", Verdict.FAIL, "ranks would bind to an interface or address that is not there",
          "set r1fleet_interface and r1fleet_address of {host} in the inventory (r1fleet facts shows what there is)",
          _interface),
    Check("bind", "an endpoint at one address", Verdict.FAIL, "the engine cannot listen at an address of another host",
          "set bind to an address of {host}, or to 0.0.0.0", _bind),
    Check("hostname-loopback", "several hosts", Verdict.WARN,
          "the host takes its own name for its loopback: what goes by names (Gloo, c10d) tells others to meet there",
          "in /etc/hosts of {host}, give {name} its address on the cluster's network instead of 127.0.1.1",
          _loopback_name),
    Check("port", "a deployment", Verdict.FAIL, "another process holds a port that the ranks need",
          "choose another port in the deployment; or, where nobody needs that process, ssh {host} sudo kill {pids}",
          _ports),
    Check("port-range", "several hosts", Verdict.WARN,
          "an outgoing connection may take the rendezvous port at any time",
          "choose a rendezvous_port outside that range, such as 20000", _port_range),
    Check("firewall", "several hosts", Verdict.WARN, "ranks meet at random high ports, not at one that is known before",
          "r1fleet provision INVENTORY --tags tuning   (lets the cluster's own addresses in)", _firewall),
    Check("reach", "several hosts", Verdict.FAIL, "a firewall or a route between hosts: ping may work all the same",
          "open {host} for TCP from {sources}, all ports from 1024 up", look_at_all=_reach),
    Check("proxies", "a deployment", Verdict.WARN,
          "programs on the host may ask the ranks through a proxy and get 502 or 503 from it",
          "put the cluster's addresses into no_proxy on {host}; r1fleet's own probes use no proxy", _proxies),
    Check("network-rate", "several hosts of a declared machine type", Verdict.WARN,
          "the network is slower than such machines usually have: ranks would wait for it",
          "see whether cables and adapters are up (r1fleet facts {host}), or whether another interface is meant",
          _rate),
    Check("rdma-port", "RDMA adapters, several hosts", Verdict.WARN,
          "an adapter's port is down: NCCL leaves it out, or hangs",
          "ssh {host} rdma link   and look at the cable and the switch", _rdma_ports),
    Check("gid-index", "RoCE adapters, several hosts", Verdict.WARN,
          "NCCL would speak through a table entry that is not RoCE v2: error 12",
          "set r1fleet_gid_index of {host} to the entry that is RoCE v2", _gid),
    Check("rdma-devices", "RDMA adapters, docker", Verdict.WARN,
          "without the device files NCCL finds no device in the container",
          "add /dev/infiniband to container: devices in the deployment", _rdma_devices),
    Check("peermem", "RDMA adapters with NVIDIA GPUs", Verdict.WARN,
          "GPU memory goes over the network by way of main memory",
          "ssh {host} sudo modprobe nvidia_peermem", _peermem),
    Check("memlock", "RDMA adapters", Verdict.FAIL, "ibv_reg_mr cannot lock memory: Cannot allocate memory",
          "set container: ulimits: {memlock: -1} in the deployment, or r1fleet provision INVENTORY --tags tuning",
          _memlock),
)

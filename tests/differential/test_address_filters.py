"""``ipaddr`` and its kin say what those of ansible.utils say with netaddr."""

from __future__ import annotations

import json
import os
import subprocess
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from r1fleet.playbook.filters_subnets import ADDRESS_FILTERS
from r1fleet.playbook.filters_text import FilterError
from tests.differential.case import Case
from tests.differential.oracle import ensure_oracle
from tests.environments import ensure_environment

VALUES = [
    "192.168.1.5", "192.168.1.5/24", "192.168.1.0/24", "10.0.0.1/32", "10.0.0.0/31", "10.0.0.1/31", "10.0.0.2/30",
    "8.8.8.8", "8.8.8.0/24", "224.0.0.5", "127.0.0.1", "169.254.1.1", "100.64.0.1", "198.51.100.7", "0.0.0.0",
    "255.255.255.255", "fe80::1", "fe80::1/64", "2001:db8::1", "2001:db8::5/64", "2001:db8::/32", "fd00::1/48",
    "2a00:1450:4001:81b::200e", "ff02::1", "::ffff:192.0.2.1", "192.168.1.5/255.255.255.0", "not-an-ip", "", None,
    True, "300.1.1.1", "10.1", "192.168.1.0/33", " 10.0.0.1", "010.0.0.1", "fe80::1%eth0", "[::1]",
    ["10.0.0.1", "x", "fe80::1/64", "10.0.0.0/8"], [],
]  # fmt: skip
QUESTIONS = [
    "", "address", "ip", "broadcast", "bool", "cidr", "gateway", "host", "host/prefix", "hostmask", "int", "ipv4",
    "ipv6", "link-local", "loopback", "multicast", "net", "netmask", "network", "network/prefix", "network_netmask",
    "network_wildcard", "next_usable", "peer", "prefix", "previous_usable", "private", "public", "range_usable",
    "revdns", "size", "size_usable", "subnet", "type", "unicast", "version", "wildcard", "wrap", "last_usable",
    "first_usable", "ip/prefix", "ip_netmask", "6to4", "192.168.0.0/16", "2001:db8::/32", "1", "-1", "300", "nonsense",
]  # fmt: skip
NETWORKS = ["192.168.0.0/16", "10.0.0.1/24", "10.0.0.0/31", "192.168.144.5", "2001:db8::/48", "x"]


def rows() -> list[list[Any]]:
    """Return what is asked: the filter, the value, and the arguments."""
    asked: list[list[Any]] = [["ipaddr", *pair] for pair in product(VALUES, QUESTIONS)]
    asked += [[name, *pair] for name in ("ipv4", "ipv6") for pair in product(VALUES, QUESTIONS[:4])]
    asked += [["ipwrap", *pair] for pair in product([*VALUES, "host.example"], ["", "address"])]
    asked += [["ipsubnet", *pair] for pair in product(NETWORKS, ["", "16", "26", "64", "192.168.0.0/8"])]
    asked += [["ipsubnet", *each] for each in product([NETWORKS[0], NETWORKS[1]], ["18", "26"], [0, 1, -1, 5])]
    asked += [["nthhost", *pair] for pair in product(NETWORKS, [0, 1, -1, 5, 305])]
    return asked + [["ipmath", *pair] for pair in product(NETWORKS, [0, 1, -1, 300, "3"])]


def ours(name: str, *args: Any) -> list[Any]:
    """Return what our filter gives, and whether it fails."""
    try:
        return [ADDRESS_FILTERS[name](*args), False]
    except FilterError:
        return [None, True]


@pytest.mark.slow
def test_address_filters_say_what_ansibles_say(tmp_path: Path) -> None:
    oracle = ensure_oracle(Case("filters", tmp_path, (), collections=True))
    (libraries,) = ensure_environment("oracle-filters", ("netaddr==1.*",)).glob("lib/python*/site-packages")
    done = subprocess.run(
        [str(oracle.folder / "bin/python"), str(Path(__file__).with_name("addresses.py"))],
        input=json.dumps(rows()),
        env={**os.environ, **oracle.environment, "PYTHONPATH": str(libraries)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    theirs = json.loads(done.stdout)
    assert len(theirs) == len(rows()) > 2000
    pairs = [(row, ours(*row), each) for row, each in zip(rows(), theirs, strict=True)]
    assert [pair for pair in pairs if pair[1] != pair[2]] == []

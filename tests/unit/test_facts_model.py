"""Facts are read from what Ansible's setup module tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1fleet.facts import HostFacts, Interface, from_setup, keep, recall
from r1fleet.inventory import Inventory
from tests.told import report

SETUP = {
    "ansible_interfaces": ["lo", "bond0.100", "eth0"],
    "ansible_default_ipv4": {"address": "10.0.0.5", "interface": "eth0"},
    "ansible_lo": {"ipv4": {"address": "127.0.0.1"}},
    "ansible_bond0_100": {"ipv4": {"address": "172.16.0.5"}, "speed": 100000},
    "ansible_eth0": {
        "ipv4": {"address": "10.0.0.5"},
        "ipv4_secondaries": [{"address": "10.0.0.6"}],
        "ipv6": [{"address": "fe80::1"}],
        "speed": -1,
    },
}


def test_interfaces_addresses_and_the_default_route() -> None:
    facts = from_setup(SETUP, gathered_at=5.0)

    assert (facts.default_address, facts.default_interface, facts.gathered_at) == ("10.0.0.5", "eth0", 5.0)
    assert facts.interfaces == (
        Interface("bond0.100", ("172.16.0.5",), 100000),
        Interface("eth0", ("10.0.0.5", "10.0.0.6", "fe80::1")),
        Interface("lo", ("127.0.0.1",)),
    )


IB = {
    "device": "mlx5_0", "port": 1, "state": "ACTIVE", "physical": "LinkUp", "rate": "400 Gb/sec (4X NDR)",
    "link": "InfiniBand", "pci": "0000:0c:00.0", "interfaces": ["ib0"], "gids": [],
}  # fmt: skip
V2 = {"gid": "0000:0000:0000:0000:0000:ffff:0a00:0001", "kind": "RoCE v2", "interface": "eth0"}
ROCE = {**IB, "device": "mlx5_bond_0", "link": "Ethernet", "gids": [
    {**V2, "index": 1, "kind": "IB/RoCE v1"}, {**V2, "index": 2, "gid": "fe80::1"}, {**V2, "index": 3},
]}  # fmt: skip


@pytest.mark.parametrize(
    ("ports", "hcas", "gid_index"),
    [
        ([], (), None),
        ([IB, {**IB, "device": "mlx5_1"}, ROCE], ("mlx5_0", "mlx5_1"), None),
        ([IB, {**IB, "device": "mlx5_1", "state": "DOWN"}], ("mlx5_0",), None),
        ([{**IB, "port": 2}, {**IB, "state": "DOWN"}], ("mlx5_0:2",), None),
        ([ROCE, {**ROCE, "device": "mlx5_1"}], (), 3),
        ([ROCE, {**ROCE, "device": "mlx5_1", "gids": [{**V2, "index": 5}]}], (), None),
        ([ROCE, {**ROCE, "device": "mlx5_1", "gids": [{**V2, "index": 5}], "state": "DOWN"}], (), 3),
        ([{**ROCE, "gids": []}], (), None),
    ],
)
def test_adapters_that_join_hosts(ports: list[object], hcas: tuple[str, ...], gid_index: int | None) -> None:
    facts = report(rdma=ports).for_plan

    assert (facts.hcas, facts.gid_index) == (hcas, gid_index)


def test_address_and_interface_find_each_other() -> None:
    facts = from_setup(SETUP)

    assert facts.interface_of("172.16.0.5") == "bond0.100"
    assert facts.address_of("eth0") == "10.0.0.5"
    assert facts.interface_of("1.2.3.4") is None
    assert facts.address_of("ib0") is None


def test_a_host_that_tells_nothing_or_nonsense_has_no_facts() -> None:
    nonsense: dict[str, object] = {"ansible_interfaces": "eth0", "ansible_default_ipv4": [], "ansible_eth0": None}

    assert from_setup({}) == from_setup(nonsense) == HostFacts()


def test_facts_are_kept_for_one_inventory_and_for_no_other_of_its_name(tmp_path: Path) -> None:
    mine, other = (Inventory("prod", tmp_path / folder / "prod.yaml", {}, {}) for folder in "ab")
    facts = {"h1": HostFacts(interfaces=(Interface("eth0", ("10.0.0.1",), 1000),), default_address="10.0.0.1")}

    keep(mine, facts)
    keep(mine, {"h2": HostFacts(default_interface="eth1")})

    assert recall(mine) == {**facts, "h2": HostFacts(default_interface="eth1")}
    assert recall(other) == {}

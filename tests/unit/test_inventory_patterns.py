"""Host patterns name what `ansible PATTERN --list-hosts` names (core 2.19)."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1fleet.errors import InventoryError
from r1fleet.inventory import Inventory, load

FLEET = """
all:
  children:
    gpu:
      hosts: {"node[01:05].ex": }
    rack1:
      hosts: {"node[03:04].ex": , db1: }
    empty:
  hosts: {head: }
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Inventory:
    path = tmp_path / "fleet.yaml"
    path.write_text(FLEET, encoding="utf-8")
    return load(path)


def short(inventory: Inventory, pattern: str) -> str:
    return " ".join(host.name.removeprefix("node").removesuffix(".ex") for host in inventory.select(pattern))


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("all", "head 01 02 03 04 05 db1"),
        ("*", "head 01 02 03 04 05 db1"),
        ("gpu:&rack1", "03 04"),
        ("gpu:!rack1", "01 02 05"),
        ("!gpu", "head db1"),
        ("&rack1", "03 04 db1"),
        ("rack1:gpu", "03 04 db1 01 02 05"),
        ("gpu:rack1:&gpu:!node04.ex", "01 02 03 05"),
        ("gpu[0]", "01"),
        ("gpu[-1]", "05"),
        ("gpu[1:2]", "02 03"),
        ("gpu[3:]", "04 05"),
        ("rack1[1:9]", "04 db1"),
        ("gpu[0]:head", "01 head"),
        ("node0[13].ex", "01 03"),
        ("~node0[24]", "02 04"),
        ("node*:!gpu[0:1]", "03 04 05"),
        ("db1,head", "db1 head"),
        ("db1, head", "db1 head"),
        ("h*,d*", "head db1"),
        ("*.ex[0]", "01"),
        ("localhost", "localhost"),
        ("empty", ""),
        ("ungrouped", "head"),
    ],
)
def test_patterns(fleet: Inventory, pattern: str, names: str) -> None:
    assert short(fleet, pattern) == names


@pytest.mark.parametrize(
    ("pattern", "what", "hint"),
    [
        ("gpus", 'no host or group matches "gpus"', "did you mean gpu?"),
        ("gpu:!racks1", 'no host or group matches "racks1"', "did you mean rack1?"),
        ("zz*", 'no host or group matches "zz*"', "there are all, ungrouped, gpu"),
        ("zzz[0]", 'no host or group matches "zzz[0]"', "there are"),
        ("gpu[9]", "gpu[9] names no host", "[-1]"),
        ("~node(", "no regular expression", None),
        ("", "no host pattern", "for example"),
        ("gpu:!", "no host pattern", "for example"),
    ],
)
def test_what_matches_nothing_is_an_error(fleet: Inventory, pattern: str, what: str, hint: str | None) -> None:
    with pytest.raises(InventoryError) as caught:
        fleet.select(pattern)
    assert what in caught.value.what
    assert (hint or "") in (caught.value.hint or "")


def test_what_matches_nothing_can_be_left_out(fleet: Inventory) -> None:
    unknown: list[str] = []
    assert [host.name for host in fleet.select("db1:gpus:gpu[9]:!debian", unknown=unknown.append)] == ["db1"]
    assert unknown == ["gpus", "debian"]


def test_a_limit_narrows_what_is_selected_and_leaves_groups_whole(fleet: Inventory, tmp_path: Path) -> None:
    limited = fleet.limit("gpu[0:2]")
    assert short(limited, "all") == "01 02 03"
    assert short(limited, "rack1") == "03"
    assert len(limited.groups["gpu"].hosts) == 5
    assert short(limited.limit("rack1"), "all") == "03"
    names = tmp_path / "retry"
    names.write_text("node02.ex\n\n# not this one\ndb1\n", encoding="utf-8")
    assert short(fleet.limit(f"@{names}"), "all") == "02 db1"


def test_a_limit_without_hosts_is_an_error(fleet: Inventory, tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match='the limit "gpu:!gpu" leaves no host'):
        fleet.limit("gpu:!gpu")
    with pytest.raises(InventoryError, match="cannot read the limit from"):
        fleet.limit(f"@{tmp_path}/absent")
    with pytest.raises(InventoryError, match="no host or group matches"):
        fleet.limit("gpus")

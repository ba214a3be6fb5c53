"""Clusters used from this controller are remembered, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1fleet.cache import cache_dir
from r1fleet.errors import UsageError
from r1fleet.inventory import load
from r1fleet.inventory.known import known, remember, remembered, strangers


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R1FLEET_CACHE", str(tmp_path / "cache"))


def cluster(folder: Path, name: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text("all: {hosts: {h1: }}\n", encoding="utf-8")
    return path


def test_both_times_are_remembered(tmp_path: Path) -> None:
    inventory = load(cluster(tmp_path, "west"))
    remember(inventory, "provisioned", clock=lambda: 5.0)
    remember(inventory, "launched", clock=lambda: 9.0)
    (only,) = known()
    assert (only.name, only.file, only.provisioned, only.launched) == ("west", tmp_path / "west.yaml", 5.0, 9.0)


def test_records_are_private_and_damaged_ones_are_absent(tmp_path: Path) -> None:
    remember(load(cluster(tmp_path, "west")), "launched")
    (record,) = cache_dir("clusters").glob("*.json")
    assert record.stat().st_mode & 0o777 == 0o600
    record.write_text('{"name": ', encoding="utf-8")
    assert known() == ()
    remember(load(tmp_path / "west.yaml"), "launched")
    assert [one.name for one in known()] == ["west"]


def test_nothing_known_says_how_to_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inventories").mkdir()
    cluster(tmp_path / "inventories", "west")
    with pytest.raises(UsageError, match="no cluster was provisioned") as caught:
        remembered()
    assert "there is inventories/west.yaml" in caught.value.what
    assert "-i INVENTORY" in (caught.value.hint or "")


def test_several_known_are_all_meant(tmp_path: Path) -> None:
    for name in ("west", "east"):
        remember(load(cluster(tmp_path, name)), "provisioned")
    assert [path.stem for path in remembered()] == ["east", "west"]


def test_inventories_that_are_gone_or_never_used_are_not_known(tmp_path: Path) -> None:
    west, east = cluster(tmp_path, "west"), cluster(tmp_path, "east")
    remember(load(west), "launched")
    assert strangers(tmp_path) == (east,)
    west.unlink()
    assert known() == ()

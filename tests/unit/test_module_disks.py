"""filesystem on a file that stands for a disk: made once, never over something else, grown, wiped."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1fleet.modules import filesystem
from tests.invoking import changes, invoke, well


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    with path.open("wb") as stream:
        stream.truncate(8 * 1024 * 1024)
    return path


def test_a_file_system_is_made_once_and_wiped_once(disk: Path) -> None:
    assert changes("filesystem", dev=str(disk), fstype="ext4") == [True, True, False]
    assert changes("filesystem", dev=str(disk), state="absent") == [True, True, False]


def test_what_a_disk_holds_is_overwritten_by_force_alone(disk: Path) -> None:
    well("filesystem", dev=str(disk), fstype="swap")
    failed = invoke("filesystem", dev=str(disk), fstype="ext4")
    assert failed["msg"] == f"'{disk}' is already used as swap, use force=true to overwrite"
    assert changes("filesystem", dev=str(disk), fstype="ext2", force=True) == [True, True, True]
    assert not well("filesystem", dev=str(disk), fstype="ext2")["changed"]


def test_a_file_system_grows_with_its_disk(disk: Path) -> None:
    well("filesystem", dev=str(disk), fstype="ext4")
    assert not well("filesystem", dev=str(disk), fstype="ext4", resizefs=True)["changed"]
    with disk.open("r+b") as stream:
        stream.truncate(16 * 1024 * 1024)
    assert not well("filesystem", dev=str(disk), fstype="ext4")["changed"]
    assert changes("filesystem", dev=str(disk), fstype="ext4", resizefs=True) == [True, True, False]


def test_wrong_devices_options_and_kinds_are_told(disk: Path) -> None:
    assert invoke("filesystem", dev="/none", fstype="ext4")["msg"] == "Device /none not found."
    assert not well("filesystem", dev="/none", state="absent")["changed"]
    failed = invoke("filesystem", dev=str(disk), fstype="ext4", opts="--no-such-option")
    assert failed["msg"].startswith(f"cannot make ext4 on {disk}: ")
    well("filesystem", dev=str(disk), fstype="swap")
    assert "does not support resizing" in invoke("filesystem", dev=str(disk), fstype="swap", resizefs=True)["msg"]


def test_a_mounted_device_is_not_touched(disk: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    number = disk.stat().st_rdev
    mounts.write_text(
        f"1 2 0:0 / /elsewhere rw - ext4 /dev/x rw\n3 4 {number >> 8}:{number & 255} / /data rw - ext4 d rw\n"
    )
    monkeypatch.setattr(filesystem, "MOUNTS", str(mounts))
    monkeypatch.setattr("stat.S_ISBLK", lambda mode: True)
    failed = invoke("filesystem", dev=str(disk), state="absent")
    assert failed["msg"].startswith(f"{disk} is mounted at ")

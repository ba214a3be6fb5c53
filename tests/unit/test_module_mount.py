"""Lines of fstab, and what the kernel tells of mounts."""

from __future__ import annotations

import pytest

from r1fleet.modules._fstab import Entry, mounted, with_entry, without

TABLE = (
    "# by hand\nUUID=1  /      ext4  defaults,noatime  0  1\n/swapfile none swap sw 0 0\nbad line\n"
    "/dev/b /srv/a\\040b xfs defaults"
)


def entry(path: str, **more: str) -> Entry:
    return Entry(
        **{"src": "/dev/b", "path": path, "fstype": "xfs", "opts": "defaults", "dump": "0", "passno": "0", **more}
    )


def test_an_entry_that_is_there_stays_as_it_was_written() -> None:
    assert with_entry(TABLE, entry("/", src="UUID=1", fstype="ext4", opts="defaults,noatime", passno="1")) == TABLE
    assert with_entry(TABLE, entry("/srv/a b")) == TABLE


def test_a_changed_entry_keeps_its_place_and_a_new_one_comes_last() -> None:
    changed = with_entry(TABLE, entry("/", src="UUID=2", fstype="ext4"))
    assert changed.splitlines()[1] == "UUID=2 / ext4 defaults 0 0"
    assert with_entry(TABLE, entry("/srv/c\\d", src="a b")).endswith(
        "xfs defaults\na\\040b /srv/c\\134d xfs defaults 0 0\n"
    )


def test_swap_goes_by_its_source() -> None:
    second = Entry("/dev/sdb2", "none", "swap", "sw", "0", "0")
    assert with_entry(TABLE, second).count(" swap ") == 2
    assert "swapfile" in without(TABLE, "none", "/dev/sdb2")
    assert "swapfile" not in without(TABLE, "none", "/swapfile")


def test_lines_that_are_no_entries_stay() -> None:
    left = without(without(TABLE, "/srv/a b", None), "/", None)
    assert left == "# by hand\n/swapfile none swap sw 0 0\nbad line\n"


@pytest.mark.parametrize(
    ("path", "source"), [("/srv", "second"), ("/", "root"), ("/srv/a b", "bound"), ("/nowhere", None)]
)
def test_of_several_mounts_over_one_another_the_last_is_seen(path: str, source: str | None) -> None:
    table = (
        "1 0 8:1 / / rw - ext4 root rw\n2 1 8:2 / /srv rw shared:1 - xfs first rw\n3 2 8:3 / /srv rw - xfs second rw\n"
        "4 3 8:4 /sub /srv/a\\040b rw - xfs bound rw\nbroken\n"
    )
    found = mounted(path, table)
    assert (found.source if found else None) == source

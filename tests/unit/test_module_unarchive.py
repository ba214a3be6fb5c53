"""unarchive: what an archive may not do, what counts as a difference, and what zip knows of its entries."""

from __future__ import annotations

import io
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from r1fleet.modules._tar import refused
from r1fleet.modules._zip import mode_of, written
from tests.invoking import Store, invoke, well

Member = tuple[bytes, str, bytes | str]


def tar(path: Path, *members: Member, mode: str = "w") -> str:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for kind, name, content in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            member.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
            if isinstance(content, str):
                member.linkname = content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return str(path)


def unpack(source: str, dest: Path, **args: Any) -> dict[str, Any]:
    dest.mkdir(exist_ok=True)
    return invoke("unarchive", src=source, dest=str(dest), remote_src=True, **args)


def test_what_lies_there_already_is_left_alone(tmp_path: Path) -> None:
    source = tar(tmp_path / "a.tgz", (tarfile.REGTYPE, "d/f", b"one"), mode="w:gz")
    first, second = unpack(source, tmp_path / "to"), unpack(source, tmp_path / "to")
    assert (first["changed"], second["changed"]) == (True, False)
    assert first["handler"] == "TgzArchive"
    assert (tmp_path / "to/d/f").read_bytes() == b"one"


@pytest.mark.parametrize("harm", ["content", "missing", "mode"])
def test_what_differs_is_unpacked_again(tmp_path: Path, harm: str) -> None:
    source = tar(tmp_path / "a.tar", (tarfile.REGTYPE, "f", b"one"))
    unpack(source, tmp_path / "to")
    target = tmp_path / "to/f"
    if harm == "content":
        target.write_bytes(b"two")
    elif harm == "missing":
        target.unlink()
    else:
        target.chmod(0o600)
    assert unpack(source, tmp_path / "to")["changed"]
    assert target.read_bytes() == b"one"


def test_an_archive_of_the_controller_travels(tmp_path: Path) -> None:
    store = Store()
    entry = store.offer("", Path(tar(tmp_path / "a.tar", (tarfile.REGTYPE, "f", b"one"))).read_bytes())
    well("unarchive", controller=store, src="a.tar", dest=str(tmp_path), _entries=[entry], _name="a.tar")
    assert (tmp_path / "f").read_bytes() == b"one"


def test_an_entry_above_the_destination_stops_all(tmp_path: Path) -> None:
    source = tar(tmp_path / "a.tar", (tarfile.REGTYPE, "good", b"x"), (tarfile.REGTYPE, "d/../../bad", b"x"))
    reply = unpack(source, tmp_path / "to")
    assert reply["failed"]
    assert "'d/../../bad' leads out of" in reply["msg"]
    assert list((tmp_path / "to").iterdir()) == []
    assert not (tmp_path / "bad").exists()


def test_an_absolute_entry_lands_below_the_destination(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    source = tar(tmp_path / "a.tar", (tarfile.REGTYPE, str(outside), b"x"))
    assert unpack(source, tmp_path / "to")["changed"]
    assert not outside.exists()
    assert (tmp_path / "to" / str(outside)[1:]).exists()


def test_a_link_of_the_archive_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    source = tar(
        tmp_path / "a.tar", (tarfile.SYMTYPE, "link", str(tmp_path / "secret")), (tarfile.REGTYPE, "link/f", b"x")
    )
    assert unpack(source, tmp_path / "to")["failed"]
    assert unpack(source, tmp_path / "to")["failed"]  # the link may lie there now
    assert list((tmp_path / "secret").iterdir()) == []


def test_a_link_that_lies_there_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "to").mkdir()
    (tmp_path / "to/link").symlink_to(tmp_path / "secret")
    source = tar(tmp_path / "a.tar", (tarfile.REGTYPE, "link/f", b"x"))
    reply = unpack(source, tmp_path / "to")
    assert "would be written through the link" in reply["msg"]
    assert list((tmp_path / "secret").iterdir()) == []


def test_a_folder_of_the_archive_takes_a_links_place(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "to").mkdir()
    (tmp_path / "to/d").symlink_to(tmp_path / "secret")
    source = tar(tmp_path / "a.tar", (tarfile.DIRTYPE, "d", b""), (tarfile.REGTYPE, "d/f", b"x"))
    assert unpack(source, tmp_path / "to")["changed"]
    assert list((tmp_path / "secret").iterdir()) == []
    kept = unpack(source, tmp_path / "to2", extra_opts=["--keep-directory-symlink"])
    assert kept["changed"]


def test_a_kept_link_to_a_folder_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "to").mkdir()
    (tmp_path / "to/d").symlink_to(tmp_path / "secret")
    source = tar(tmp_path / "a.tar", (tarfile.DIRTYPE, "d", b""), (tarfile.REGTYPE, "d/f", b"x"))
    assert unpack(source, tmp_path / "to", extra_opts=["--keep-directory-symlink"])["failed"]
    assert list((tmp_path / "secret").iterdir()) == []


def test_a_link_within_the_destination_may_be_used(tmp_path: Path) -> None:
    (tmp_path / "to/real").mkdir(parents=True)
    (tmp_path / "to/link").symlink_to("real")
    assert unpack(tar(tmp_path / "a.tar", (tarfile.REGTYPE, "link/f", b"x")), tmp_path / "to")["changed"]
    assert (tmp_path / "to/real/f").exists()


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("-P", "absolute-names"),
        ("-vP", "absolute-names"),
        ("--absolute-names", "absolute-names"),
        ("--abs", "absolute-names"),
        ("-C/etc", "directory"),
        ("--directory=/etc", "directory"),
        ("-h", "dereference"),
        ("--strip-components=1", ""),
        ("--transform=s/a/b/", ""),
        ("-XPatterns", ""),
        ("--no-same-owner", ""),
    ],
)
def test_options_that_lead_elsewhere_are_known(option: str, name: str) -> None:
    assert refused(option) == name


def test_an_option_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    source = tar(tmp_path / "a.tar", (tarfile.REGTYPE, str(tmp_path / "outside"), b"x"))
    assert "--absolute-names would let the archive leave" in unpack(source, tmp_path / "to", extra_opts=["-P"])["msg"]
    assert not (tmp_path / "outside").exists()


def test_modes_of_zip_entries() -> None:
    entry = zipfile.ZipInfo("tool")
    entry.create_system, entry.external_attr = 3, 0o100750 << 16
    assert mode_of(entry, 0o022) == 0o750
    entry.create_system, entry.external_attr = 0, 0x20
    assert mode_of(entry, 0o022) == 0o644
    entry.external_attr = 0x21  # read-only
    assert mode_of(entry, 0o022) == 0o444
    folder = zipfile.ZipInfo("folder/")
    folder.create_system, folder.external_attr = 0, 0x10
    assert mode_of(folder, 0o022) == 0o755


def test_times_of_zip_entries() -> None:
    entry = zipfile.ZipInfo("f", (2021, 3, 4, 5, 6, 8))
    assert written(entry) == time.mktime((2021, 3, 4, 5, 6, 8, 0, 0, -1))
    entry.extra = b"\x01\x00\x01\x00x" + b"UT\x05\x00\x01" + (1234567).to_bytes(4, "little")
    assert written(entry) == 1234567

"""Files on the host: what a write keeps, what modes mean."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from r1fleet.agent import files, labels
from r1fleet.agent.context import Context, ModuleFailed
from r1fleet.agent.modes import parse_mode


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("mode", "before", "after"),
    [
        ("0644", 0o100600, 0o644),
        ("4755", 0o100600, 0o4755),
        (420, 0o100600, 0o644),
        ("u=rwX,g=rX,o=", 0o100666, 0o640),
        ("u=rwX,g=rX,o=", 0o40666, 0o750),
        ("a+X", 0o100744, 0o755),
        ("g-w", 0o100664, 0o644),
        ("g=u", 0o100640, 0o660),
        ("u+s,o+t", 0o100755, 0o5755),
        ("+x", 0o100644, 0o755),
        ("u+r-w", 0o100600, 0o400),
        ("g=", 0o102770, 0o700),
    ],
)
def test_modes(mode: str | int, before: int, after: int) -> None:
    assert oct(parse_mode(mode, before, 0o022)) == oct(after)


@pytest.mark.parametrize("mode", ["u=q", "999", "rw", "u+x;", "-1", 0o10000])
def test_what_is_no_mode_is_refused(mode: str | int) -> None:
    with pytest.raises(ValueError, match=r"permission|mode"):
        parse_mode(mode, 0o100644, 0o022)


def test_a_new_file_has_the_umask_s_mode_or_its_own(tmp_path: Path) -> None:
    files.write_bytes(str(tmp_path / "a"), b"1")
    files.write_bytes(str(tmp_path / "b"), b"1", mode=0o600)
    assert (mode_of(tmp_path / "a"), mode_of(tmp_path / "b")) == (0o666 & ~files.current_umask(), 0o600)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_replaced_file_keeps_mode_and_attributes_and_links_are_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o640)
    os.setxattr(target, "user.note", b"kept")
    link.symlink_to(target)
    files.write_bytes(str(link), b"new")
    assert link.is_symlink()
    assert (target.read_bytes(), mode_of(target), os.getxattr(target, "user.note")) == (b"new", 0o640, b"kept")


def test_a_link_that_is_not_followed_is_replaced_at_once_or_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("theirs")
    target.chmod(0o644)
    link.symlink_to(target)

    def refused(source: str, place: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "rename", refused)
        with pytest.raises(ModuleFailed, match="cannot replace"):
            files.write_bytes(str(link), b"mine", mode=0o600, follow=False)
    assert link.readlink() == target
    files.write_bytes(str(link), b"mine", mode=0o600, follow=False)
    assert (link.is_symlink(), link.read_text(), mode_of(link)) == (False, "mine", 0o600)
    assert (target.read_text(), mode_of(target)) == ("theirs", 0o644)


def test_a_folder_that_is_not_there_is_a_failure_and_not_a_traceback(tmp_path: Path) -> None:
    with pytest.raises(ModuleFailed, match="cannot write in"):
        files.write_bytes(str(tmp_path / "none" / "file"), b"")


def test_install_moves_or_keeps(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("x")
    files.install(str(source), str(target), keep=True)
    assert source.exists()
    files.install(str(source), str(target))
    assert not source.exists()
    assert target.read_text() == "x"


@pytest.fixture
def labelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a label, as far as a machine without SELinux can have one."""
    (tmp_path / "enforce").write_text("1")
    monkeypatch.setattr(labels, "ENFORCE", str(tmp_path / "enforce"))
    monkeypatch.setattr(labels, "ATTRIBUTE", "user.selinux")
    path = tmp_path / "labelled"
    path.write_text("x")
    os.setxattr(path, "user.selinux", b"system_u:object_r:etc_t:s0\0")
    return path


def test_parts_of_a_label_change_once_and_are_told(labelled: Path) -> None:
    args = {"setype": "bin_t", "seuser": "_default", "selevel": "s0"}
    told: dict[str, Any] = {}
    outcomes = [
        files.apply_permissions(Context(dict(args), check=check), str(labelled), diff=told)
        for check in (True, False, False)
    ]
    assert outcomes == [True, True, False]
    assert os.getxattr(labelled, "user.selinux") == b"system_u:object_r:bin_t:s0\0"
    assert told["after"] == {"secontext": ["system_u", "object_r", "bin_t", "s0"]}


def test_labels_are_left_alone_where_selinux_is_off(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert not files.apply_permissions(Context({"setype": "bin_t"}), str(tmp_path / "file"))


def test_with_selinux_a_new_file_is_made_where_it_stays(labelled: Path) -> None:
    source, target = labelled.parent / "scratch" / "draft", labelled.parent / "etc" / "new"
    for path in (source, target):
        path.parent.mkdir()
    source.write_text("x")
    before = source.stat().st_ino
    files.install(str(source), str(target))
    assert (target.read_text(), source.exists(), target.stat().st_ino != before) == ("x", False, True)


def test_hashes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert files.sha1(str(tmp_path / "a")) == "a9993e364706816aba3e25717850c26c9cd0d89d"
    assert files.sha256(str(tmp_path)) is None
    with pytest.raises(ModuleFailed):
        files.digest(str(tmp_path / "a"), "nonsense")


def test_permissions_change_once_and_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("")
    path.chmod(0o644)
    args = {"mode": "0600", "owner": os.getuid(), "group": str(os.getgid())}
    diff: dict[str, Any] = {}
    assert files.apply_permissions(Context(args, check=True), str(path), diff=diff)
    assert (mode_of(path), diff) == (0o644, {"before": {"mode": "0644"}, "after": {"mode": "0600"}})
    assert files.apply_permissions(Context(args), str(path))
    assert not files.apply_permissions(Context(args), str(path))
    assert mode_of(path) == 0o600


def test_check_mode_of_a_file_to_come_is_a_change(tmp_path: Path) -> None:
    assert files.apply_permissions(Context({"mode": "0600"}, check=True), str(tmp_path / "later"))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"owner": "nobody-here"}, "chown failed: failed to look up user nobody-here"),
        ({"group": "nobody-here"}, "chgrp failed: failed to look up group nobody-here"),
        ({"mode": "rubbish"}, "mode must be in octal or symbolic form"),
    ],
)
def test_wrong_permissions_fail_as_in_ansible(tmp_path: Path, args: dict[str, Any], message: str) -> None:
    with pytest.raises(ModuleFailed, match=message):
        files.apply_permissions(Context(args), str(tmp_path))


def test_differences_of_text_binary_and_large_content() -> None:
    assert files.content_diff(b"a", b"b", "/p") == {
        "before": "a",
        "after": "b",
        "before_header": "/p",
        "after_header": "/p",
    }
    assert files.content_diff(b"\0", b"x" * (files.DIFF_LIMIT + 1), "/p") == {
        "dst_binary": 1,
        "src_larger": files.DIFF_LIMIT,
    }


def test_info_of_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    assert files.path_info(str(tmp_path / "link"))["state"] == "link"
    assert files.path_info(str(tmp_path))["state"] == "directory"
    assert files.path_info(str(tmp_path / "none")) == {"state": "absent"}

"""copy, template, file and stat: what they make, what they leave alone, and what they say."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.invoking import Store, changes, invoke, well

ONE_SHA1 = hashlib.sha1(b"one\n").hexdigest()
ODD_NAMES = ["with space", "new\nline", "-leading", "quote'\"", "$(dollar)", os.fsdecode(b"not-utf8-\xff")]


def mode_of(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):04o}"


def put(content: bytes, dest: Path | str, *, name: str = "", store: Store | None = None, **args: Any) -> dict[str, Any]:
    store = store or Store()
    return invoke("copy", controller=store, dest=str(dest), _entries=[store.offer("", content)], _name=name, **args)


# --- copy ------------------------------------------------------------------------------------------


def test_content_travels_once(tmp_path: Path) -> None:
    store = Store()
    first = put(b"one\n", tmp_path / "f", store=store)
    second = put(b"one\n", tmp_path / "f", store=store)
    assert (first["changed"], second["changed"]) == (True, False)
    assert len(store.asked) == 1
    assert first["checksum"] == second["checksum"] == ONE_SHA1
    assert second["state"] == "file"


def test_check_mode_asks_for_no_content_and_writes_nothing(tmp_path: Path) -> None:
    store = Store()
    reply = put(b"one\n", tmp_path / "f", store=store, check=True)
    assert reply["changed"]
    assert store.asked == []
    assert list(tmp_path.iterdir()) == []


def test_a_diff_shows_both_sides(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old\n")
    reply = put(b"new\n", tmp_path / "f", diff=True, check=True)
    assert (reply["diff"][0]["before"], reply["diff"][0]["after"]) == ("old\n", "new\n")
    assert (tmp_path / "f").read_text() == "old\n"


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names(tmp_path: Path, name: str) -> None:
    assert put(b"x", tmp_path / name)["changed"]
    assert not put(b"x", tmp_path / name)["changed"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_into_a_folder(tmp_path: Path) -> None:
    assert put(b"x", tmp_path, name="src")["dest"] == str(tmp_path / "src")
    assert put(b"x", f"{tmp_path}/deep/er/", name="src")["dest"] == f"{tmp_path}/deep/er/src"
    assert put(b"x", f"{tmp_path}/")["msg"] == "can not use content with a dir as dest"


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    reply = put(b"x", tmp_path / "none" / "f")
    assert reply["failed"]
    assert "does not exist" in reply["msg"]


def test_mode_and_preserve(tmp_path: Path) -> None:
    store = Store()
    entry = store.offer("", b"x", "0751")
    well("copy", controller=store, dest=str(tmp_path / "b"), mode="preserve", _entries=[entry])
    well("copy", controller=store, dest=str(tmp_path / "c"), mode="u=rw,go=", _entries=[entry])
    assert [mode_of(tmp_path / name) for name in "bc"] == ["0751", "0600"]


def test_force_no_keeps_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("mine")
    assert not put(b"theirs", tmp_path / "f", force=False)["changed"]
    assert (tmp_path / "f").read_text() == "mine"


def test_backup_keeps_the_old_content(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    reply = put(b"new", tmp_path / "f", backup=True)
    assert Path(reply["backup_file"]).read_text() == "old"


def test_what_does_not_validate_is_not_placed(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("good")
    reply = put(b"bad", tmp_path / "f", validate="grep -q good %s")
    assert (reply["msg"], reply["exit_status"]) == ("failed to validate", 1)
    assert (tmp_path / "f").read_text() == "good"
    assert put(b"good too", tmp_path / "f", validate="grep -q good %s")["changed"]
    assert "must contain %s" in put(b"x", tmp_path / "f", validate="true")["msg"]


def test_a_link_is_replaced_or_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("target")
    (tmp_path / "link").symlink_to("target")
    assert put(b"followed", tmp_path / "link", follow=True)["dest"] == str(tmp_path / "target")
    assert (tmp_path / "target").read_text() == "followed"
    put(b"replaced", tmp_path / "link")
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "followed"


def test_a_tree(tmp_path: Path) -> None:
    store = Store()
    entries = [
        {"path": "top", "kind": "directory"},
        store.offer("top/a", b"a"),
        store.offer("top/sub/b", b"b", "0700"),
        {"path": "top/link", "kind": "link", "target": "a"},
    ]
    args = {"dest": str(tmp_path / "to"), "_entries": entries, "mode": "preserve", "directory_mode": "0750"}
    assert changes("copy", controller=store, **args) == [True, True, False]
    assert (tmp_path / "to/top/link").read_text() == "a"
    assert mode_of(tmp_path / "to/top/sub") == "0750"
    assert mode_of(tmp_path / "to/top/sub/b") == "0700"


@pytest.mark.parametrize("path", ["../out", "/etc/out", "a/../../out"])
def test_a_tree_stays_below_its_destination(tmp_path: Path, path: str) -> None:
    store = Store()
    entries = [{"path": "", "kind": "directory"}, store.offer(path, b"x")]
    reply = invoke("copy", controller=store, dest=str(tmp_path / "to"), _entries=entries)
    assert "leads out" in reply["msg"]


def test_remote_src(tmp_path: Path) -> None:
    (tmp_path / "src/sub").mkdir(parents=True)
    (tmp_path / "src/sub/f").write_text("f")
    args = {"remote_src": True, "src": f"{tmp_path}/src/", "dest": f"{tmp_path}/dest"}
    assert changes("copy", **args) == [True, True, False]
    assert (tmp_path / "dest/sub/f").read_text() == "f"
    assert (tmp_path / "src/sub/f").exists()
    missing = invoke("copy", remote_src=True, src=str(tmp_path / "no"), dest=str(tmp_path / "x"))
    assert missing["msg"].endswith("/no not found")


def test_a_secret_file_is_never_open_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    rename = os.rename

    def watched(source: str, target: str) -> None:
        seen.append(mode_of(Path(source)))
        rename(source, target)

    monkeypatch.setattr(os, "rename", watched)
    store = Store()
    well("copy", controller=store, dest=str(tmp_path / "s"), mode="0600", _entries=[store.offer("", b"secret")])
    assert seen[-1] == "0600"


# --- file ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_folder_comes_and_goes(tmp_path: Path, name: str) -> None:
    path = str(tmp_path / name / "below")
    assert changes("file", path=path, state="directory", mode="0750") == [True, True, False]
    assert mode_of(tmp_path / name) == "0750"
    assert changes("file", path=str(tmp_path / name), state="absent") == [True, True, False]


def test_mode_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("")
    path.chmod(0o644)
    assert changes("file", path=str(path), mode="u=rw,go=") == [True, True, False]
    assert mode_of(path) == "0600"


def test_links(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("t")
    link = str(tmp_path / "l")
    assert changes("file", path=link, src="t", state="link") == [True, True, False]
    assert str(Path(link).readlink()) == "t"
    assert well("file", path=link, src=str(tmp_path / "t"), state="link")["changed"]
    assert invoke("file", path=link, src="none", state="link")["failed"]
    hard = str(tmp_path / "h")
    assert changes("file", path=hard, src=str(tmp_path / "t"), state="hard") == [True, True, False]
    assert (tmp_path / "t").samefile(hard)


def test_a_file_gives_way_to_a_link_only_by_force(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("f")
    args: dict[str, Any] = {"path": str(tmp_path / "f"), "src": str(tmp_path), "state": "link"}
    assert "refusing to convert" in invoke("file", **args)["msg"]
    assert (tmp_path / "f").read_text() == "f"
    assert well("file", force=True, **args)["changed"]


def test_touch(tmp_path: Path) -> None:
    path = str(tmp_path / "f")
    assert well("file", path=path, state="touch")["changed"]
    kept = {"modification_time": "preserve", "access_time": "preserve"}
    assert not well("file", path=path, state="touch", **kept)["changed"]
    well("file", path=path, state="touch", modification_time="202001020304.05")
    assert Path(path).stat().st_mtime < 1577999999


def test_recursion_does_not_leave_the_tree_by_a_link_unless_asked(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("")
    outside.chmod(0o644)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/link").symlink_to(outside)
    well("file", path=str(tmp_path / "in"), state="directory", recurse=True, mode="go-rwx", follow=False)
    assert mode_of(outside) == "0644"
    well("file", path=str(tmp_path / "in"), state="directory", recurse=True, mode="go-rwx")
    assert mode_of(outside) == "0600"


def test_absent_removes_a_link_not_its_target(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").write_text("")
    (tmp_path / "l").symlink_to("d")
    assert well("file", path=str(tmp_path / "l"), state="absent")["changed"]
    assert (tmp_path / "d/f").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"state": "file"}, "is absent, cannot continue"),
        ({"state": "touch", "owner": "no-such-user"}, "failed to look up user no-such-user"),
        ({"state": "touch", "mode": "zz"}, "mode must be in octal or symbolic form"),
        ({"state": "link"}, "src is required for creating new symlinks"),
        ({"state": "sideways"}, "value of state must be one of"),
    ],
)
def test_what_file_refuses(tmp_path: Path, args: dict[str, Any], message: str) -> None:
    reply = invoke("file", path=str(tmp_path / "f"), **args)
    assert reply["failed"]
    assert message in reply["msg"]


# --- stat and slurp --------------------------------------------------------------------------------


def test_stat_tells_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("one\n")
    (tmp_path / "f").chmod(0o640)
    found = well("stat", path=str(tmp_path / "f"))["stat"]
    assert (found["exists"], found["isreg"], found["mode"], found["size"]) == (True, True, "0640", 4)
    assert found["checksum"] == ONE_SHA1
    assert (found["rusr"], found["xusr"], found["roth"]) == (True, False, False)
    (tmp_path / "l").symlink_to("f")
    assert well("stat", path=str(tmp_path / "l"))["stat"]["lnk_source"] == str(tmp_path / "f")
    assert well("stat", path=str(tmp_path / "l"), follow=True)["stat"]["isreg"]
    assert well("stat", path=str(tmp_path / "none"))["stat"] == {"exists": False}


def test_slurp(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"\xff\x00")
    assert well("slurp", src=str(tmp_path / "f"))["content"] == "/wA="
    assert invoke("slurp", src=str(tmp_path))["msg"].startswith("Source is a directory")
    assert invoke("slurp", src=str(tmp_path / "no"))["msg"].startswith("File not found")


def test_a_file_that_cannot_be_as_asked_is_not_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "f"
    assert invoke("file", path=str(path), state="touch", owner="nobody-of-this-name")["failed"]
    assert not path.exists()
    path.write_text("mine")
    assert invoke("file", path=str(path), state="touch", owner="nobody-of-this-name")["failed"]
    assert path.read_text() == "mine"


def test_check_mode_warns_of_owners_that_an_earlier_task_may_make(tmp_path: Path) -> None:
    reply = well(
        "file", check=True, path=str(tmp_path / "f"), state="touch", owner="nobody-of-this-name", group="987654"
    )
    assert [warning.partition(".")[0] for warning in reply["warnings"]] == [
        "failed to look up user nobody-of-this-name",
        "failed to look up group with gid 987654",
    ]
    assert "warnings" not in well("file", check=True, path=str(tmp_path / "f"), state="touch", owner="root", group="0")


def test_copy_on_the_host_takes_files_and_folders_with_their_modes(tmp_path: Path) -> None:
    assert (
        invoke("copy", src="/dev/null", dest=str(tmp_path / "f"), remote_src=True)["msg"]
        == "Source /dev/null is not a file"
    )
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/f").write_text("x")
    (tmp_path / "tree/f").chmod(0o640)
    args = {"src": f"{tmp_path}/tree/", "dest": f"{tmp_path}/new/", "remote_src": True, "mode": "preserve"}
    assert changes("copy", **args)[1:] == [True, False]
    assert (tmp_path / "new/f").stat().st_mode & 0o777 == 0o640

"""lineinfile, blockinfile, replace and ini_file: one change, then none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.invoking import changes, invoke, well

LINES = "a=1\nb=2\n# c\nb=3\n"


@pytest.mark.parametrize(
    ("args", "after"),
    [
        ({"line": "d=4"}, "a=1\nb=2\n# c\nb=3\nd=4\n"),
        ({"line": "b=9", "regexp": "^b="}, "a=1\nb=2\n# c\nb=9\n"),
        ({"line": "b=9", "regexp": "^b=", "firstmatch": True}, "a=1\nb=9\n# c\nb=3\n"),
        ({"line": "z", "insertafter": "^a"}, "a=1\nz\nb=2\n# c\nb=3\n"),
        ({"line": "z", "insertbefore": "^b"}, "a=1\nb=2\n# c\nz\nb=3\n"),
        ({"line": "z", "insertbefore": "BOF"}, "z\na=1\nb=2\n# c\nb=3\n"),
        ({"line": "z", "insertafter": "^nothing"}, LINES + "z\n"),
        ({"line": "-n", "search_string": "# c"}, "a=1\nb=2\n-n\nb=3\n"),
        ({"regexp": "^b=", "state": "absent"}, "a=1\n# c\n"),
        ({"line": "# c", "state": "absent"}, "a=1\nb=2\nb=3\n"),
    ],
)
def test_lineinfile(tmp_path: Path, args: dict[str, Any], after: str) -> None:
    path = tmp_path / "f"
    path.write_text(LINES)
    assert changes("lineinfile", path=str(path), **args) == [True, True, False]
    assert path.read_text() == after


def test_backrefs_fill_groups_and_never_add(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("port = 80\n")
    well("lineinfile", path=str(path), regexp=r"^(port\s*=).*", line=r"\1 8080", backrefs=True)
    assert path.read_text() == "port = 8080\n"
    assert not well("lineinfile", path=str(path), regexp="^host", line="host", backrefs=True)["changed"]


def test_a_last_line_without_newline_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"caf\xe9\r\nend")
    assert changes("lineinfile", path=str(path), line="new") == [True, True, False]
    assert path.read_bytes() == b"caf\xe9\r\nend\nnew\r\n"


def test_lineinfile_needs_a_file_or_makes_one(tmp_path: Path) -> None:
    path = str(tmp_path / "sub" / "f")
    assert invoke("lineinfile", path=path, line="x")["rc"] == 257
    assert invoke("lineinfile", path=str(tmp_path), line="x")["rc"] == 256
    assert not well("lineinfile", path=path, line="x", state="absent")["changed"]
    assert changes("lineinfile", path=path, line="x", create=True, mode="0600") == [True, True, False]


def test_a_wrong_expression_is_told(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    for module in ("lineinfile", "replace"):
        more: dict[str, Any] = {"line": "x"} if module == "lineinfile" else {}
        reply = invoke(module, path=str(tmp_path / "f"), regexp="(", **more)
        assert "unterminated subpattern" in reply["msg"]


def test_what_does_not_validate_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("good\n")
    reply = invoke("lineinfile", path=str(tmp_path / "f"), line="more", validate="false %s")
    assert reply["msg"].startswith("failed to validate")
    assert (tmp_path / "f").read_text() == "good\n"


def test_blockinfile_comes_changes_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("top\nend")
    args = {"path": str(path), "insertafter": "^top"}
    assert changes("blockinfile", block="x\ny", **args) == [True, True, False]
    marked = "# BEGIN ANSIBLE MANAGED BLOCK\n{}# END ANSIBLE MANAGED BLOCK\n"
    assert path.read_text() == "top\n" + marked.format("x\ny\n") + "end"
    assert changes("blockinfile", block="z\n", **args) == [True, True, False]
    assert path.read_text() == "top\n" + marked.format("z\n") + "end"
    assert changes("blockinfile", state="absent", **args) == [True, True, False]
    assert path.read_text() == "top\nend"


def test_blocks_of_several_markers_stand_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "f"
    for name in ("one", "two"):
        well("blockinfile", path=str(path), block=name, marker=f"// {{mark}} {name}", create=True)
    assert path.read_text() == "// BEGIN one\none\n// END one\n// BEGIN two\ntwo\n// END two\n"


def test_replace(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("x=1\nbegin\nx=2\nend\nx=3\n")
    args = {"path": str(path), "regexp": r"^x=(\d)$", "replace": r"y=\1\1"}
    assert changes("replace", after="begin\n", before="end", **args) == [True, True, False]
    assert path.read_text() == "x=1\nbegin\ny=22\nend\nx=3\n"
    assert well("replace", **args)["msg"] == "2 replacements made"
    assert not well("replace", after="nothing", **args)["changed"]


@pytest.mark.parametrize(
    ("args", "after"),
    [
        ({"section": "s", "option": "a", "value": "1"}, "[s]\na = 1\nb=2\n\n[t]\nc = 3\n"),
        ({"section": "s", "option": "b", "value": "9", "no_extra_spaces": True}, "[s]\n#a = 0\nb=9\n\n[t]\nc = 3\n"),
        ({"section": "s", "option": "n", "value": "1"}, "[s]\n#a = 0\nb=2\nn = 1\n\n[t]\nc = 3\n"),
        ({"section": "t", "option": "c", "values": ["4", "5"]}, "[s]\n#a = 0\nb=2\n\n[t]\nc = 4\nc = 5\n"),
        ({"section": "t", "option": "c", "state": "absent"}, "[s]\n#a = 0\nb=2\n\n[t]\n"),
        ({"section": "s", "state": "absent"}, "[t]\nc = 3\n"),
        ({"section": "u", "option": "d", "value": "4"}, "[s]\n#a = 0\nb=2\n\n[t]\nc = 3\n[u]\nd = 4\n"),
        ({"option": "top", "value": "1"}, "top = 1\n[s]\n#a = 0\nb=2\n\n[t]\nc = 3\n"),
    ],
)
def test_ini_file(tmp_path: Path, args: dict[str, Any], after: str) -> None:
    path = tmp_path / "f"
    path.write_text("[s]\n#a = 0\nb=2\n\n[t]\nc = 3\n")
    assert changes("ini_file", path=str(path), **args) == [True, True, False]
    assert path.read_text() == after


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ({"insertafter": r"(?m)^b=2\n# c"}, 3),
        ({"insertbefore": r"(?m)b=2\n# c"}, 1),
        ({"insertafter": r"b=2\n# c"}, 4),
    ],
)
def test_a_block_may_follow_several_lines(tmp_path: Path, place: dict[str, Any], line: int) -> None:
    path = tmp_path / "f"
    path.write_text(LINES)
    assert changes("blockinfile", path=str(path), block="x", marker="# {mark}", **place) == [True, True, False]
    assert path.read_text().splitlines()[line] == "# BEGIN"

"""How two engines' runs are compared: what is read of their text, and that no difference goes unseen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.differential.case import Case, Known
from tests.differential.footprint import Entry, Footprint
from tests.differential.transcript import read_transcript
from tests.differential.verdict import Verdict, saved, unexpected

TEXT = """
PLAY [Some hosts] **************************************************************

TASK [meta] ********************************************************************

TASK [say] *********************************************************************
ok: [h2] => {
    "msg": "two"
}
ok: [h1 -> h3(10.0.0.3)] => (item=a) => {
    "msg": [
        1
    ]
}
skipping: [h1] => (item=b)\x20

TASK [include_tasks] ***********************************************************
included: /somewhere/case/more.yml for h1, h2

TASK [break] *******************************************************************
--- before
+++ after
@@ -1 +1 @@
-old
+new
changed: [h1]
fatal: [h2]: FAILED! => {"changed": false, "msg": "no"}
...ignoring
fatal: [h3]: UNREACHABLE! => {"changed": false, "unreachable": true}

RUNNING HANDLER [handle] *******************************************************
changed: [h1]

NO MORE HOSTS LEFT *************************************************************

PLAY RECAP *********************************************************************
h1                         : ok=2    changed=2    unreachable=0    failed=0
"""
LINES = [
    "PLAY [Some hosts]",
    "TASK [say]",
    '  h1 ok -> h3 item=a says {"msg": [1]}',
    "  h1 skipped item=b",
    '  h2 ok says {"msg": "two"}',
    "TASK [include_tasks]",
    "  h1 included more.yml",
    "  h2 included more.yml",
    "TASK [break]",
    "  h1 diff -old",
    "  h1 diff +new",
    "  h1 changed",
    "  h2 failed",
    "  h3 unreachable",
    "  ...ignoring 1",
    "RUNNING HANDLER [handle]",
    "  h1 changed",
    "PLAY RECAP",
    "  h1 ok=2 changed=2 unreachable=0 failed=0",
]


def verdict(*lines: str) -> Verdict:
    return Verdict("engine", "", (lines,))


@pytest.fixture
def case(tmp_path: Path) -> Case:
    (tmp_path / "site.yml").write_text("- hosts: h1\n")
    return Case("some", tmp_path, ((),))


def test_a_transcript_is_what_happened_host_after_host() -> None:
    assert read_transcript(TEXT, folder="/somewhere/case/") == LINES


def test_every_difference_is_told(case: Case) -> None:
    assert unexpected(case, verdict("a", "b"), verdict("a", "b")) == []
    assert unexpected(case, verdict("a", "b"), verdict("a", "c")) == ["some, run 1:\n  - b\n  + c"]
    assert unexpected(case, verdict("a", "b"), verdict("b", "a")) != []


def test_a_known_difference_is_expected_as_it_stands_and_told_when_it_heals(case: Case) -> None:
    known = replace(case, known=(Known(1, ("b",), ("c",), "on purpose"),))
    assert unexpected(known, verdict("a", "b"), verdict("a", "c")) == []
    assert unexpected(known, verdict("a", "b"), verdict("a", "d")) != []
    assert "no longer different" in unexpected(known, verdict("a", "b"), verdict("a", "b"))[0]


def test_a_changed_play_wants_a_new_verdict(case: Case) -> None:
    digest = case.digest()
    (case.folder / "known.yml").write_text("[]\n")
    assert case.digest() == digest
    (case.folder / "site.yml").write_text("- hosts: h2\n")
    assert case.digest() != digest
    with pytest.raises(AssertionError, match=r"python -m tests.differential renew some"):
        saved(case)


def test_a_footprint_tells_files_written_again_and_things_gone(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/new").write_text("new")
    paths = {"etc/kept": Entry("-rw", 1, 1), "etc/gone": Entry("-rw"), "etc/new": Entry("-rw", 1, 1)}
    before = Footprint(tmp_path, paths, frozenset({"ed"}), frozenset({"user ann"}))
    now = {"etc/kept": Entry("-rw", 1, 1), "etc/new": Entry("-rw", 1, 2)}
    after = Footprint(tmp_path, now, frozenset({"hello"}), frozenset({"user ann"}))
    content = "11507a0e2f5e69d5"
    assert after.since(before) == [
        "- /etc/gone",
        f"~ /etc/new -rw sha256:{content}",
        "- package ed",
        "+ package hello",
    ]

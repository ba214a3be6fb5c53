"""How sources of packages and their keys are read and written."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1fleet.modules import _openpgp, _sourcelists, apt_repository, deb822_repository
from tests.invoking import changes, invoke, well

ARMORED = (Path(__file__).parents[1] / "differential/cases/sources/files/key.asc").read_bytes()
LINE = "deb http://one.example/debian stable main"


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of apt's own."""
    for module in (_sourcelists, apt_repository):
        monkeypatch.setattr(module, "PARTS", str(tmp_path / "sources.list.d"))
    monkeypatch.setattr(_sourcelists, "MAIN", str(tmp_path / "sources.list"))
    monkeypatch.setattr(deb822_repository, "SOURCES", str(tmp_path / "sources.list.d"))
    monkeypatch.setattr(deb822_repository, "KEYRINGS", str(tmp_path / "keyrings"))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("deb  http://a/ b\tc", ("deb http://a/ b c", True, "")),
        ("deb [signed-by=/x] http://a/ b/ # why # so", ("deb [signed-by=/x] http://a/ b/", True, "why # so")),
        ("#deb-src http://a b c", ("deb-src http://a b c", False, "")),
        ("#  deb http://a b c#x\n", ("deb http://a b c", False, "x")),
        ("# a deb of some kind", None),
        ("debx http://a b c", None),
        ("#", None),
        ("", None),
    ],
)
def test_a_line_of_a_list(text: str, line: tuple[str, bool, str] | None) -> None:
    assert _sourcelists.parse_line(text) == line


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (
            "deb [arch=amd64 signed-by=/usr/x.gpg] https://me:word@a-b.example.com:8080/c/d/ stable main",
            "a_b_example_com_8080_c_d",
        ),
        ("deb-src http://deb.example.org/debian bookworm main", "deb_example_org_debian"),
        ("deb file:/srv/repo ./", "file_srv_repo"),
    ],
)
def test_a_file_is_named_for_the_address_without_credentials(source: str, name: str) -> None:
    assert _sourcelists.file_name(source) == name


def test_lines_that_name_no_source_stay_as_they_are(apt: Path) -> None:
    path = apt / "sources.list"
    path.write_text(f"# note\n\n#  {LINE}   # off\ndeb   http://b  c d")
    assert changes("apt_repository", repo=LINE, update_cache=False) == [True, True, False]
    assert path.read_text() == f"# note\n\n{LINE} # off\ndeb   http://b  c d"
    assert changes("apt_repository", repo=LINE, update_cache=False, state="absent") == [True, True, False]
    assert path.read_text() == "# note\n\ndeb   http://b  c d"


def test_a_list_that_names_nothing_any_more_goes(apt: Path) -> None:
    well("apt_repository", repo=LINE, update_cache=False, filename="one")
    reply = well("apt_repository", repo=LINE, update_cache=False, state="absent", diff=True)
    assert reply["sources_removed"] == [str(apt / "sources.list.d/one.list")]
    assert reply["diff"][0]["before"] == LINE + "\n"
    assert not list((apt / "sources.list.d").iterdir())


def test_the_name_of_a_ppa_is_refused_with_a_way_out(apt: Path) -> None:
    assert "deb822_repository" in invoke("apt_repository", repo="ppa:one/two")["hint"]


def test_what_is_a_public_key() -> None:
    assert _openpgp.is_public_key(ARMORED)
    assert _openpgp.is_public_key(b"\x98\x33\x04")
    assert _openpgp.is_public_key(b"\xc6\x33\x04")
    assert not _openpgp.is_public_key(b"\x95\x03")  # a secret key
    assert not _openpgp.is_public_key(b"<html>a page that tells of a fault</html>")
    assert not _openpgp.is_public_key(b"")


def test_a_page_is_not_kept_for_a_key(apt: Path, tmp_path: Path) -> None:
    page = tmp_path / "page"
    page.write_text("<html>log in first</html>")
    reply = invoke("deb822_repository", name="one", uris=["http://one.example"], signed_by=page.as_uri())
    assert reply["msg"] == f"Could not fetch signed_by key: what {page.as_uri()} gives is not an OpenPGP public key"
    assert not (apt / "keyrings").exists()
    assert not (apt / "sources.list.d").exists()


def test_a_key_and_a_source_are_put_right_again(apt: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(ARMORED)
    args = {"name": "My Repo", "uris": ["http://one.example"], "suites": ["stable"], "components": ["main"]}
    assert changes("deb822_repository", signed_by=key.as_uri(), **args) == [True, True, False]
    kept = apt / "keyrings/my-repo.asc"
    kept.chmod(0o600)
    assert changes("deb822_repository", signed_by=key.as_uri(), **args) == [True, True, False]
    assert kept.stat().st_mode & 0o777 == 0o644
    kept.write_bytes(b"other")
    reply = well("deb822_repository", signed_by=key.as_uri(), diff=True, check=True, **args)
    assert [part["before"] for part in reply["diff"]] == ["other"]
    assert f"Signed-By: {kept}\n" in reply["repo"]
    assert changes("deb822_repository", name="My Repo", state="absent") == [True, True, False]
    assert not kept.exists()


def test_a_name_without_letters_names_no_file(apt: Path) -> None:
    assert "to name files after" in invoke("deb822_repository", name="!!!", uris=["x"])["msg"]

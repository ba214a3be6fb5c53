"""What the lab decides before it touches the machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from r1fleet import lab as labs
from r1fleet.errors import ExitCode, LabError
from r1fleet.inventory import Host
from r1fleet.lab import ground, layout, recipe, sources
from r1fleet.lab.handout import inventory_data
from r1fleet.lab.layout import Lab
from r1fleet.lab.proxy import config_text, filter_text
from r1fleet.ssh.target import target_of

STANZAS = """\
# the archive
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: sid sid-updates
Components: main
Signed-By: /usr/share/keyrings/archive.gpg

Types: deb
URIs: https://vendor.example/apt
Suites: stable
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: sid
Components: main

Types: deb
URIs: mirror+file:{mirrors}
Suites: sid
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
"""
LINES = """\
deb [arch=amd64 signed-by=/etc/apt/keyrings/a.gpg] http://lines.example/debian sid main contrib # trailing
deb-src http://lines.example/debian sid main
deb cdrom:[Debian]/ sid main
"""


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like /etc/apt of a machine whose release is called sid."""
    monkeypatch.setattr(sources, "codename", lambda: "sid")
    mirrors = tmp_path / "mirrors.list"
    mirrors.write_text("http://first.example/debian priority:1\n# none\nhttps://second.example/debian\n")
    folder = tmp_path / "sources.list.d"
    folder.mkdir()
    (folder / "a.sources").write_text(STANZAS.format(mirrors=mirrors))
    (folder / "b.list").write_text(LINES)
    (folder / "c.sources.disabled").write_text(STANZAS.format(mirrors=mirrors))
    return tmp_path


def test_only_the_releases_own_network_sources_are_taken(apt: Path) -> None:
    found = sources.machine_sources(apt)

    assert [source.words("uris") for source in found] == [
        ["http://lines.example/debian"],
        ["http://mirror.example/debian"],
        ["http://first.example/debian", "https://second.example/debian"],
    ]
    assert all(source.fields["types"] == "deb" for source in found)


def test_sources_are_written_as_apt_reads_them(apt: Path) -> None:
    lines, archive, mirrored = (source.render() for source in sources.machine_sources(apt))

    assert "Architectures: amd64\n" in lines
    assert "Signed-By: /etc/apt/keyrings/a.gpg\n" in lines
    assert "URIs: http://mirror.example/debian\nSuites: sid sid-updates\n" in archive
    assert mirrored.endswith("Signed-By: \n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n")
    assert [source.fields for source in sources.parse_deb822(archive)] == [sources.machine_sources(apt)[1].fields]


def test_a_machine_without_an_archive_is_told_so(apt: Path) -> None:
    for path in (apt / "sources.list.d").iterdir():
        path.unlink()
    with pytest.raises(LabError, match="hold no sid main"):
        sources.machine_sources(apt)


def test_the_proxy_knows_exact_names_only() -> None:
    urls = [urlsplit(url) for url in ("http://mirror.example/debian", "https://pip.example:8443/simple")]

    assert filter_text(urls) == "^mirror\\.example$\n^pip\\.example$\n"
    text = config_text(Lab("demo", 7, 2, Path("/cache/lab/demo")), urls, "", [])
    assert "FilterDefaultDeny Yes" in text
    assert "Listen 10.77.7.1\n" in text
    assert "Allow 10.77.7.0/24\n" in text
    assert "ConnectPort 443\nConnectPort 8443\n" in text
    assert "Upstream" not in text


@pytest.mark.parametrize("upstream", ["http://me:secret@proxy.example:8080/", "me:secret@proxy.example:8080"])
def test_the_machines_own_proxy_comes_next(upstream: str) -> None:
    text = config_text(Lab("demo", 7, 2, Path("/cache/lab/demo")), [], upstream, [".internal"])

    assert 'Upstream http me:secret@proxy.example:8080\nUpstream none ".internal"\n' in text


def test_every_name_fits_the_kernel() -> None:
    for number in range(layout.NUMBERS):
        lab = Lab("x" * 31, number, layout.MOST_HOSTS, Path("/cache"))
        last = lab.hosts[-1]
        assert len(lab.interface) <= 15
        assert len(last.name) <= 15
        assert len(last.namespace) <= 64
        assert int(last.address.rpartition(".")[2]) <= 254


@pytest.mark.parametrize("name", ["", "Lab", "1st", "a_b", "../up", "x" * 32])
def test_names_that_a_lab_cannot_have(name: str) -> None:
    with pytest.raises(LabError, match="cannot be a lab's name"):
        layout.check_name(name)


@pytest.mark.parametrize("size", [0, -1, 241])
def test_sizes_that_a_lab_cannot_have(size: int) -> None:
    with pytest.raises(LabError, match="choose 1 to 240"):
        layout.check_size(size)


def test_the_inventory_keeps_the_hosts_order_and_quotes_spaces() -> None:
    data = inventory_data(Lab("demo", 3, 11, Path("/my cache/lab/demo")), {"weights_dir": "/srv"})["all"]

    assert list(data["children"]["lab"]["children"]["nodes"]["hosts"]) == [f"h{index}" for index in range(1, 12)]
    assert data["vars"]["weights_dir"] == "/srv"
    assert target_of(Host("h1", data["vars"])).known_hosts == ("/my cache/lab/demo/known_hosts",)
    assert data["vars"]["ansible_ssh_common_args"] == "-o 'UserKnownHostsFile=\"/my cache/lab/demo/known_hosts\"'"


def test_any_change_of_the_recipe_makes_a_new_image() -> None:
    archive = sources.Source({"types": "deb", "uris": "http://mirror.example", "suites": "sid", "components": "main"})
    first = recipe.Recipe("sid", (archive,), {}, {"/key.gpg": "aa"}, "bb")

    assert first.digest == recipe.Recipe("sid", (archive,), {}, {"/key.gpg": "aa"}, "bb").digest
    others = [
        recipe.Recipe("forky", (archive,), {}, {"/key.gpg": "aa"}, "bb"),
        recipe.Recipe("sid", (archive, archive), {}, {"/key.gpg": "aa"}, "bb"),
        recipe.Recipe("sid", (archive,), {"Acquire::Check-Date": "false"}, {"/key.gpg": "aa"}, "bb"),
        recipe.Recipe("sid", (archive,), {}, {"/key.gpg": "ab"}, "bb"),
        recipe.Recipe("sid", (archive,), {}, {"/key.gpg": "aa"}, "bc"),
    ]
    assert len({first.digest, *(other.digest for other in others)}) == 6


def test_without_root_there_is_one_clear_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for use in (lambda: labs.up("lab"), lambda: labs.down("lab"), lambda: labs.break_host("lab", "h1", "crash")):
        with pytest.raises(LabError, match="needs root") as caught:
            use()
        assert caught.value.exit_code == ExitCode.USAGE
        assert "sudo" in str(caught.value.hint)


def test_on_another_system_there_is_one_clear_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(LabError, match="needs Linux"):
        ground.check_ground()


def test_missing_packages_are_named_with_their_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    present = {"apt-get", "ip", "ssh", "ssh-keygen", "ps", "nft"}
    monkeypatch.setattr("shutil.which", lambda program, path=None: program if program in present else None)
    with pytest.raises(LabError, match="not installed: mmdebstrap systemd-container tinyproxy") as caught:
        ground.check_ground()
    assert str(caught.value.hint).startswith("apt-get install -y --no-install-recommends mmdebstrap ")


def test_a_kernel_without_overlayfs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda program, path=None: program)
    monkeypatch.setattr(ground, "_has_overlayfs", lambda: False)
    monkeypatch.setattr(ground, "succeeds", lambda command: False)
    with pytest.raises(LabError, match="no overlayfs"):
        ground.check_ground()

"""ssh_config with files included into it."""

from __future__ import annotations

from pathlib import Path

import paramiko
import pytest

from r1fleet.errors import UsageError
from r1fleet.ssh.config import read_config


def lookup(folder: Path, host: str) -> dict[str, object]:
    config = paramiko.SSHConfig()
    read_config(config, folder / "config", folder)
    return dict(config.lookup(host))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "gpu.conf").write_text('Host gpu1 "gpu2"\n  HostName 10.0.0.1\n  ProxyJump=hop\n')
    (tmp_path / "inner").write_text(
        "HostKeyAlias all-web\nHost web1 !webx\n  Compression yes\nMatch user root\n Port 3\n"
    )
    (tmp_path / "config").write_text(
        "Include conf.d/*.conf none-here\nUser everyone\n"
        "Host web*\n  Port 1\n  Include inner\n  ForwardAgent yes\nMatch host other\n  Port 9\n"
    )
    return tmp_path


def test_included_files_count_where_they_stand(folder: Path) -> None:
    gpu = {"hostname": "10.0.0.1", "proxyjump": "hop", "user": "everyone"}
    assert lookup(folder, "gpu1") == lookup(folder, "gpu2") == gpu


def test_what_follows_an_include_belongs_to_the_section_before_it(folder: Path) -> None:
    web = {"user": "everyone", "port": "1", "hostkeyalias": "all-web", "forwardagent": "yes"}
    assert lookup(folder, "web2") == {**web, "hostname": "web2"}
    assert lookup(folder, "web1") == {**web, "hostname": "web1", "compression": "yes"}
    assert lookup(folder, "other") == {"user": "everyone", "hostname": "other", "port": "9"}
    assert lookup(folder, "webx") == {**web, "hostname": "webx"}


def test_a_file_that_includes_itself_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("Include config\n")
    with pytest.raises(UsageError, match="includes itself"):
        lookup(tmp_path, "any")


def test_no_file_says_nothing(tmp_path: Path) -> None:
    assert lookup(tmp_path, "any") == {"hostname": "any"}

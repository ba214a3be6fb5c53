"""git: how it reaches hosts, which URLs are one place, who has signed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from r1fleet.modules import _git, _gitextras

NOTHING: dict[str, Any] = {"ssh_opts": None, "accept_hostkey": False, "accept_newhostkey": False, "key_file": None}


@pytest.mark.parametrize(
    ("args", "command"),
    [
        ({}, "ssh -o BatchMode=yes"),
        ({"accept_hostkey": True}, "ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new"),
        ({"accept_newhostkey": True}, "ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new"),
        ({"key_file": "/k y"}, "ssh -o BatchMode=yes -i '/k y' -o IdentitiesOnly=yes"),
        ({"ssh_opts": "-p 7"}, "ssh -p 7 -o BatchMode=yes"),
        ({"ssh_opts": "-o BatchMode=no"}, "ssh -o BatchMode=no"),
    ],
)
def test_git_reaches_hosts_by_an_ssh_that_never_asks(
    monkeypatch: pytest.MonkeyPatch, args: dict[str, Any], command: str
) -> None:
    monkeypatch.delenv("GIT_SSH_COMMAND", raising=False)
    assert _git.ssh_command({**NOTHING, **args}, {}) == command


def test_the_ssh_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_SSH_COMMAND", "ssh -F hosts")
    assert _git.ssh_command(NOTHING, {}) == "ssh -F hosts -o BatchMode=yes"
    assert _git.ssh_command(NOTHING, {"GIT_SSH_COMMAND": "task"}) == "task -o BatchMode=yes", "the task's comes first"


def test_one_repository_may_have_several_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "link").symlink_to(tmp_path / "repo")
    for other in (f"file://{tmp_path}/repo", f"{tmp_path}/repo/", f"{tmp_path}/link", "~/repo"):
        assert _git.same_place(f"{tmp_path}/repo", other)
    assert not _git.same_place(f"{tmp_path}/repo", f"{tmp_path}/repo2")
    assert not _git.same_place("https://host/repo", "https://host/repo.git"), "only the server knows"


def test_signers_are_those_of_a_valid_signature() -> None:
    valid = "[GNUPG:] VALIDSIG SUBKEY 2026-01-01 1 0 4 0 1 10 00 PRIMARY"
    assert _gitextras.signers(f"[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG X name\n{valid}\n") == ["SUBKEY", "PRIMARY"]
    assert _gitextras.signers(valid.replace("PRIMARY", "SUBKEY")) == ["SUBKEY"]
    assert _gitextras.signers("gpg: [GNUPG:] VALIDSIG FORGED\n[GNUPG:] BADSIG X name\n") == []

"""What can be said about SSH without a server: inventories' options and known_hosts."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path
from typing import Any

import paramiko
import pytest

from r1fleet.errors import HostUnreachable, InventoryError
from r1fleet.inventory import Host
from r1fleet.ssh.channel import ChannelWire
from r1fleet.ssh.hostkeys import HostKeys
from r1fleet.ssh.knownhosts import entry_name, known_keys, learn
from r1fleet.ssh.target import Target, target_of


def target(**variables: Any) -> Target:
    return target_of(Host("h1", variables))


def test_a_host_without_variables_leaves_all_to_ssh_config() -> None:
    assert target() == Target("h1", "h1")


def test_connection_variables() -> None:
    found = target(
        ansible_host="10.0.0.1",
        ansible_port="2222",
        ansible_user="me",
        ansible_password="s3cret",
        ansible_ssh_private_key_file="~/key",
        ansible_ssh_common_args="-o UserKnownHostsFile=/k -oproxyjump=gate -i /other",
        ansible_ssh_extra_args='-o "ConnectTimeout 5" -o StrictHostKeyChecking=yes',
    )
    assert found == Target("h1", "10.0.0.1", 2222, "me", "s3cret", ("~/key", "/other"), ("/k",), "gate", 5)
    assert "s3cret" not in repr(found)


@pytest.mark.parametrize(
    ("args", "named"),
    [
        ("-o ControlMaster=auto", "ControlMaster"),
        ("-o StrictHostKeyChecking=no", "StrictHostKeyChecking=no"),
        ("-A", "-A"),
        ("-o 'unclosed", "cannot be read"),
        ("-o ConnectTimeout=soon", "ConnectTimeout"),
    ],
)
def test_an_option_that_is_not_honoured_is_named(args: str, named: str) -> None:
    with pytest.raises(InventoryError, match=named):
        target(ansible_ssh_common_args=args)


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("keys") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


@pytest.mark.parametrize("line", ["h1 {key}", "*.lab,h? {key}", "[h1]:2222,h1 {key} comment"])
def test_lines_that_speak_of_a_host(tmp_path: Path, public: str, line: str) -> None:
    path = tmp_path / "known_hosts"
    path.write_text("# comment\nbroken\n" + line.format(key=public) + "\n")
    assert [key.kind for key in known_keys([str(path)], "h1")] == ["ssh-ed25519"]


@pytest.mark.parametrize("line", ["*,!h1 {key}", "[h1]:2222 {key}", "@cert-authority h1 {key}", "h {key}"])
def test_lines_that_do_not(tmp_path: Path, public: str, line: str) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(line.format(key=public) + "\n")
    assert known_keys([str(path)], "h1") == []


def test_hashed_names_and_ports_as_openssh_writes_them(tmp_path: Path, public: str) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(f"h1 {public}\n[h1]:2222 {public}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", path], check=True, capture_output=True)
    assert all(line.startswith("|1|") for line in path.read_text().splitlines())
    assert len(known_keys([str(path)], entry_name("h1", 22))) == 1
    assert len(known_keys([str(path)], entry_name("H1", 2222))) == 1


def test_the_fingerprint_is_openssh_s(tmp_path: Path, public: str) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(f"h1 {public}\n")
    shown = subprocess.run(["ssh-keygen", "-lf", path], check=True, capture_output=True, text=True).stdout
    assert known_keys([str(path)], "h1")[0].fingerprint in shown


def test_learning_appends_once_after_whatever_was_there(tmp_path: Path, public: str) -> None:
    path, data = tmp_path / "deep" / "known_hosts", base64.b64decode(public.split()[1])
    learn(path, "h1", "ssh-ed25519", data)
    path.write_text(path.read_text() + "other line without end")
    learn(path, "h1", "ssh-ed25519", data)
    learn(path, "h2", "ssh-ed25519", data)
    assert path.read_text().splitlines() == [f"h1 {public}", "other line without end", f"h2 {public}"]


def test_a_revoked_key_is_refused_even_when_learning(tmp_path: Path, public: str) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(f"@revoked * {public}\nh1 {public}\n")
    keys = HostKeys("h1", "h1", 22, (str(path),), (), accept_new=True)
    with pytest.raises(HostUnreachable, match="revoked"):
        keys.check("ssh-ed25519", base64.b64decode(public.split()[1]))


def test_a_host_is_asked_for_a_key_of_a_kind_on_record(tmp_path: Path, public: str) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(f"h1 ssh-rsa AAAA\nh1 {public}\n")
    assert HostKeys("h1", "h1", 22, (str(path),), ()).kinds() == ["rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"]


def test_a_channel_whose_connection_broke_meanwhile_is_let_go_without_a_word() -> None:
    class Broken(paramiko.Channel):
        def close(self) -> None:
            raise EOFError

    ChannelWire(Broken(0)).release()

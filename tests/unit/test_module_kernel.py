"""modprobe, sysctl, hostname and timezone on a made-up kernel: a container cannot do what they ask for."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from r1fleet.modules import hostname, modprobe, sysctl, timezone
from tests.invoking import changes, invoke, well

Program = Callable[[str, str], Path]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Put shell scripts first on the PATH; each notes its words in a file."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/sbin:/usr/bin:/sbin:/bin")

    def make(name: str, text: str) -> Path:
        notes = tmp_path / f"{name}.calls"
        (folder / name).write_text(f'#!/bin/sh\necho "$*" >> {notes}\n{text}\n')
        (folder / name).chmod(0o755)
        return notes

    return make


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: Program) -> Path:
    """A kernel with two modules loaded and one built in; modprobe changes the list."""
    loaded = tmp_path / "modules"
    loaded.write_text("nvme_core 16384 1 nvme, Live 0x0\noverlay 1 0 - Live 0x0\n")
    (tmp_path / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\nkernel/net/nf-tables.ko\n")
    monkeypatch.setattr(modprobe, "LOADED", str(loaded))
    monkeypatch.setattr(modprobe, "BUILT_IN", str(tmp_path / "modules.builtin"))
    for name, folder in (("LOAD", "modules-load.d"), ("OPTIONS", "modprobe.d")):
        monkeypatch.setattr(modprobe, name, str(tmp_path / folder))
    program(
        "modprobe",
        f"""dry=no; [ "$1" != -n ] || {{ dry=yes; shift; }}
[ "$1" != nothing ] || {{ echo "FATAL: Module nothing not found" >&2; exit 1; }}
[ $dry = no ] && [ "$1" != silent ] || exit 0
if [ "$1" = -r ]; then sed -i "/^$2 /d" {loaded}; else echo "$1 1 0 - Live" >> {loaded}; fi""",
    )
    return tmp_path


def test_a_module_is_loaded_and_unloaded_once(kernel: Path) -> None:
    assert changes("modprobe", name="dummy", params="a=1  b='2 3'") == [True, True, False]
    assert changes("modprobe", name="dummy", state="absent") == [True, True, False]
    calls = (kernel / "modprobe.calls").read_text()
    assert calls == "-n dummy a=1 b=2 3\ndummy a=1 b=2 3\n-n -r dummy\n-r dummy\n"


def test_a_module_that_does_not_appear_is_no_change_and_told(kernel: Path) -> None:
    reply = well("modprobe", name="silent")
    assert not reply["changed"]
    assert "does not list the module" in reply["warnings"][0]


@pytest.mark.parametrize("name", ["overlay", "nvme-core", "nvme_core", "ext4", "nf_tables"])
def test_what_is_loaded_or_built_in_is_left_alone(kernel: Path, name: str) -> None:
    assert changes("modprobe", name=name) == [False, False, False]
    assert not (kernel / "modprobe.calls").exists()


def test_a_module_that_is_not_there_is_an_error_and_is_not_kept(kernel: Path) -> None:
    for check in (True, False):
        reply = invoke("modprobe", name="nothing", persistent="present", check=check)
        assert reply["failed"]
        assert reply["msg"] == "FATAL: Module nothing not found"
    assert not (kernel / "modules-load.d").exists()


def test_a_module_is_loaded_at_every_start_with_its_options(kernel: Path) -> None:
    (kernel / "modprobe.d").mkdir()
    (kernel / "modprobe.d/mine.conf").write_text("options dummy old=1\noptions dummyx b=1\n")
    args = {"name": "dummy", "persistent": "present", "params": "a=1"}
    assert changes("modprobe", **args) == [True, True, False]
    assert (kernel / "modules-load.d/dummy.conf").read_text() == "dummy\n"
    assert (kernel / "modprobe.d/dummy.conf").read_text() == "options dummy a=1\n"
    assert (kernel / "modprobe.d/mine.conf").read_text() == "options dummyx b=1\n"
    assert changes("modprobe", name="dummy", persistent="absent") == [True, True, False]
    assert (kernel / "modules-load.d/dummy.conf").read_text() == ""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sysctl, "KERNEL", str(tmp_path / "sys"))
    for name, value in {"vm/swappiness": "60", "kernel/sem": "32000\t1024000000\t500\t32000"}.items():
        (tmp_path / "sys" / name).parent.mkdir(parents=True)
        (tmp_path / "sys" / name).write_text(f"{value}\n")
    return tmp_path / "sys"


@pytest.mark.parametrize(
    ("name", "value"), [("vm.swappiness", "10"), ("vm/swappiness", "10"), ("kernel.sem", "250 32000 100  128")]
)
def test_the_kernel_gets_a_value_once(settings: Path, name: str, value: str) -> None:
    file = settings.parent / "some.conf"
    args = {"name": name, "value": value, "sysctl_file": str(file), "sysctl_set": True, "reload": False}
    assert changes("sysctl", **args) == [True, True, False]
    assert (settings / name.replace(".", "/")).read_text() == f"{value}\n"
    assert file.read_text() == f"{name}={value}\n"
    (settings / name.replace(".", "/")).write_text("other\n")
    assert changes("sysctl", **args) == [True, True, False]


def test_white_space_of_the_kernel_is_no_difference(settings: Path) -> None:
    args = {"name": "kernel.sem", "value": "32000 1024000000 500 32000", "sysctl_file": str(settings / "conf")}
    assert changes("sysctl", sysctl_set=True, reload=False, **args) == [True, True, False]


def test_a_setting_that_the_kernel_lacks_is_an_error_unless_told_otherwise(settings: Path) -> None:
    args: dict[str, Any] = {
        "name": "vm.nothing.there",
        "value": "1",
        "sysctl_file": str(settings / "conf"),
        "sysctl_set": True,
    }
    assert invoke("sysctl", reload=False, **args)["msg"] == "setting vm.nothing.there failed: No such file or directory"
    assert well("sysctl", reload=False, ignoreerrors=True, **args)["changed"]


def test_the_file_is_loaded_by_sysctl_after_a_change(settings: Path, program: Program) -> None:
    calls = program("sysctl", "")
    file = str(settings / "conf")
    assert changes("sysctl", name="vm.swappiness", value="1", sysctl_file=file) == [True, True, False]
    assert calls.read_text() == f"-p {file}\n"


def test_a_kernel_that_refuses_the_file_fails_the_task(settings: Path, program: Program) -> None:
    program("sysctl", "echo 'permission denied on key' >&2; exit 255")
    args: dict[str, Any] = {"name": "vm.swappiness", "value": "1", "sysctl_file": str(settings / "conf")}
    assert invoke("sysctl", **args)["msg"] == "Failed to reload sysctl: permission denied on key\n"


def test_a_changed_file_is_written_in_one_form() -> None:
    text = "# note\n\n a.b = 1 \n-c=2\nx.y = 1\nx.y=2\n  words \n; off = 1"
    assert sysctl.edited(text, "x.y", "2") == text, "the last line counts, and is right"
    assert sysctl.edited(text, "a.b", "3") == "# note\n\na.b=3\n-c=2\nx.y=1\nwords\n; off = 1\n"
    assert sysctl.edited(text, "x.y", "") == "# note\n\na.b=1\n-c=2\nwords\n; off = 1\n"
    assert sysctl.edited(text, "c", "2").endswith("; off = 1\nc=2\n")


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "hostname").write_text("old\n")
    monkeypatch.setattr(hostname, "FILE", str(tmp_path / "hostname"))
    monkeypatch.setattr(hostname, "SYSTEMD", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("stored", "running", "flags"),
    [
        ("old", "old", "--pretty --static --transient "),
        ("new", "old", "--transient "),
        ("old", "new", "--pretty --static "),
    ],
)
def test_systemd_is_told_what_differs(
    named: Path, program: Program, monkeypatch: pytest.MonkeyPatch, stored: str, running: str, flags: str
) -> None:
    (named / "hostname").write_text(f"{stored}\n")
    monkeypatch.setattr(socket, "gethostname", lambda: running)
    calls = program("hostnamectl", "")
    assert well("hostname", name="new")["changed"]
    assert calls.read_text() == f"{flags}set-hostname new\n"


def test_without_systemd_file_and_kernel_get_the_name(
    named: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    program("hostnamectl", "exit 1")
    monkeypatch.setattr(socket, "gethostname", lambda: told[-1] if told else "old")
    monkeypatch.setattr(socket, "sethostname", told.append)
    assert changes("hostname", name="new") == [True, True, False]
    assert (named / "hostname").read_text() == "new\n"
    assert told == ["new"]


@pytest.mark.parametrize("name", ["", "two words", "bad!name", "-x", "x.", "a..b", "x" * 65])
def test_what_cannot_be_a_name_changes_nothing(named: Path, name: str) -> None:
    assert "cannot be a host name" in invoke("hostname", name=name)["msg"]
    assert (named / "hostname").read_text() == "old\n"


def test_the_hardware_clock_is_set_by_systemd(
    tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    adjtime = tmp_path / "adjtime"
    monkeypatch.setattr(timezone, "ADJTIME", str(adjtime))
    monkeypatch.setattr(timezone, "SYSTEMD", str(tmp_path))
    calls = program("timedatectl", f"printf '0\\n0\\nLOCAL\\n' > {adjtime}")
    assert changes("timezone", hwclock="local") == [True, True, False]
    assert calls.read_text() == "set-local-rtc yes\n"


def test_a_clock_that_cannot_be_set_fails_the_task(
    tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timezone, "ADJTIME", str(tmp_path / "adjtime"))
    monkeypatch.setattr(timezone, "SYSTEMD", str(tmp_path))
    program("timedatectl", "echo 'Failed to set local RTC: not supported' >&2; exit 1")
    assert "not supported" in invoke("timezone", hwclock="local")["msg"]
    monkeypatch.setattr(timezone, "SYSTEMD", str(tmp_path / "none"))
    assert "needs a running systemd" in invoke("timezone", hwclock="local")["msg"]

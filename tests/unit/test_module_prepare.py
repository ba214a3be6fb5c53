"""What is made of a download on a host: staged, checked, sealed; the final name never stands for half of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from r1fleet.modules.fleet_prepare import _moved
from tests.invoking import invoke, well

SEAL = {"schema": 1, "name": "org/m", "revision": "main", "made_of": "x" * 64}


def step(*argv: str, **more: Any) -> dict[str, Any]:
    return {"why": "a step", "argv": list(argv), "env": {}, "stdin": "", "files": {}, **more}


def prepare(folder: Path, *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    staging = folder.with_name(f".{folder.name}.prepare.part")
    given = {"folder": str(folder), "staging": str(staging), "seal": SEAL, "steps": list(steps), **more}
    return invoke("fleet_prepare", **given)


@pytest.fixture
def download(tmp_path: Path) -> Path:
    folder = tmp_path / "m@main"
    (folder / "deep").mkdir(parents=True)
    (folder / "config.json").write_text('{"of": "the hub"}')
    (folder / "deep" / "tokenizer.json").write_text("{}")
    return folder


def test_files_are_laid_over_links_to_the_download_which_stays_as_it_is(download: Path, tmp_path: Path) -> None:
    overlay, made = tmp_path / "overlay", tmp_path / "m@main-overlaid"
    overlay.mkdir()
    (overlay / "config.json").write_text('{"of": "the vendor"}')
    (overlay / "modeling.py").write_text("pass\n")
    links = step("cp", "-rl", f"{download}/.", str(made))
    laid = step("cp", "--remove-destination", "-r", f"{overlay}/.", str(made))

    reply = prepare(made, links, laid)

    assert not reply.get("failed"), reply
    staged = tmp_path / ".m@main-overlaid.prepare.part"
    assert (staged / "config.json").read_text() == '{"of": "the vendor"}'
    assert (download / "config.json").read_text() == '{"of": "the hub"}'
    assert (staged / "deep" / "tokenizer.json").samefile(download / "deep" / "tokenizer.json")
    sealed = json.loads((staged / ".r1fleet-manifest.json").read_text())
    assert [row["path"] for row in sealed["files"]] == ["config.json", "deep/tokenizer.json", "modeling.py"]
    assert sealed["made_of"] == SEAL["made_of"]
    assert not made.exists()


def test_a_step_sees_the_staging_folder_and_its_file_says_the_final_one_in_the_end(tmp_path: Path) -> None:
    made = tmp_path / "work"
    files = {f"{made}/build.yaml": f"path: {made}\n"}
    copies = step("cp", f"{made}/build.yaml", f"{made}/seen.yaml", files=files)
    assert not prepare(made, copies).get("failed")
    staged = tmp_path / ".work.prepare.part"
    assert (staged / "seen.yaml").read_text() == f"path: {staged}\n"
    assert (staged / "build.yaml").read_text() == f"path: {made}\n"


@pytest.mark.parametrize(
    ("steps", "more", "told"),
    [
        ((step("sh", "-c", "echo no such key >&2; exit 3"),), {}, "a step: sh ended with 3:\nno such key"),
        ((step("true"),), {}, "have made no file"),
        ((step("sh", "-c", "printf x > HERE/w.safetensors"),), {}, "w.safetensors is no safetensors file"),
        ((step("true"),), {"needs": 1 << 60}, "are free"),
    ],
)
def test_what_goes_wrong_is_told_and_nothing_is_sealed(
    steps: tuple[dict[str, Any], ...], more: dict[str, Any], told: str, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    placed = [{**one, "argv": [word.replace("HERE", str(made)) for word in one["argv"]]} for one in steps]
    reply = prepare(made, *placed, **more)
    assert told in reply["msg"]
    assert not made.exists()
    assert not list(tmp_path.glob("*/.r1fleet-manifest.json"))


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("/w/m-mp8", "/w/.part"),
        ("--save-path=/w/m-mp8/model0", "--save-path=/w/.part/model0"),
        ("/w/m-mp80", "/w/m-mp80"),
        ("/w/m-mp8-other", "/w/m-mp8-other"),
        ("/w/m", "/w/m"),
    ],
)
def test_only_the_folder_itself_is_moved_and_no_longer_name(text: str, moved: str) -> None:
    assert _moved(text, "/w/m-mp8", "/w/.part") == moved


def test_hosts_find_each_others_files_only_in_the_folder_that_they_share(tmp_path: Path) -> None:
    nonce, everyone = "0" * 32, ["a", "b", "c"]
    places = {"a": tmp_path / "shared", "b": tmp_path / "shared", "c": tmp_path / "own"}
    for host, place in places.items():
        well("fleet_nonce", folder=str(place), action="leave", nonce=nonce, hosts=[host])
    seen = {
        host: well("fleet_nonce", folder=str(place), action="look", nonce=nonce, hosts=everyone)["hosts"]
        for host, place in places.items()
    }
    assert seen == {"a": ["a", "b"], "b": ["a", "b"], "c": ["c"]}
    for host, place in places.items():
        well("fleet_nonce", folder=str(place), action="take", nonce=nonce, hosts=[host])
    assert [path for place in set(places.values()) for path in place.iterdir()] == []


def test_a_nonce_is_no_way_to_name_other_files(tmp_path: Path) -> None:
    reply = invoke("fleet_nonce", folder=str(tmp_path), action="leave", nonce="../x", hosts=["a"])
    assert "is no nonce" in reply["msg"]


@pytest.mark.parametrize("path", ["/etc/passwd", "SHELF/../etc", "SHELF/m/deeper", "SHELF"])
@pytest.mark.parametrize("action", ["remove", "unseal", "verify"])
def test_nothing_outside_of_the_shelf_is_touched(action: str, path: str, tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    (shelf / "m" / "deeper").mkdir(parents=True)
    wanted = path.replace("SHELF", str(shelf))
    reply = invoke("fleet_shelf", action=action, folders=[str(shelf)], paths=[wanted])
    assert "does not lie in" in reply["msg"]
    assert (shelf / "m" / "deeper").is_dir()

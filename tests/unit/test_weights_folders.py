"""Folders as sources: plain ones, huggingface_hub's cache, and the folder where big files are dropped in by hand."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from r1fleet.agent import soundness
from r1fleet.agent.outcome import ModuleFailed
from r1fleet.errors import ExitCode, FleetError, HostFailed, UsageError
from r1fleet.modules._folder_source import Folder, Place, rows
from r1fleet.modules._hub_refusals import Refused
from r1fleet.modules._hub_rows import WORK
from r1fleet.modules._landing import Job, Landing
from r1fleet.weights import MANIFEST
from r1fleet.weights.sources import Fetched, MissingFiles, Request, Source, fetch, listing
from tests.hubs import MODEL, Fetching, shard, tiny
from tests.invoking import well
from tests.standins.hub import COMMIT, git_hash

ONE = "model-00001-of-00002.safetensors"
BIG = 64 * 1024 * 1024
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 4\n"


def write(folder: Path, files: dict[str, bytes]) -> Source:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return Source(folder=str(folder))


def cache(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files as huggingface_hub keeps them: blobs by their hash, and links to them."""
    repository = folder / ("models--" + MODEL.replace("/", "--"))
    for path, content in files.items():
        big = len(content) >= 1024
        name = hashlib.sha256(content).hexdigest() if big else git_hash(content)
        write(repository, {f"blobs/{name}": content})
        link = repository / "snapshots" / COMMIT / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(repository / "blobs" / name, link.parent))
    write(repository, {"refs/main": COMMIT.encode()})
    return repository


def refusal(fetching: Fetching, source: Source) -> FleetError:
    with pytest.raises(FleetError) as refused:
        fetching.fetch(source=source)
    assert refused.value.hint
    return refused.value


@contextmanager
def not_as_root() -> Iterator[None]:
    """Be a user whom the system refuses something."""
    os.seteuid(os.getuid() or 65534)
    try:
        yield
    finally:
        os.seteuid(os.getuid())


def test_a_plain_folder_is_taken_whole_without_what_downloaders_leave(fetching: Fetching, tmp_path: Path) -> None:
    leftovers = {".git/config": b"x", ".cache/huggingface/.gitignore": b"*", "._____temp/part": b"x", ".msc": b"x"}
    source = write(tmp_path / "R1", {**tiny(), **leftovers})
    done = fetching.fetch(source=source)
    assert fetching.held() == tiny()
    assert done.manifest.origin == str(tmp_path / "R1")


@pytest.mark.parametrize("given", ["cache", "repository", "snapshot"])
def test_a_hub_cache_is_taken_with_its_links_resolved(fetching: Fetching, tmp_path: Path, given: str) -> None:
    repository = cache(tmp_path / "hub", tiny())
    place = {"cache": tmp_path / "hub", "repository": repository, "snapshot": repository / "snapshots" / COMMIT}[given]
    done = fetching.fetch(source=Source(folder=str(place)))
    assert fetching.held() == tiny()
    assert not [path for path in fetching.staging.rglob("*") if path.is_symlink()]
    assert done.manifest.revision == ("" if given == "snapshot" else COMMIT)


def test_a_cache_without_the_revision_says_what_it_has(fetching: Fetching, tmp_path: Path) -> None:
    repository = cache(tmp_path / "hub", tiny())
    (repository / "refs" / "main").rename(repository / "refs" / "v1")
    error = refusal(fetching, Source(folder=str(tmp_path / "hub")))
    assert "holds no snapshot of main" in error.what
    assert f"hf download {MODEL} --revision main; it holds: v1" in str(error.hint)
    repository.rename(tmp_path / "hub" / "models--other--model")
    assert f"does not hold {MODEL}" in refusal(fetching, Source(folder=str(tmp_path / "hub"))).what
    other = Source(folder=str(tmp_path / "hub" / "models--other--model"))
    assert "is the cache of other/model, not of org/model" in refusal(fetching, other).what


def test_every_unfit_file_is_named_with_what_to_do_before_anything_is_copied(
    fetching: Fetching, tmp_path: Path
) -> None:
    folder = tmp_path / "R1"
    source = write(folder, {**tiny(), "tokenizer.json": POINTER, ONE: tiny()[ONE][:-1], "x.safetensors.aria2": b"x"})
    (folder / "model-00002-of-00002.safetensors").unlink()
    (folder / "gone.json").symlink_to(tmp_path / "nowhere")
    (folder / "more").symlink_to(tmp_path)
    error = refusal(fetching, source)
    for line in (
        "tokenizer.json is a git-lfs pointer, not the file itself: run `git lfs pull` there",
        f"{ONE} has {len(tiny()[ONE]) - 1} bytes where its header says {len(tiny()[ONE])}: download it again",
        "model-00002-of-00002.safetensors, which model.safetensors.index.json names, is missing: download it again",
        "gone.json is a link to a file that is not there",
        "x.safetensors.aria2 is an unfinished download",
        "more is a link to a folder",
    ):
        assert line in error.what
    assert not fetching.staging.exists()
    assert error.exit_code == ExitCode.USAGE


def test_a_folder_that_this_user_may_not_read_is_named_and_not_left_out() -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write(folder, {"config.json": b"{}", "deep/tokenizer.json": b"{}"})
        folder.chmod(0o755)
        (folder / "deep").chmod(0)
        with not_as_root(), pytest.raises(ModuleFailed, match="deep cannot be read by this user"):
            rows(Place(made, ""), MODEL)
        (folder / "deep").chmod(0o755)


def test_a_file_that_its_cache_knows_by_another_hash_is_refused(fetching: Fetching, tmp_path: Path) -> None:
    repository = cache(tmp_path / "hub", tiny())
    blob = (repository / "snapshots" / COMMIT / ONE).resolve()
    blob.write_bytes(shard(300_000, 7))
    error = refusal(fetching, Source(folder=str(tmp_path / "hub")))
    assert f"{blob} has the sha256" in error.what
    assert ONE not in fetching.files
    assert error.exit_code == ExitCode.HOST_FAILED


@pytest.mark.parametrize("told_by", ["huggingface_hub", "r1fleet"])
def test_a_file_that_a_plain_folder_knows_by_another_hash_is_refused(
    fetching: Fetching, tmp_path: Path, told_by: str
) -> None:
    source = write(tmp_path / "R1", tiny())
    other = hashlib.sha256(b"other").hexdigest()
    if told_by == "r1fleet":
        rows = [{"path": ONE, "size": len(tiny()[ONE]), "sha256": other}]
        write(tmp_path / "R1", {MANIFEST: json.dumps({"name": MODEL, "files": rows}).encode()})
    else:
        noted = f".cache/huggingface/download/{ONE}.metadata"
        write(tmp_path / "R1", {noted: f"{COMMIT}\n{other}\n1700000000.0\n".encode()})
    assert f"in place of {other}" in refusal(fetching, source).what
    assert ONE not in fetching.held()


def test_a_big_file_on_the_same_disk_is_not_written_twice(fetching: Fetching, tmp_path: Path) -> None:
    big = shard(BIG)
    source = write(tmp_path / "R1", {"config.json": b"{}", "model.safetensors": big})
    done = fetching.fetch(source=source)
    assert done.moved <= 2
    assert (fetching.staging / "model.safetensors").read_bytes() == big


def test_a_read_only_file_that_was_linked_by_a_fetch_that_was_ended_is_begun_anew() -> None:
    job = Job("model.safetensors", 5, "", "")
    with tempfile.TemporaryDirectory() as made:
        folder, source = Path(made), Path(made) / "source"
        folder.chmod(0o777)
        with not_as_root():
            source.write_bytes(b"bytes")
            source.chmod(0o444)
            (folder / WORK).mkdir()
            os.link(source, folder / WORK / job.key)
            with Landing(made, job) as landing:
                assert landing.have == 0
                landing.write(b"other")
        assert source.read_bytes() == b"bytes"


def test_a_damaged_big_file_is_refused_and_stays_as_it_is(fetching: Fetching, tmp_path: Path) -> None:
    repository = cache(tmp_path / "hub", {"config.json": b"{}", "model.safetensors": shard(BIG)})
    blob = (repository / "snapshots" / COMMIT / "model.safetensors").resolve()
    blob.write_bytes(shard(BIG, 7))
    for _ in range(2):
        assert "has the sha256" in refusal(fetching, Source(folder=str(tmp_path / "hub"))).what
        assert blob.read_bytes() == shard(BIG, 7)


def test_a_folder_that_was_taken_already_is_not_read_again(fetching: Fetching, tmp_path: Path) -> None:
    source = write(tmp_path / "R1", tiny())
    first = fetching.fetch(source=source)
    again = fetching.fetch(source=source)
    assert (again.moved, again.manifest.digest) == (0, first.manifest.digest)


def in_place(fetching: Fetching, folder: Path, **given: str) -> Fetched:
    """Seal a folder that lies where the model is to be."""
    source = Source(folder=given.get("source", str(folder)))
    listed = listing(fetching.session, source, MODEL, target=str(folder), pace=fetching.pace)
    return fetch(fetching.session, Request(source, listed, str(folder)), fetching.events.append)


def test_a_folder_that_lies_in_its_place_is_sealed_there_and_loses_nothing(fetching: Fetching, tmp_path: Path) -> None:
    folder = tmp_path / "org--model@main"
    left = {".git/config": b"x", ".cache/huggingface/download/x.incomplete": b"x", ".msc": b"x"}
    more = {**left, "pytorch_model.bin": shard(9)}
    whole = {**tiny(), **more, "model.safetensors": shard(100)}
    write(folder, whole)
    (tmp_path / "link").symlink_to(folder)
    inodes = {path: path.stat().st_ino for path in folder.rglob("*")}

    done = in_place(fetching, folder, source=str(tmp_path / "link"))

    assert {path: path.stat().st_ino for path in folder.rglob("*") if path.name != MANIFEST} == inodes
    assert {path: (folder / path).read_bytes() for path in whole} == whole
    assert (folder / MANIFEST).read_text() == done.manifest.text
    assert {file.path for file in done.manifest.files} == set(whole) - set(more)
    assert not list(soundness.problems(str(folder)))
    given = {"action": "verify", "folders": [str(tmp_path)], "paths": [str(folder)]}
    assert well("fleet_shelf", **given)["verified"][0]["problems"] == []
    write(folder, {"stray.json": b"{}", ".github/config": b"x"})
    strays = [row["file"] for row in well("fleet_shelf", **given)["verified"][0]["problems"]]
    assert strays == [".github/config", "stray.json"]


def test_a_seal_in_place_is_the_one_that_a_fetch_gives(fetching: Fetching, tmp_path: Path) -> None:
    source = write(tmp_path / "R1", tiny())
    assert in_place(fetching, tmp_path / "R1").manifest.digest == fetching.fetch(source=source).manifest.digest


def test_a_damaged_file_leaves_a_folder_in_its_place_without_a_seal(fetching: Fetching, tmp_path: Path) -> None:
    noted = f".cache/huggingface/download/{ONE}.metadata"
    write(tmp_path / "R1", {**tiny(), noted: b"%s\n%s\n1.0\n" % (COMMIT.encode(), b"0" * 64)})
    with pytest.raises(HostFailed, match=f"{ONE} has the hash .* in place of {'0' * 64}"):
        in_place(fetching, tmp_path / "R1")
    assert not (tmp_path / "R1" / MANIFEST).exists()


def test_what_cannot_be_sealed_where_it_lies_is_refused_and_stays(fetching: Fetching, tmp_path: Path) -> None:
    folder = tmp_path / "R1"
    write(folder, {"config.json": b"{}", "deep/config.json": b"{}"})
    with pytest.raises(UsageError, match=r"deep lies inside .*R1, which is replaced"):
        in_place(fetching, folder, source=str(folder / "deep"))
    (folder / "tokenizer.json").symlink_to(folder / "config.json")
    with pytest.raises(UsageError, match=r"cannot be sealed where it lies: tokenizer\.json is a link"):
        in_place(fetching, folder)
    (tmp_path / "target").symlink_to(folder)
    source = Source(folder=str(folder))
    assert not listing(fetching.session, source, MODEL, target=str(tmp_path / "target")).in_place


@pytest.mark.parametrize(("mode", "shared"), [(0o644, BIG), (0o640, 0)])
def test_big_files_that_can_be_linked_beside_the_target_are_told(
    fetching: Fetching, tmp_path: Path, mode: int, shared: int
) -> None:
    source = write(tmp_path / "R1", {"config.json": b"{}", "model.bin": b"\0" * BIG})
    (tmp_path / "R1" / "model.bin").chmod(mode)
    assert listing(fetching.session, source, MODEL, target=str(tmp_path / "w" / "m@main")).shared == shared
    assert listing(fetching.session, source, MODEL).shared == 0
    assert listing(fetching.session, source, MODEL, target="/proc/m@main").shared == 0


def test_no_part_of_an_older_version_counts_where_a_folder_tells_no_hashes(fetching: Fetching, tmp_path: Path) -> None:
    source = write(tmp_path / "R1", {"config.json": b'{"a": 1}', "model.safetensors": shard(3_000_000, 1)})
    fetching.fetch(source=source)
    kept = fetching.staging / WORK / "complete"
    row = next(json.loads(line) for line in kept.read_text().splitlines() if '"model.safetensors"' in line)
    (fetching.staging / "model.safetensors").rename(fetching.staging / WORK / row["key"])
    os.truncate(fetching.staging / WORK / row["key"], 1_000_000)  # as if it had been ended there

    newer = {"config.json": b'{"a": 2}', "model.safetensors": shard(3_000_000, 2)}
    write(tmp_path / "R1", newer)
    fetching.fetch(source=source)
    assert fetching.held() == newer


def test_a_file_that_is_written_while_it_is_read_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "R1", {"config.json": b"old!"})
    folder = Folder(str(tmp_path / "R1"), lambda: False)
    job = folder.stamped(Job("config.json", 4, "", ""))
    (tmp_path / WORK).mkdir()
    write(tmp_path / "R1", {"config.json": b"new!"})
    with Landing(str(tmp_path), job) as landing, pytest.raises(Refused, match="has changed while it was read"):
        folder.take(landing)


def test_big_files_are_dropped_in_by_hand(fetching: Fetching, tmp_path: Path) -> None:
    one, two = shard(BIG, 1), shard(BIG, 2)
    small = {"config.json": b"{}", "tokenizer.json": b"t" * 2000}
    files = {**small, "model-1.safetensors": one, "model-2.safetensors": two}
    fetching.hub.put(MODEL, files)
    source = Source(hubs=(fetching.hugging_face,), drop=str(tmp_path / "Downloads"))
    assert "there is no folder" in refusal(fetching, source).what
    write(tmp_path / "Downloads", {"model-1.safetensors": one[:1000]})

    error = refusal(fetching, source)
    assert isinstance(error, MissingFiles)
    assert [(path, size) for path, size, _ in error.missing] == [(f"model-{n}.safetensors", len(one)) for n in (1, 2)]
    assert f"model-1.safetensors ({len(one)} bytes): 1000 bytes so far" in error.what
    assert f"model-2.safetensors ({len(two)} bytes): not there yet" in error.what
    assert fetching.held() == small

    write(tmp_path / "Downloads", {"model-1.safetensors": one, "model-2.safetensors": shard(BIG, 3)})
    wrong = refusal(fetching, source)
    assert isinstance(wrong, HostFailed)
    assert "model-2.safetensors has the sha256" in wrong.what

    write(tmp_path / "Downloads", {"model-2.safetensors": two})
    done = fetching.fetch(source=source)
    assert fetching.held() == files
    assert done.manifest.revision == COMMIT
    assert not [path for path in fetching.hub.served if path.endswith(".safetensors")]

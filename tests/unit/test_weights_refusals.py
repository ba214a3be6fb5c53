"""What hubs and hosts refuse, and what a source must not hold: one clear message each, and what to do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from r1fleet.errors import ExitCode, FleetError, HostFailed, UsageError
from r1fleet.weights.sources import Hub, ListedFile, Listing, Source
from tests.hubs import MODEL, Fetching, index, shard, tiny
from tests.standins.hub import Fault

ONE = "model-00001-of-00002.safetensors"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 4\n"
WORDS = pytest.mark.parametrize("words", ["hugging_face", "modelscope"])


def refusal(doing: Callable[[], Any]) -> FleetError:
    with pytest.raises(FleetError) as refused:
        doing()
    assert refused.value.hint
    assert "Traceback" not in str(refused.value)
    return refused.value


# --- tokens and licences -----------------------------------------------------------------------------


def test_a_gated_model_without_a_token_names_the_licence_and_where_tokens_are(fetching: Fetching) -> None:
    fetching.hub.put(MODEL, tiny(), gated=True)
    error = refusal(fetching.fetch)
    assert "open only to those who have accepted its licence" in error.what
    assert f"{fetching.hub.url}/{MODEL}" in str(error.hint)
    assert "HF_TOKEN" in str(error.hint)
    assert error.exit_code == ExitCode.USAGE
    assert (error.what.count("licence"), error.what.count("4 more files")) == (1, 1)


def test_a_gated_model_with_a_token_names_the_licence_page(fetching: Fetching, monkeypatch: pytest.MonkeyPatch) -> None:
    fetching.hub.put(MODEL, tiny(), gated=True)
    fetching.hub.tokens["hf_mine"] = set()
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    error = refusal(fetching.fetch)
    assert (
        "the token's account has not been let in to org/model (Access to model org/model is restricted.)" in error.what
    )
    assert f"accept the licence with that account at {fetching.hub.url}/{MODEL}" in str(error.hint)
    assert "hf_mine" not in str(error)
    assert error.exit_code == ExitCode.USAGE


def test_no_other_hub_is_a_way_around_a_licence(fetching: Fetching) -> None:
    model = fetching.hub.put(MODEL, tiny(), gated=True)
    listed = fetching.look()
    refusal(lambda: fetching.fetch(fetching.hugging_face, fetching.modelscope, listed=listed))
    assert not fetching.asked("FilePath=")
    model.private = True
    fetching.hub.faults = [Fault("/api/models/", 401, {"X-Error-Code": "GatedRepo"}, times=99)]
    refusal(lambda: fetching.look(fetching.hugging_face, fetching.modelscope))
    assert not fetching.asked("/api/v1/")


@pytest.mark.parametrize("place", ["HF_TOKEN", "file"])
def test_a_token_opens_a_gated_model_and_no_other_server_sees_it(
    fetching: Fetching, place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fetching.hub.put(MODEL, tiny(), gated=True, private=True)
    fetching.hub.tokens["hf_mine"] = {MODEL}
    if place == "file":
        (tmp_path / "hf").mkdir()
        (tmp_path / "hf" / "token").write_text("hf_mine\n")
    else:
        monkeypatch.setenv("HF_TOKEN", "hf_mine")
    fetching.fetch()
    assert fetching.held() == tiny()
    shown = {url.partition("/cdn/")[1] for url, headers in fetching.hub.asked if "hf_mine" in str(headers)}
    assert shown == {""}
    assert fetching.asked("/cdn/")
    assert not [path for path in fetching.staging.rglob("*") if path.is_file() and b"hf_mine" in path.read_bytes()]


def test_a_mirror_that_nobody_chose_is_shown_no_token(fetching: Fetching, monkeypatch: pytest.MonkeyPatch) -> None:
    fetching.hub.put(MODEL, tiny())
    fetching.hub.tokens["hf_mine"] = set()
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    fetching.fetch(Hub("mirror", "huggingface", fetching.hub.url, trusted=False))
    assert fetching.held() == tiny()
    assert not [headers for _, headers in fetching.hub.asked if "Authorization" in headers]


@WORDS
def test_a_token_that_is_not_valid_is_said_so(fetching: Fetching, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fetching.hub.put(MODEL, tiny())
    variable = "HF_TOKEN" if words == "hugging_face" else "MODELSCOPE_API_TOKEN"
    monkeypatch.setenv(variable, "stale")
    error = refusal(lambda: fetching.look(getattr(fetching, words)))
    assert "the token is not accepted" in error.what
    assert variable in str(error.hint)
    assert error.exit_code == ExitCode.USAGE


def test_what_a_hub_says_is_one_plain_line(fetching: Fetching) -> None:
    body = json.dumps({"error": "no\x1b[2J\nentry\u202e" + "x" * 5000}).encode()
    fetching.hub.faults = [Fault("/api/", 418, {}, body, times=99)]
    error = refusal(fetching.look)
    assert "no [2J entry" in error.what
    assert error.what.isprintable()
    assert len(error.what) < 400


# --- what is not there -------------------------------------------------------------------------------


@WORDS
def test_a_model_that_is_not_there(fetching: Fetching, words: str) -> None:
    error = refusal(lambda: fetching.look(getattr(fetching, words)))
    assert f"there is no model {MODEL}, or it is private and there is no token" in error.what
    assert error.exit_code == ExitCode.USAGE


@WORDS
def test_a_revision_that_is_not_there(fetching: Fetching, words: str) -> None:
    fetching.hub.put(MODEL, tiny())
    error = refusal(lambda: fetching.look(getattr(fetching, words), revision="v9"))
    assert f"{MODEL} has no revision v9" in error.what
    assert error.exit_code == ExitCode.USAGE
    assert "master" in str(error.hint) or "/tree/main" in str(error.hint)


@WORDS
def test_a_web_page_in_place_of_an_answer(fetching: Fetching, words: str) -> None:
    page = Fault("/api/", 200, {"Content-Type": "text/html"}, b"<html>please log in</html>", times=99)
    fetching.hub.faults = [page]
    error = refusal(lambda: fetching.look(getattr(fetching, words)))
    assert "answers with a web page in place of its interface" in error.what
    assert error.exit_code == ExitCode.HOST_FAILED


def test_a_web_page_in_place_of_a_file(fetching: Fetching) -> None:
    fetching.hub.put(MODEL, tiny())
    fetching.hub.faults = [Fault(f"/cdn/{MODEL}/{ONE}", 200, {"Content-Type": "text/html"}, b"<html>", times=9)]
    assert "answers with a web page" in refusal(fetching.fetch).what
    assert ONE not in fetching.held()


def test_no_route_says_which_hubs_and_why(fetching: Fetching) -> None:
    hubs = [Hub("A", "huggingface", "http://127.0.0.1:9"), Hub("B", "modelscope", "http://no-such-host.invalid")]
    error = refusal(lambda: fetching.look(*hubs))
    assert "A: no answer from http://127.0.0.1:9" in error.what
    todo, *others = str(error.hint).split("\n")
    assert todo.startswith("give that machine a route")
    assert [line[:46] for line in others] == ["B: no answer from http://no-such-host.invalid:"]
    assert error.exit_code == ExitCode.UNREACHABLE


@pytest.mark.parametrize("body", [b"[]", b"{}", b'"x"', b'{"sha": "main"}', b"[" * 100_000, b'["a"]'])
def test_an_answer_that_makes_no_sense(fetching: Fetching, body: bytes) -> None:
    fetching.hub.faults = [Fault("/api/", 200, {"Content-Type": "application/json"}, body, times=99)]
    for hub in (fetching.hugging_face, fetching.modelscope):
        assert refusal(lambda hub=hub: fetching.look(hub)).exit_code == ExitCode.HOST_FAILED  # type: ignore[misc]


def test_a_listing_without_an_end_is_refused(fetching: Fetching) -> None:
    fetching.hub.put(MODEL, tiny())
    page = {"Link": f'<{fetching.hub.url}/api/models/{MODEL}/tree/x?cursor=1>; rel="next"'}
    fetching.hub.faults = [Fault("/tree/", 200, page, b"[]", times=99)]
    assert "its listing of org/model cannot be read" in refusal(fetching.look).what
    rows = [{"Type": "tree", "Path": "a"}] * 3000
    body = json.dumps({"Data": {"Files": rows}}).encode()
    fetching.hub.faults = [Fault("Root=a", 200, {}, body, times=99), Fault("/repo/files", 200, {}, body, times=1)]
    fetching.hub.faults.append(Fault("/repo/files", 200, {}, json.dumps({"Data": {"Files": rows[:1]}}).encode()))
    assert "its listing" in refusal(lambda: fetching.look(fetching.modelscope)).what


# --- what a source must not hold ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["../evil", "/etc/passwd", "a/../../b", "a//b", "a\\..\\b", "a\nb", "a\ud800", ".r1fleet-manifest.json", "x" * 300],
)
def test_a_listing_that_leads_out_of_the_folder_is_refused(fetching: Fetching, path: str) -> None:
    fetching.hub.put(MODEL, {**tiny(), "plain": b"y" * 2000})
    fetching.hub.models[MODEL].told["plain"] = {"path": path, "Path": path}
    for hub in (fetching.hugging_face, fetching.modelscope):
        assert "its listing cannot be taken" in refusal(lambda hub=hub: fetching.look(hub)).what  # type: ignore[misc]
    row = ListedFile(path, 3, hashlib.sha256(b"abc").hexdigest())
    listed = Listing(MODEL, "main", "", fetching.hub.url, (row,))
    assert "the listing cannot be taken" in refusal(lambda: fetching.fetch(listed=listed)).what
    assert not fetching.staging.exists()


def test_a_name_that_is_a_file_and_a_folder_is_refused(fetching: Fetching) -> None:
    fetching.hub.put(MODEL, {"a": b"1", "a/b": b"2"})
    assert "is a file and a folder" in refusal(fetching.look).what


def test_a_link_in_a_listing_is_refused(fetching: Fetching) -> None:
    fetching.hub.put(MODEL, tiny()).told["config.json"] = {"type": "symlink", "Type": "symlink"}
    assert "'config.json' in org/model is a 'symlink', not a file" in refusal(fetching.look).what


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (POINTER, "is a git-lfs pointer"),
        (shard(3000)[:-5], "where its header says"),
        (b"\xff" * 2000, "cut short in its header"),
        (shard(3000).replace(b"[0, 3000]", b"[5, 3000]"), "damaged safetensors header"),
    ],
)
def test_a_broken_file_on_the_hub_itself_goes_no_further(fetching: Fetching, content: bytes, text: str) -> None:
    fetching.hub.put(MODEL, {**tiny(), ONE: content})
    error = refusal(fetching.fetch)
    assert f"{ONE} " in error.what
    assert text in error.what
    assert ONE not in fetching.files


def test_a_shard_that_the_index_names_and_the_hub_lacks_is_found_before_shards_are_fetched(fetching: Fetching) -> None:
    big = {f"model-0000{number}.safetensors": shard(64 * 1024 * 1024, number) for number in [1]}
    names = [*big, "model-00002.safetensors"]
    fetching.hub.put(MODEL, {"model.safetensors.index.json": index(*names), **big})
    error = refusal(fetching.fetch)
    assert "model-00002.safetensors, which model.safetensors.index.json names, is missing" in error.what
    assert not fetching.hub.served.get("model-00001.safetensors")


# --- where it should go ------------------------------------------------------------------------------


def test_too_little_room_is_found_before_the_first_byte(fetching: Fetching) -> None:
    model = fetching.hub.put(MODEL, tiny())
    size = 10**17
    model.told[ONE] = {"size": size, "lfs": {"oid": "0" * 64, "size": size}}
    error = refusal(fetching.fetch)
    assert "100000.0 TB are still to come" in error.what
    assert error.exit_code == ExitCode.HOST_FAILED
    assert not fetching.asked("/resolve/")


def test_a_target_that_cannot_be_written_is_said_so(fetching: Fetching) -> None:
    fetching.hub.put(MODEL, tiny())
    fetching.staging.parent.joinpath("file").write_text("")
    fetching.staging = fetching.staging.parent / "file" / "staging"
    assert "cannot write to" in refusal(fetching.fetch).what
    assert not fetching.asked("/resolve/")


def test_a_folder_with_other_files_is_neither_filled_nor_cleared(fetching: Fetching) -> None:
    fetching.hub.put(MODEL, tiny())
    fetching.staging.mkdir()
    (fetching.staging / "thesis.tex").write_text("years of work")
    assert "holds other files" in refusal(fetching.fetch).what
    assert (fetching.staging / "thesis.tex").read_text() == "years of work"


def test_a_folder_that_is_not_there(fetching: Fetching) -> None:
    error = refusal(lambda: fetching.fetch(source=Source(folder="/no/such/folder")))
    assert "there is no folder /no/such/folder" in error.what
    assert isinstance(error, UsageError)


def test_a_manifest_with_links_or_ways_out_is_refused(fetching: Fetching) -> None:
    from r1fleet.errors import Where
    from r1fleet.weights import parse

    for path in ("../x", "/x", "a/../../x"):
        text = json.dumps({"name": "m", "files": [{"path": path, "size": 1, "sha256": "0" * 64}]})
        with pytest.raises(HostFailed, match="is no path inside the folder"):
            parse(text, Where())

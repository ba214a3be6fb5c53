"""The hubs' own clients, huggingface_hub and modelscope, see in the stand-in what r1fleet sees: it is faithful.

They are processes in an environment of their own; r1fleet never imports them.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from r1fleet.weights.sources import Source, listing
from tests.environments import ensure_environment
from tests.hubs import MODEL, Fetching, tiny
from tests.standins.hub import COMMIT, Fault

CLIENTS = ("huggingface_hub==2.4.0", "modelscope==1.40.2")
pytestmark = pytest.mark.slow

HF_LIST = """
from huggingface_hub import HfApi
info = HfApi().model_info(MODEL, revision="main")
entries = HfApi().list_repo_tree(MODEL, recursive=True, revision=info.sha)
files = [file for file in entries if hasattr(file, "size")]
rows = [(file.path, file.size, *((file.lfs.sha256, "") if file.lfs else ("", file.blob_id))) for file in files]
tell({"commit": info.sha, "rows": rows})
"""
HF_FETCH = """
from huggingface_hub import snapshot_download
tell(snapshot_download(MODEL, **OPTIONS))
"""
HF_REFUSAL = """
from huggingface_hub import HfApi, snapshot_download
try:
    snapshot_download(MODEL, local_dir=OPTIONS["local_dir"], revision=OPTIONS["revision"])
except Exception as error:
    tell(type(error).__name__)
"""
MS_LIST = """
from modelscope_hub import HubApi
found = HubApi().list_repo_files(MODEL, "model", revision=OPTIONS["revision"])
tell([(file.path, file.size, file.sha256, "") for file in found if file.type != "tree"])
"""
MS_FETCH = """
from modelscope import snapshot_download
tell(snapshot_download(MODEL, **OPTIONS))
"""
MS_REFUSAL = """
from modelscope_hub import HubApi
try:
    HubApi().list_repo_files(MODEL, "model", revision=OPTIONS["revision"])
except Exception as error:
    tell(type(error).__name__)
"""


class Client:
    """A Python with both clients, pointed at the stand-in."""

    def __init__(self, fetching: Fetching, home: Path) -> None:
        self._python = str(ensure_environment("hub-clients", CLIENTS) / "bin" / "python")
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "HF_ENDPOINT": fetching.hub.url,
            "MODELSCOPE_ENDPOINT": fetching.hub.url,
            "NO_PROXY": "127.0.0.1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }

    def run(self, code: str, environment: dict[str, str] | None = None, **options: str) -> Any:
        head = (
            f"import json, sys\nMODEL, OPTIONS = {MODEL!r}, {options!r}\n"
            "def tell(value): print('\\n=' + json.dumps(value))\n"
        )
        done = subprocess.run(
            [self._python, "-c", head + code],
            env={**self._environment, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.rpartition("\n=")[2])


@pytest.fixture
def client(fetching: Fetching, tmp_path: Path) -> Client:
    return Client(fetching, tmp_path / "home")


def files_below(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts]
    named = {str(path.relative_to(folder)): path.read_bytes() for path in paths}
    return {name: content for name, content in named.items() if name in tiny()}


def test_both_list_the_same_files_with_the_same_hashes(fetching: Fetching, client: Client) -> None:
    fetching.hub.put(MODEL, tiny())
    fetching.hub.page = 3
    told = client.run(HF_LIST)
    ours = fetching.look()
    assert told["commit"] == ours.commit == COMMIT
    assert sorted(map(tuple, told["rows"])) == [(file.path, file.size, file.sha256, file.git) for file in ours.files]
    theirs = client.run(MS_LIST, revision="master")
    ours = fetching.look(fetching.modelscope)
    assert sorted(map(tuple, theirs)) == [(file.path, file.size, file.sha256, file.git) for file in ours.files]


def test_both_read_past_the_end_of_a_listing_that_was_cut_off(fetching: Fetching, client: Client) -> None:
    fetching.hub.put(MODEL, {f"{folder}/{number:04}": b"" for folder in "abc" for number in range(1400)})
    theirs = client.run(MS_LIST, revision="master")
    assert {row[0] for row in theirs} == {file.path for file in fetching.look(fetching.modelscope).files}
    assert len(theirs) == 4200


def test_both_clients_download_the_same_bytes_over_cuts(fetching: Fetching, client: Client, tmp_path: Path) -> None:
    fetching.hub.put(MODEL, tiny())
    fetching.hub.faults = [Fault("model-00001-of", cut_after=100_000), Fault("model-00002-of", 503)]
    client.run(MS_FETCH, local_dir=str(tmp_path / "ms"))
    assert files_below(tmp_path / "ms") == tiny()
    fetching.hub.faults = [Fault("/cdn/org/model/model-00001-of", cut_after=100_000)]
    client.run(HF_FETCH, local_dir=str(tmp_path / "hf"))
    assert files_below(tmp_path / "hf") == tiny()


def test_what_both_clients_leave_on_disk_is_taken_as_a_source(
    fetching: Fetching, client: Client, tmp_path: Path
) -> None:
    fetching.hub.put(MODEL, tiny())
    client.run(HF_FETCH, local_dir=str(tmp_path / "hf"))
    client.run(MS_FETCH, local_dir=str(tmp_path / "ms"))
    client.run(HF_FETCH, cache_dir=str(tmp_path / "cache"))
    asked = len(fetching.hub.asked)
    for name in ("hf", "ms", "cache"):
        source = Source(folder=str(tmp_path / name))
        listed = listing(fetching.session, source, MODEL, "main")
        assert {file.path for file in listed.files} == set(tiny())
        hashed = sum(bool(file.sha256 or file.git) for file in listed.files)
        assert hashed == (0 if name == "ms" else len(tiny()))
        fetching.staging = tmp_path / f"staging-{name}"
        fetching.fetch(source=source)
        assert fetching.held() == tiny()
    assert len(fetching.hub.asked) == asked


@pytest.mark.parametrize(
    ("prepared", "token", "revision", "theirs", "ours"),
    [
        ({}, "", "v9", "RevisionNotFoundError", "has no revision v9"),
        ({"private": True}, "", "main", "RepositoryNotFoundError", "there is no model"),
        ({"gated": True}, "", "main", "GatedRepoError", "accepted its licence"),
        ({"gated": True}, "hf_mine", "main", "GatedRepoError", "has not been let in"),
    ],
)
def test_both_read_the_same_refusals(
    fetching: Fetching,
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prepared: dict[str, bool],
    token: str,
    revision: str,
    theirs: str,
    ours: str,
) -> None:
    fetching.hub.put(MODEL, tiny(), **prepared)
    fetching.hub.tokens["hf_mine"] = set()
    shown = {"HF_TOKEN": token} if token else {}
    for name, value in shown.items():
        monkeypatch.setenv(name, value)
    assert client.run(HF_REFUSAL, shown, local_dir=str(tmp_path / "out"), revision=revision) == theirs
    with pytest.raises(Exception, match=ours):
        fetching.fetch(listed=fetching.look(revision=revision))


@pytest.mark.parametrize("revision", ["master", "v9"])
def test_both_read_the_same_refusals_of_modelscope(fetching: Fetching, client: Client, revision: str) -> None:
    if revision == "v9":
        fetching.hub.put(MODEL, tiny())
    assert client.run(MS_REFUSAL, revision=revision) == "NotExistError"
    with pytest.raises(Exception, match="has no revision v9" if revision == "v9" else "there is no model"):
        fetching.look(fetching.modelscope, revision=revision)

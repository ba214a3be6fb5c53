"""Unit tests leave the user's cache alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from r1fleet.local.session import LocalSession
from tests.hubs import Fetching
from tests.standins.hub import serve_hub


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give the tests, and the programs they start, a cache of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("R1FLEET_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSession]:
    """Give an agent on this machine that finds nobody's token and no proxy."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "MODELSCOPE_API_TOKEN", "http_proxy", "HTTP_PROXY"):
            patch.delenv(name, raising=False)
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf")))
        session = LocalSession("here")
        session.start()
    yield session
    session.close()


@pytest.fixture
def fetching(agent: LocalSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fetching]:
    """Give a hub that serves nothing yet, and what fetches from it into a folder."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "MODELSCOPE_API_TOKEN", "HF_ENDPOINT", "MODELSCOPE_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with serve_hub() as hub:
        yield Fetching(agent, hub, tmp_path / "staging")

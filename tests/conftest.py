"""Real hosts for the tests that need them; where the lab cannot run, those tests fail and say why."""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from r1fleet import lab as labs
from r1fleet.cache import cache_dir
from r1fleet.errors import LabError
from r1fleet.lab import Lab
from r1fleet.local.session import LocalSession
from tests.hubs import Fetching
from tests.standins.hub import serve_hub

LabFactory = Callable[..., Lab]
PROVISIONED = {
    "test_engine_parsers.py",
    "test_main_job.py",
    "test_prepare.py",
    "test_provision.py",
    "test_vllm_faults.py",
}
"""Files with tests on the hosts that tests/lab/conftest.py provisions."""


def pytest_configure() -> None:
    """Let Ctrl-C reach this process and those that it starts: a shell ignores it for what runs in its background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = together
    return scheduler


def together(nodeid: str) -> str:
    """Name what runs in one process: a file's tests, and all that need the provisioned hosts, which take a minute."""
    path = nodeid.partition("::")[0]
    return "provisioned" if path.removeprefix("tests/lab/") in PROVISIONED else path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "lab" in item.path.relative_to(Path(__file__).parent).parts[:1]:
            item.add_marker(pytest.mark.lab)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("lab"):
        try:
            labs.check_ground()
        except LabError as error:
            pytest.fail(f"lab tests cannot run here, and never skip: {error}", pytrace=False)


@pytest.fixture(scope="session")
def lab_name() -> Iterator[str]:
    """A name of this session's own, and the same again in the next: two sessions of one checkout don't share hosts."""
    checkout = hashlib.sha256(str(Path(__file__).parent).encode()).hexdigest()[:4]
    for number in count(1):
        name = f"test-{checkout}-{number}"
        with (cache_dir("locks") / f"{name}.lock").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield name
            return


@pytest.fixture(scope="session")
def lab(lab_name: str) -> Iterator[Lab]:
    """Two hosts for the whole session, for tests that leave them as they were."""
    yield labs.up(lab_name, hosts=2, extra_vars={})
    _take_down(lab_name)


@pytest.fixture
def own_lab(lab_name: str) -> Iterator[LabFactory]:
    """Make labs for one test, which may break them: ``own_lab(hosts=2)``."""
    names: list[str] = []

    def make(hosts: int = 1, **more: Any) -> Lab:
        names.append(f"{lab_name}-own{len(names) + 1}")
        labs.down(names[-1])  # a session that was killed may have left one
        return labs.up(names[-1], hosts=hosts, extra_vars=more.pop("extra_vars", {}), **more)

    yield make
    for name in names:
        _take_down(name)


def _take_down(name: str) -> None:
    if os.environ.get("R1FLEET_KEEP_LAB") != "1":
        labs.down(name)


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

"""Hashing what copy sends: small files at once, big ones where no other host waits for it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from pathlib import Path

import pytest

from r1fleet.playbook import digests
from tests.plays import Project

BIG = 5 << 20


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "playbooks/files/big"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    os.truncate(path, BIG)
    return path


def test_a_big_file_is_hashed_once_and_not_where_the_run_goes_on(big: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    hash_file = digests.sha256_of

    def watched(path: Path) -> str:
        threads.append(threading.get_ident())
        return hash_file(path)

    monkeypatch.setattr(digests, "sha256_of", watched)

    async def all_hosts() -> list[str]:
        return await asyncio.gather(
            *(digests.with_digests(lambda: digests.digest_of(big, big.stat())) for _ in range(8))
        )

    assert set(asyncio.run(all_hosts())) == {hashlib.sha256(big.read_bytes()).hexdigest()}
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


def test_a_big_file_that_changed_is_hashed_again(big: Path) -> None:
    def digest() -> str:
        return asyncio.run(digests.with_digests(lambda: digests.digest_of(big, big.stat())))

    before = digest()
    os.truncate(big, BIG + 1)
    assert digest() != before


def test_big_files_go_ahead_in_windows_like_others(big: Path) -> None:
    told = Project(big.parents[2], hosts=2).tasks("""
        - {name: one, file: {path: /d, state: directory}}
        - {name: two, copy: {src: big, dest: /d/big}}
        - {name: three, file: {path: /d/e, state: directory}}
    """)
    assert [call.module for name, call in told.transport.calls if name == "h1"] == ["file", "copy", "file"]
    sizes = {call.blobs[0].size for _, call in told.transport.calls if call.blobs}
    assert sizes == {BIG}

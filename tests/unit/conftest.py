"""Unit tests leave the user's cache alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give the tests, and the programs they start, a cache of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("R1FLEET_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield

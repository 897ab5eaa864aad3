"""Settings of the data tests."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has a cache of its own, never the user's."""
    cache: Path = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("STRIATE_CACHE", str(cache))

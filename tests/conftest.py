"""Fixtures that tests of several rooms share."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.crop_kernel import kernel  # noqa: F401 - a fixture
from support.host_driver import host_driver  # noqa: F401 - a fixture

from sji_edge.records.write.sqlite import SqliteSink


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Neither use nor fill the cache of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def real_boards() -> Path:
    root = os.environ.get("SJI_DATA")
    if not root:
        pytest.skip("SJI_DATA is not set")
    return Path(root) / "boards"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteSink]:
    """Records in ``inspections.db``."""
    with closing(SqliteSink(tmp_path / "inspections.db")) as sink:
        yield sink

import os
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sji_edge.sinks.sqlite import SqliteSink

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))
sys.path.insert(0, str(TESTS / "recipe"))


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

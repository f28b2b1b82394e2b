from pathlib import Path

import pytest
from support.board_records import record

from sji_edge.records.write.sqlite import SqliteSink


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """A database with one board."""
    path = tmp_path / "inspections.db"
    with SqliteSink(path) as sink:
        sink.write(record())
    return path

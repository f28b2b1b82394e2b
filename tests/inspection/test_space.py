import shutil
import sqlite3
from contextlib import closing

import pytest
from bright_model import PLACES, CountingClock, board_image, frame_of, recipe_judge

from sji_edge.core.errors import OutputError
from sji_edge.inspection.loop import Inspection
from sji_edge.inspection.space import FreeSpace
from sji_edge.sinks.sqlite import SqliteSink


class Boards:
    def __init__(self, count: int) -> None:
        self._count = count

    def __iter__(self):
        pixels = board_image(dict.fromkeys(PLACES, 40))
        for index in range(self._count):
            changed = pixels.copy()
            changed[0, 0] = index
            yield frame_of(changed, index, f"{index}.png")

    def close(self) -> None:
        pass


def test_room_enough_is_no_shortage(tmp_path):
    assert FreeSpace(tmp_path, 1).shortage() is None
    assert FreeSpace(tmp_path / "gone", 0).shortage() is None
    assert "No such file" in FreeSpace(tmp_path / "gone", 1).shortage().message


def test_a_shortage_names_both_figures(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    found = FreeSpace(tmp_path, free * 2).shortage()
    assert found.exit_code == 7
    assert "MB free" in found.message


def test_the_run_ends_before_the_disk_is_full_with_every_captured_board_on_record(tmp_path):
    clock = CountingClock()
    space = FreeSpace(tmp_path, shutil.disk_usage(tmp_path).free * 2)
    with closing(SqliteSink(tmp_path / "records.db")) as database:
        inspection = Inspection(Boards(200), recipe_judge(tmp_path), [database], clock, space=space)
        with pytest.raises(OutputError, match="nearly full"):
            inspection.run()
    summary = inspection.summary()
    with closing(sqlite3.connect(tmp_path / "records.db")) as connection:
        kept = connection.execute("SELECT count(*) FROM boards WHERE verdict = 'PASS'").fetchone()[0]
    assert summary.captured == summary.judged == kept
    assert 1 <= kept < 200

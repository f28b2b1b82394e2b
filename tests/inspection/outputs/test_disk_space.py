import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.bright_model import PLACES, board_image, frame_of, recipe_judge

from sji_edge.core.errors import OutputError
from sji_edge.inspection.loop import Inspection
from sji_edge.inspection.outputs.disk_space import FreeSpace
from sji_edge.records.write.sqlite import SqliteSink
from sji_edge.testing import FakeClock


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
    assert FreeSpace([tmp_path], 1).shortage() is None
    assert FreeSpace([tmp_path / "gone"], 0).shortage() is None
    assert "No such file" in FreeSpace([tmp_path / "gone"], 1).shortage().message


def test_a_shortage_names_both_figures(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    found = FreeSpace([tmp_path], free * 2).shortage()
    assert found.exit_code == 7
    assert "MB are free" in found.message
    assert "MB are reserved" in found.message


def test_every_disk_is_looked_at_and_named_by_its_first_folder(tmp_path):
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second disk here")
    (tmp_path / "pictures").mkdir()
    both = [tmp_path, tmp_path / "pictures", other]
    free = {folder: shutil.disk_usage(folder).free for folder in (tmp_path, other)}
    small, large = sorted(free, key=free.get)
    between = (free[small] + free[large]) // 2
    assert FreeSpace([large], between).shortage() is None
    for folders in (both, both[::-1]):
        assert f"the disk of {small} " in FreeSpace(folders, between).shortage().message.replace(
            "/pictures", ""
        )
    assert f"the disk of {tmp_path} " in FreeSpace(both, sum(free.values()) * 2).shortage().message


def test_the_run_ends_before_the_disk_is_full_with_every_captured_board_on_record(tmp_path):
    clock = FakeClock(step_s=0.001)
    space = FreeSpace([tmp_path], shutil.disk_usage(tmp_path).free * 2)
    with closing(SqliteSink(tmp_path / "records.db")) as database:
        inspection = Inspection(Boards(200), recipe_judge(tmp_path), [database], clock, space=space)
        with pytest.raises(OutputError, match="nearly full"):
            inspection.run()
    summary = inspection.summary()
    with closing(sqlite3.connect(tmp_path / "records.db")) as connection:
        kept = connection.execute("SELECT count(*) FROM boards WHERE verdict = 'PASS'").fetchone()[0]
    assert summary.captured == summary.judged == kept
    assert 1 <= kept < 200

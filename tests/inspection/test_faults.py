"""Any fault of a frame makes its joints ERROR with the cause; the boards around it are judged."""

import sqlite3
from contextlib import closing

import cv2
import numpy as np
import pytest
from support.bright_model import PLACES, board_image, recipe_judge
from support.drawn_board import MARKS

from sji_edge.core.protocols import Frame
from sji_edge.core.verdict import Verdict
from sji_edge.inspection.faults import Cause
from sji_edge.inspection.loop import Inspection, LoopSettings
from sji_edge.records.write.jsonl import JsonlSink
from sji_edge.records.write.sqlite import SqliteSink
from sji_edge.streams.files.folder import FolderSource
from sji_edge.testing import FakeClock, FakeSource

GOOD = dict.fromkeys(PLACES, 40)


def noisy(seed: int) -> np.ndarray:
    """A good board as a live camera shows it: no two frames are the same."""
    image = board_image(GOOD).astype(int)
    return np.clip(image + np.random.default_rng(seed).integers(-2, 3, image.shape), 0, 255).astype(np.uint8)


def covered() -> np.ndarray:
    image = noisy(1)
    x, y = (round(place) for place in MARKS[0])
    cv2.rectangle(image, (x - 30, y - 30), (x + 30, y + 30), 60, -1)
    return image


def cut_off(image: np.ndarray) -> bytes:
    data = cv2.imencode(".png", image)[1].tobytes()
    return data[: len(data) // 2]


FAULTS = {
    Cause.BLACK: lambda: np.zeros((480, 640), np.uint8),
    Cause.SATURATED: lambda: np.full((480, 640), 255, np.uint8),
    Cause.FROZEN: lambda: noisy(0),
    Cause.WRONG_SIZE: lambda: cv2.resize(noisy(1), (320, 240)),
    Cause.ALIGNMENT: covered,
    Cause.UNREADABLE: lambda: cut_off(noisy(1)),
}


def write(folder, faulty):
    folder.mkdir()
    height, width = board_image(GOOD).shape
    for number, content in enumerate((noisy(0), faulty, noisy(2))):
        path = folder / f"{number}.png"
        if isinstance(content, bytes):
            path.write_bytes(content)
            continue
        if content.shape == (480, 640) and (height, width) != (480, 640):
            content = cv2.resize(content, (width, height))
        cv2.imwrite(str(path), content)
    return folder


@pytest.mark.parametrize("low_latency", [False, True])
@pytest.mark.parametrize("cause", FAULTS, ids=str)
def test_a_faulty_frame_is_error_and_its_neighbours_are_judged(tmp_path, cause, low_latency):
    clock = FakeClock(step_s=0.001)
    frames = write(tmp_path / "frames", FAULTS[cause]())
    source = FolderSource.open(str(frames), {}, clock=clock, colour=True, skip=frozenset())
    with (
        closing(SqliteSink(tmp_path / "records.db")) as database,
        closing(JsonlSink(tmp_path / "records.jsonl")) as lines,
    ):
        settings = LoopSettings(low_latency=low_latency)
        summary = Inspection(
            source, recipe_judge(tmp_path, live=True), [database, lines], clock, settings
        ).run()
    assert summary.errors == {cause: 1}
    assert summary.captured == 3
    assert summary.joints[Verdict.PASS] == 2 * len(PLACES)
    assert summary.joints[Verdict.ERROR] == len(PLACES)
    with closing(sqlite3.connect(tmp_path / "records.db")) as connection:
        rows = connection.execute(
            "SELECT b.frame_name, j.verdict, j.score, j.cause FROM joints j JOIN boards b ON b.id = j.board_id"
        ).fetchall()
    assert len(rows) == 3 * len(PLACES)
    for name, verdict, score, why in rows:
        if name == "1.png":
            assert (verdict, score, why) == ("ERROR", None, cause.value)
        else:
            assert verdict == "PASS"


class SteppingBack(FakeClock):
    """A wall clock that is set back between boards."""

    def __init__(self) -> None:
        super().__init__(step_s=0.001)
        self._hour = 9

    def utc(self) -> str:
        self._hour -= 1
        return f"2025-01-31T{self._hour:02d}:09:10.123456+00:00"


def test_a_wall_clock_set_back_costs_no_record_and_no_order(tmp_path):
    clock = SteppingBack()
    frames = [Frame(number, f"{number}.png", clock.monotonic_ns(), noisy(number)) for number in range(4)]
    judge = recipe_judge(tmp_path, clock=clock)
    with closing(SqliteSink(tmp_path / "records.db")) as database:
        summary = Inspection(FakeSource(frames), judge, [database], clock).run()
    with closing(sqlite3.connect(tmp_path / "records.db")) as connection:
        rows = connection.execute("SELECT frame_index, utc FROM boards ORDER BY id").fetchall()
    assert [index for index, _ in rows] == [0, 1, 2, 3]
    assert [utc for _, utc in rows] == sorted((utc for _, utc in rows), reverse=True)
    assert summary.judged == 4
    assert summary.latency["end to end"].max_ms > 0

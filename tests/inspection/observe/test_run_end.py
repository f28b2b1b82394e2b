"""How a run ends that was stopped by its alarm, or that judged nothing."""

import sqlite3
import time
from contextlib import closing

import numpy as np
import pytest
from support.bright_model import PLACES, board_image, frame_of, recipe_judge

from sji_edge.core.errors import GateError
from sji_edge.core.verdict import Verdict
from sji_edge.inspection.faults import Cause
from sji_edge.inspection.loop import Inspection, LoopSettings
from sji_edge.inspection.observe.empty_run import NEXT_STEP, nothing_judged
from sji_edge.inspection.observe.tally import Tally
from sji_edge.testing import FakeClock

QUEUE = 4


class Line:
    """Boards without end on which J2 fails; counts those that it gave."""

    def __init__(self):
        self.given = 0

    def __iter__(self):
        pixels = board_image(dict.fromkeys(PLACES, 40) | {"J2": 80})
        while True:
            changed = pixels.copy()
            # Each differs from all others: any displaced frame may lie between two that are not displaced.
            changed[0, :4] = np.frombuffer(np.uint32(self.given).tobytes(), np.uint8)
            self.given += 1
            yield frame_of(changed, self.given - 1)

    def close(self):
        pass


class SlowAt:
    """A real sink that, at one board, waits until the line has filled every place between them."""

    def __init__(self, sink, line, board):
        self._sink, self._line, self._left = sink, line, board

    def write(self, record):
        self._left -= 1
        before = -1
        while self._left == 0 and self._line.given > before:
            before = self._line.given
            time.sleep(0.15)
        self._sink.write(record)

    def close(self):
        self._sink.close()


def indices(tmp_path):
    with closing(sqlite3.connect(tmp_path / "inspections.db")) as connection:
        return [row[0] for row in connection.execute("SELECT frame_index FROM boards ORDER BY id")]


@pytest.mark.parametrize("policy", ["every", "latest"])
@pytest.mark.parametrize("low_latency", [False, True])
def test_alarm_judges_no_board_that_only_waited_and_counts_it(tmp_path, database, policy, low_latency):
    line = Line()
    settings = LoopSettings(policy=policy, queue=QUEUE, stop_on=3, low_latency=low_latency)
    sink = SlowAt(database, line, 3) if policy == "every" else database
    inspection = Inspection(line, recipe_judge(tmp_path), [sink], FakeClock(step_s=0.001), settings)
    with pytest.raises(GateError, match=r"J2 failed on 3 boards in a row, the last one is board\d+\.png"):
        inspection.run()
    summary = inspection.summary()
    assert set(summary.errors) <= {Cause.NOT_BEGUN, Cause.DISPLACED}
    assert summary.captured == summary.judged + sum(summary.errors.values())
    assert summary.judged == len(indices(tmp_path))
    if policy == "every":
        # What waited in the queue, and the frame for which there was no room.
        assert summary.errors[Cause.NOT_BEGUN] == QUEUE + 1
        assert indices(tmp_path) == list(range(summary.judged))
        assert line.given == summary.captured


def frames_of(*images):
    return [frame_of(pixels, index) for index, pixels in enumerate(images)]


def test_run_without_a_judged_joint_fails_and_names_the_commonest_cause(tmp_path, database):
    black, small = np.zeros((520, 640), np.uint8), np.full((48, 64), 90, np.uint8)
    frames = frames_of(black, small, small)
    inspection = Inspection(frames, recipe_judge(tmp_path), [database], FakeClock(step_s=0.001))
    with pytest.raises(GateError) as caught:
        inspection.run()
    assert caught.value.exit_code == 3
    assert (
        "2 of 3 boards are ERROR wrong-size; the first: board01.png: 64x48 pixels instead of 640x520"
        in caught.value.message
    )
    assert caught.value.hint == NEXT_STEP[Cause.WRONG_SIZE]
    assert len(indices(tmp_path)) == 3


def test_frames_that_nobody_looked_at_do_not_hide_what_was_found_in_the_others(tmp_path):
    tally = Tally()
    tally.capture(40)
    tally.add_unrecorded(Cause.DISPLACED, 37)
    for frame in frames_of(*[np.zeros((520, 640), np.uint8)] * 3):
        tally.add(recipe_judge(tmp_path).judge(frame), 0, 0)
    failure = nothing_judged(tally.summary(1.0))
    assert failure is not None
    assert "3 of 40 boards are ERROR black; the first: board00.png" in failure.message
    assert failure.hint == NEXT_STEP[Cause.BLACK]


def test_a_run_without_examined_frames_reports_what_became_of_them():
    tally = Tally()
    tally.capture(3)
    tally.add_unrecorded(Cause.MISSED, 3)
    failure = nothing_judged(tally.summary(1.0))
    assert failure is not None
    assert failure.message == "no joint was judged: 3 of 3 frames were not judged: missed"


def test_one_judged_board_is_a_run_that_judged(tmp_path, database):
    frames = frames_of(np.zeros((520, 640), np.uint8), board_image(dict.fromkeys(PLACES, 40)))
    summary = Inspection(frames, recipe_judge(tmp_path), [database], FakeClock(step_s=0.001)).run()
    assert summary.boards[Verdict.ERROR] == summary.judged == 1


def test_run_that_was_broken_off_is_not_called_one_that_judged_nothing(tmp_path, database):
    seen = []
    summary = Inspection(
        [frame_of(np.zeros((520, 640), np.uint8), index) for index in range(50)],
        recipe_judge(tmp_path),
        [database],
        FakeClock(step_s=0.001),
        stop=lambda: bool(seen),
        on_board=[lambda frame, judgement: seen.append(frame.name)],
    ).run()
    assert summary.judged == 0
    assert summary.captured == len(indices(tmp_path)) >= 1

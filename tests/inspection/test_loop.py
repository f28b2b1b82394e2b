import sqlite3
from contextlib import closing

import cv2
import numpy as np
import pytest
from bright_model import (
    MODEL,
    PLACES,
    SPEC,
    THRESHOLDS,
    CountingClock,
    board_image,
    open_engine,
    recipe_judge,
)

from sji_edge.core.errors import EngineInputError, OutputError, SourceError
from sji_edge.core.verdict import Verdict
from sji_edge.inspection.faults import Cause
from sji_edge.inspection.judge import BoardJudge
from sji_edge.inspection.layout import ImageLayout
from sji_edge.inspection.loop import Inspection
from sji_edge.inspection.tally import LatencyLog
from sji_edge.sinks.jsonl import JsonlSink
from sji_edge.sinks.sqlite import SqliteSink
from sji_edge.streams.folder import FolderSource

GREYS = [40, 60, 80]


def write_boards(folder):
    """Six frames: good, doubtful, bad, black, of another size, no image."""
    folder.mkdir()
    for number, grey in enumerate(GREYS):
        cv2.imwrite(str(folder / f"{number}.png"), board_image(dict.fromkeys(PLACES, 40) | {"J2": grey}))
    cv2.imwrite(str(folder / "3.png"), np.zeros((520, 640), np.uint8))
    cv2.imwrite(str(folder / "4.png"), np.full((52, 64), 99, np.uint8))
    (folder / "5.png").write_text("no image")
    return folder


def source_of(folder, clock):
    return FolderSource.open(str(folder), {}, clock=clock, colour=True, skip=frozenset())


@pytest.fixture
def database(tmp_path):
    with closing(SqliteSink(tmp_path / "inspections.db")) as sink:
        yield sink


def recorded(tmp_path):
    with closing(sqlite3.connect(tmp_path / "inspections.db")) as connection:
        return connection.execute("SELECT frame_name, verdict FROM boards ORDER BY id").fetchall()


def test_every_frame_is_recorded_and_accounted_for(tmp_path, database):
    clock = CountingClock()
    boards = write_boards(tmp_path / "frames")
    summary = Inspection(source_of(boards, clock), recipe_judge(tmp_path), [database], clock).run()
    assert recorded(tmp_path) == [
        ("0.png", "PASS"),
        ("1.png", "REVIEW"),
        ("2.png", "FAIL"),
        ("3.png", "ERROR"),
        ("4.png", "ERROR"),
        ("5.png", "ERROR"),
    ]
    assert summary.errors == {Cause.BLACK: 1, Cause.WRONG_SIZE: 1, Cause.UNREADABLE: 1}
    assert summary.captured == 6
    assert summary.judged == 3
    assert summary.boards == {Verdict.PASS: 1, Verdict.REVIEW: 1, Verdict.FAIL: 1, Verdict.ERROR: 3}
    assert summary.joints == {Verdict.PASS: 13, Verdict.REVIEW: 1, Verdict.FAIL: 1, Verdict.ERROR: 15}
    assert [(fail.frame_name, fail.joint.refdes) for fail in summary.first_fails] == [("2.png", "J2")]
    assert summary.joints_per_s == pytest.approx(15 / summary.wall_s)
    assert summary.latency["infer"].count == 3
    assert summary.latency["end to end"].count == 6
    assert summary.latency["infer"].p50_ms == 1.0


def test_stops_after_so_many_frames(tmp_path, database):
    clock = CountingClock()
    source = source_of(write_boards(tmp_path / "frames"), clock)
    summary = Inspection(source, recipe_judge(tmp_path), [database], clock, max_frames=2).run()
    assert summary.captured == 2
    assert len(recorded(tmp_path)) == 2


def test_stops_when_asked_with_the_frame_in_flight_on_record(tmp_path, database):
    clock, seen = CountingClock(), []
    source = source_of(write_boards(tmp_path / "frames"), clock)
    inspection = Inspection(
        source,
        recipe_judge(tmp_path),
        [database],
        clock,
        stop=lambda: len(seen) == 3,
        on_board=lambda frame, judgement: seen.append(frame.name),
    )
    assert inspection.run().captured == 3
    assert [name for name, _ in recorded(tmp_path)] == seen == ["0.png", "1.png", "2.png"]


def test_engine_that_fails_stops_the_run_with_the_board_on_record(tmp_path, database):
    clock = CountingClock()
    engine = open_engine(tmp_path)
    judge = BoardJudge(engine, MODEL, ImageLayout(SPEC, THRESHOLDS), clock, "run")
    source = source_of(write_boards(tmp_path / "frames"), clock)
    seen = []

    def close_after_two(frame, judgement):
        seen.append(judgement.record.verdict)
        if len(seen) == 2:
            engine.close()

    inspection = Inspection(source, judge, [database], clock, on_board=close_after_two)
    with pytest.raises(EngineInputError, match="closed"):
        inspection.run()
    summary = inspection.summary()
    assert [verdict for _, verdict in recorded(tmp_path)] == seen
    assert seen[-1] == Verdict.ERROR
    assert summary.errors == {Cause.ENGINE: 1}
    assert summary.captured == summary.judged + 1 == 3


def test_sink_that_fails_stops_the_run_and_the_board_is_counted(tmp_path, database):
    clock = CountingClock()
    source = source_of(write_boards(tmp_path / "frames"), clock)
    inspection = Inspection(
        source,
        recipe_judge(tmp_path),
        [database],
        clock,
        on_board=lambda frame, judgement: database.close() if frame.index == 1 else None,
    )
    with pytest.raises(OutputError) as caught:
        inspection.run()
    assert caught.value.exit_code == 7
    summary = inspection.summary()
    assert summary.errors == {Cause.NOT_RECORDED: 1}
    assert (summary.captured, summary.judged) == (3, 2)


def test_stream_without_a_frame_is_an_error(tmp_path, database):
    inspection = Inspection(
        FolderSource([], CountingClock()), recipe_judge(tmp_path), [database], CountingClock()
    )
    with pytest.raises(SourceError, match="without a frame"):
        inspection.run()


def test_both_sinks_hold_the_same_boards(tmp_path, database):
    clock = CountingClock()
    source = source_of(write_boards(tmp_path / "frames"), clock)
    with closing(JsonlSink(tmp_path / "run.jsonl")) as lines:
        Inspection(source, recipe_judge(tmp_path), [database, lines], clock).run()
    text = (tmp_path / "run.jsonl").read_text()
    assert text.count('"type": "board"') == len(recorded(tmp_path)) == 6
    assert text.count('"type": "joint"') == 30


def test_percentiles_are_of_the_last_values_and_leave_none_out():
    log = LatencyLog(kept=100)
    for latency_ms in [10_000, *range(1, 100), 500]:
        log.add(latency_ms * 1_000_000)
    summary = log.summary()
    assert (summary.count, summary.max_ms) == (101, 500.0)
    ordered = sorted([*range(1, 100), 500])
    assert summary.p50_ms == ordered[50]
    assert summary.p99_ms == ordered[99]
    assert LatencyLog().summary().count == 0

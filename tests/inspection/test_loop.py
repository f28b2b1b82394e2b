"""Every frame of a run is accounted for, whatever fails."""

import time
from collections import Counter
from contextlib import closing
from dataclasses import replace

import pytest
from support.board_stream import Camera, endless, recorded, source_of, write_boards
from support.bright_model import (
    PLACES,
    board_image,
    frame_of,
    open_engine,
    recipe_judge,
)

from sji_edge.core.errors import GateError, OutputError, SourceError
from sji_edge.core.protocols import Frame
from sji_edge.core.verdict import Verdict
from sji_edge.inspection.faults import Cause
from sji_edge.inspection.judging.frame_job import Deadlines
from sji_edge.inspection.loop import Inspection, LoopSettings
from sji_edge.records.write.jsonl import JsonlSink
from sji_edge.streams.files.folder import FolderSource
from sji_edge.testing import FakeClock, FakeSource


def test_every_frame_is_recorded_and_accounted_for(tmp_path, database):
    clock = FakeClock(step_s=0.001)
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
    # Each look at the clock is a millisecond; other threads look at it too.
    assert summary.latency["infer"].p50_ms >= 1.0


def test_stops_after_the_maximum_number_of_frames(tmp_path, database):
    clock = FakeClock(step_s=0.001)
    source = source_of(write_boards(tmp_path / "frames"), clock)
    summary = Inspection(source, recipe_judge(tmp_path), [database], clock, LoopSettings(max_frames=2)).run()
    assert summary.captured == 2
    assert len(recorded(tmp_path)) == 2


@pytest.mark.parametrize("low_latency", [False, True])
def test_stops_on_request_with_every_captured_frame_on_record(tmp_path, database, low_latency):
    clock, seen = FakeClock(step_s=0.001), []
    inspection = Inspection(
        endless(tmp_path, clock),
        recipe_judge(tmp_path),
        [database],
        clock,
        LoopSettings(low_latency=low_latency),
        stop=lambda: len(seen) >= 3,
        on_board=[lambda frame, judgement: seen.append(frame.name)],
    )
    summary = inspection.run()
    assert summary.captured == summary.judged == len(seen) >= 3
    assert (
        [name for name, _ in recorded(tmp_path)] == seen == [f"{index % 3}.png" for index in range(len(seen))]
    )


def test_sink_that_fails_stops_the_run_and_what_was_in_flight_is_an_error_where_that_can_be_said(
    tmp_path, database
):
    clock = FakeClock(step_s=0.001)
    with closing(JsonlSink(tmp_path / "run.jsonl")) as lines:
        inspection = Inspection(
            endless(tmp_path, clock),
            recipe_judge(tmp_path),
            [database, ClosedAfter(lines, 2)],
            clock,
        )
        with pytest.raises(OutputError) as caught:
            inspection.run()
    assert caught.value.exit_code == 7
    summary = inspection.summary()
    assert summary.judged == 2
    assert summary.captured == 2 + sum(summary.errors.values())
    assert summary.errors[Cause.NOT_RECORDED] >= 1
    kept = [verdict for _, verdict in recorded(tmp_path)]
    # The board that the second sink refused is whole in the first.
    assert kept[:3] == ["PASS", "REVIEW", "FAIL"]
    assert set(kept[3:]) <= {"ERROR"}
    assert {str(verdict): count for verdict, count in summary.boards.items() if count} == Counter(kept)
    assert (tmp_path / "run.jsonl").read_text().count('"type": "board"') == 2


class ClosedAfter:
    """A real sink whose disk is full after a number of boards."""

    def __init__(self, sink, boards):
        self._sink, self._boards = sink, boards
        self.close = sink.close

    def write(self, record):
        self._boards -= 1
        if self._boards < 0:
            raise OutputError("no space left on device")
        self._sink.write(record)


def test_picture_that_cannot_be_written_ends_the_run_with_what_was_in_flight_on_record(tmp_path, database):
    clock, shown, told = FakeClock(step_s=0.001), [], []

    def picture(frame, judgement):
        shown.append(frame.name)
        if len(shown) == 2:
            raise OutputError("no space left for pictures")

    def tell(frame, judgement):
        told.append((frame.name, judgement.record.verdict.value))

    inspection = Inspection(
        endless(tmp_path, clock), recipe_judge(tmp_path), [database], clock, on_board=[picture, tell]
    )
    with pytest.raises(OutputError, match="for pictures"):
        inspection.run()
    summary = inspection.summary()
    assert len(shown) == 2
    assert told == recorded(tmp_path)
    assert summary.captured == summary.judged == len(recorded(tmp_path))
    assert [verdict for _, verdict in recorded(tmp_path)][:3] == ["PASS", "REVIEW", "FAIL"]


class SlowSink:
    def __init__(self, sink):
        self._sink = sink

    def write(self, record):
        time.sleep(0.02)
        self._sink.write(record)

    def close(self):
        self._sink.close()


def test_sink_slower_than_the_camera_displaces_frames_that_are_counted_and_loses_no_record(
    tmp_path, database
):
    clock = FakeClock(step_s=0.001)
    frames = list(source_of(write_boards(tmp_path / "frames"), clock))[:3]
    inspection = Inspection(
        Camera(frames, 100),
        recipe_judge(tmp_path),
        [SlowSink(database)],
        clock,
        LoopSettings(policy="latest", queue=2),
    )
    summary = inspection.run()
    assert summary.captured == 100
    assert summary.errors[Cause.DISPLACED] > 0
    assert summary.unrecorded == summary.errors
    assert sum(summary.boards.values()) == len(recorded(tmp_path))
    assert summary.judged + sum(summary.errors.values()) == 100
    assert len(recorded(tmp_path)) == 100 - summary.errors[Cause.DISPLACED]


def test_every_frame_is_judged_when_the_sink_is_slow_and_the_source_can_wait(tmp_path, database):
    clock = FakeClock(step_s=0.001)
    frames = list(source_of(write_boards(tmp_path / "frames"), clock))[:3]
    summary = Inspection(
        Camera(frames, 20), recipe_judge(tmp_path), [SlowSink(database)], clock, LoopSettings(queue=1)
    ).run()
    assert summary.captured == summary.judged == len(recorded(tmp_path)) == 20


class Lost(Camera):
    def __iter__(self):
        yield from super().__iter__()
        raise SourceError("the camera is gone")


def test_source_that_is_lost_ends_the_run_with_all_it_gave_on_record(tmp_path, database):
    clock = FakeClock(step_s=0.001)
    frames = list(source_of(write_boards(tmp_path / "frames"), clock))[:3]
    inspection = Inspection(Lost(frames, 5), recipe_judge(tmp_path), [database], clock)
    with pytest.raises(SourceError) as caught:
        inspection.run()
    assert caught.value.exit_code == 6
    assert inspection.summary().judged == len(recorded(tmp_path)) == 5


def test_one_joint_that_fails_on_board_after_board_is_a_process_alarm(tmp_path, database):
    clock = FakeClock(step_s=0.001)
    bad = list(source_of(write_boards(tmp_path / "frames"), clock))[2]
    other = replace(bad, pixels=board_image(dict.fromkeys(PLACES, 40) | {"J2": 81}))
    inspection = Inspection(
        FakeSource([bad, other], repeat=True),
        recipe_judge(tmp_path),
        [database],
        clock,
        LoopSettings(stop_on=3),
    )
    with pytest.raises(GateError, match="J2 failed on 3 boards in a row"):
        inspection.run()
    summary = inspection.summary()
    assert summary.judged == len(recorded(tmp_path)) >= 3
    assert summary.captured == summary.judged + summary.errors.get(Cause.NOT_BEGUN, 0)


def test_frame_that_is_too_old_and_verdict_that_is_late_are_errors(tmp_path, database):
    engine = open_engine(tmp_path)
    image = board_image(dict.fromkeys(PLACES, 40))
    for limits, cause in (
        (Deadlines(max_age_ns=1), Cause.TOO_OLD),
        (Deadlines(takt_ns=1), Cause.LATE),
    ):
        judge = recipe_judge(tmp_path, engine=engine, deadlines=limits)
        judgement = judge.judge(frame_of(image))
        assert judgement.cause is cause
        assert {joint.verdict for joint in judgement.record.joints} == {Verdict.ERROR}
        assert {joint.score for joint in judgement.record.joints} == {None}
    roomy = Deadlines(max_age_ns=10**12, takt_ns=10**12)
    judge = recipe_judge(tmp_path, engine=engine, deadlines=roomy)
    assert judge.judge(frame_of(image)).record.verdict is Verdict.PASS


def test_stream_without_a_frame_is_an_error(tmp_path, database):
    inspection = Inspection(
        FolderSource([], FakeClock(step_s=0.001)), recipe_judge(tmp_path), [database], FakeClock(step_s=0.001)
    )
    with pytest.raises(SourceError, match="without a frame"):
        inspection.run()


def test_both_sinks_hold_the_same_boards(tmp_path, database):
    clock = FakeClock(step_s=0.001)
    source = source_of(write_boards(tmp_path / "frames"), clock)
    with closing(JsonlSink(tmp_path / "run.jsonl")) as lines:
        Inspection(source, recipe_judge(tmp_path), [database, lines], clock).run()
    text = (tmp_path / "run.jsonl").read_text()
    assert text.count('"type": "board"') == len(recorded(tmp_path)) == 6
    assert text.count('"type": "joint"') == 30


@pytest.mark.parametrize("low_latency", [False, True])
def test_frames_that_the_device_lost_are_captured_and_counted_by_cause(tmp_path, database, low_latency):
    clock = FakeClock(step_s=0.001)
    first, second, third = list(source_of(write_boards(tmp_path / "frames"), clock))[:3]
    source = FakeSource([first, replace(second, missed=4), replace(third, missed=1)])
    summary = Inspection(
        source, recipe_judge(tmp_path), [database], clock, LoopSettings(low_latency=low_latency)
    ).run()
    assert summary.errors == {Cause.MISSED: 5}
    assert (summary.captured, summary.judged, summary.in_flight) == (8, 3, 0)
    assert summary.unrecorded == summary.errors
    assert summary.boards[Verdict.ERROR] == 0
    assert len(recorded(tmp_path)) == 3


def test_source_that_is_away_is_error_on_record_and_what_comes_back_is_judged(tmp_path, database):
    clock = FakeClock(step_s=0.001)
    first, second = list(source_of(write_boards(tmp_path / "frames"), clock))[:2]
    away = Frame(1, "cam#000001", first.captured_ns, None, "the cable was cut", away=True)
    summary = Inspection(
        FakeSource([first, away, replace(second, index=2)]), recipe_judge(tmp_path), [database], clock
    ).run()
    assert [verdict for _, verdict in recorded(tmp_path)] == ["PASS", "ERROR", "REVIEW"]
    assert summary.errors == {Cause.SOURCE_AWAY: 1}
    assert summary.joints[Verdict.ERROR] == len(PLACES)

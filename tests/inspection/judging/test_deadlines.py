"""What counts against a takt: the time since a capture, or the work alone where nothing was captured."""

import pytest
from support.bright_model import PLACES, board_image, frame_of, open_engine, recipe_judge

from sji_edge.core.verdict import Verdict
from sji_edge.inspection.faults import Cause
from sji_edge.inspection.judging.frame_job import Deadlines
from sji_edge.inspection.loop import Inspection
from sji_edge.inspection.observe.tally import Tally
from sji_edge.inspection.settings import RunSettings
from sji_edge.testing import FakeClock

SECOND = 10**9
STAGES = ("wait", "check", "align", "crop", "infer", "decide")


class SlowEngine:
    """A real engine that takes a given number of the clock's seconds for each call."""

    def __init__(self, engine, clock, seconds):
        self._engine, self._clock, self._seconds = engine, clock, seconds
        self.spec, self.prepare, self.close = engine.spec, engine.prepare, engine.close

    def infer(self, crops):
        self._clock.sleep(self._seconds)
        return self._engine.infer(crops)


def judge_of(tmp_path, clock, deadlines, seconds=0.0):
    engine = SlowEngine(open_engine(tmp_path), clock, seconds)
    return recipe_judge(tmp_path, clock=clock, engine=engine, deadlines=deadlines)


def judged_with_waits(judge, clock, *, in_queue, prepared, decided):
    """Judge a board that waits a given number of seconds before each of three stages."""
    clock.sleep(in_queue)
    work = judge.prepare(frame_of(board_image(dict.fromkeys(PLACES, 40))), judge.own_buffer)
    clock.sleep(prepared)
    judge.infer([work])
    clock.sleep(decided)
    return judge.decide(work)


@pytest.mark.parametrize("waits", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)])
def test_a_wait_is_late_for_a_camera_and_not_for_a_file(tmp_path, waits):
    clock = FakeClock(step_s=0.001)
    names = ("in_queue", "prepared", "decided")
    for counts, verdict in ((True, Verdict.ERROR), (False, Verdict.PASS)):
        clock.now_ns = 0
        judge = judge_of(tmp_path, clock, Deadlines(takt_ns=SECOND // 2, waits=counts))
        judgement = judged_with_waits(judge, clock, **dict(zip(names, waits, strict=True)))
        assert judgement.record.verdict is verdict
        assert 1.0 <= judgement.record.latency_ns["wait"] / SECOND < 1.01


def test_work_that_takes_longer_than_the_takt_is_late_for_a_file_too(tmp_path):
    clock = FakeClock(step_s=0.001)
    judge = judge_of(tmp_path, clock, Deadlines(takt_ns=SECOND // 2, waits=False), seconds=0.6)
    judgement = judged_with_waits(judge, clock, in_queue=5.0, prepared=0.0, decided=0.0)
    assert judgement.cause is Cause.LATE
    assert "60" in judgement.record.cause
    assert "ms of work, limit 500 ms" in judgement.record.cause


def test_a_prepared_frame_that_waits_too_long_is_too_old_only_where_waits_count(tmp_path):
    clock = FakeClock(step_s=0.001)
    for counts, cause in ((True, Cause.TOO_OLD), (False, None)):
        clock.now_ns = 0
        judge = judge_of(tmp_path, clock, Deadlines(max_age_ns=SECOND // 2, waits=counts))
        judgement = judged_with_waits(judge, clock, in_queue=0.0, prepared=1.0, decided=0.0)
        assert judgement.cause is cause


def test_stages_and_waits_add_up_to_the_time_since_capture_and_to_the_record(tmp_path):
    clock, tally = FakeClock(step_s=0.001), Tally()
    judge = judge_of(tmp_path, clock, Deadlines(), seconds=0.25)
    judgement = judged_with_waits(judge, clock, in_queue=0.5, prepared=0.125, decided=2.0)
    latency = judgement.record.latency_ns
    # Writing the record is one look at the clock after the last stage.
    assert sum(latency[stage] for stage in STAGES) == latency["since_capture"] - 1_000_000
    tally.capture()
    tally.add(judgement, SECOND, latency["since_capture"] + 3 * SECOND)
    mean = {stage: log.mean_ms for stage, log in tally.summary(1.0).latency.items()}
    assert mean["record wait"] == 2000.0
    assert mean["end to end"] == pytest.approx(
        sum(mean[stage] for stage in (*STAGES, "record wait", "record")) + 1
    )


@pytest.mark.parametrize("black", [None, 0, 3])
def test_a_run_shows_the_waits_beside_its_stages_in_the_order_of_the_stages(tmp_path, black):
    clock = FakeClock(step_s=0.001)
    frames = [
        frame_of(board_image(dict.fromkeys(PLACES, 40 + index)) * (index != black), index)
        for index in range(4)
    ]
    summary = Inspection(frames, judge_of(tmp_path, clock, Deadlines()), [], clock).run()
    assert summary.boards[Verdict.ERROR] == (black is not None)
    wanted = ["acquire", *STAGES, "verdict", "record wait", "record", "end to end"]
    assert list(summary.latency) == wanted


@pytest.mark.parametrize(
    ("policy", "stored", "waits"),
    [
        (None, True, False),
        ("every", True, False),
        ("latest", True, True),
        (None, False, True),
        ("every", False, True),
    ],
)
def test_waits_count_but_for_files_that_are_all_judged(policy, stored, waits):
    assert RunSettings(policy=policy, takt_ms=5).deadlines(stored).waits is waits

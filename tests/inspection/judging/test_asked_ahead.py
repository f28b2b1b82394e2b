"""The engine receives the next frame before it has answered the last."""

import sqlite3
import time
from contextlib import closing
from dataclasses import replace

import pytest
from support.board_stream import Camera, endless, recorded
from support.bright_model import (
    MODEL,
    PLACES,
    SPEC,
    THRESHOLDS,
    board_image,
    frame_of,
    grey_patch,
    image_judge,
    open_engine,
    recipe_judge,
    score_of,
    write_recipe,
)

from sji_edge.core.errors import EngineInputError
from sji_edge.inspection.faults import Cause
from sji_edge.inspection.judging.judge import BoardJudge
from sji_edge.inspection.judging.layout import RecipeLayout
from sji_edge.inspection.loop import Inspection, LoopSettings
from sji_edge.testing import FakeClock, FakeSource


class ClosesAfter:
    """A real engine that is closed during the run, after a number of calls."""

    def __init__(self, engine, calls):
        self._engine, self._calls = engine, calls

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def infer(self, crops):
        return self._called(self._engine.infer, crops)

    def submit(self, crops):
        return self._called(self._engine.submit, crops)

    def _called(self, method, crops):
        self._calls -= 1
        if self._calls == 0:
            self._engine.close()
        return method(crops)


@pytest.mark.parametrize("low_latency", [False, True])
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_engine_that_fails_stops_the_run_with_every_board_on_record(tmp_path, database, low_latency, backend):
    clock = FakeClock(step_s=0.001)
    engine = ClosesAfter(open_engine(tmp_path, backend=backend), 3)
    judge = recipe_judge(tmp_path, clock=clock, engine=engine)
    settings = LoopSettings(low_latency=low_latency)
    inspection = Inspection(endless(tmp_path, clock), judge, [database], clock, settings)
    with pytest.raises(EngineInputError, match="closed"):
        inspection.run()
    summary = inspection.summary()
    kept = [verdict for _, verdict in recorded(tmp_path)]
    # A board still under way when the engine fails is not trusted.
    judged = 1 if backend == "openvino" and not low_latency else 2
    assert kept[:judged] == ["PASS", "REVIEW"][:judged]
    assert set(kept[judged:]) == {"ERROR"}
    assert summary.judged == judged
    assert summary.captured == judged + sum(summary.errors.values())
    assert summary.errors[Cause.ENGINE] == len(kept) - judged


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_batches_span_frames_of_few_joints_and_each_keeps_its_own_scores(tmp_path, database, backend):
    clock, greys = FakeClock(step_s=0.001), list(range(30, 90))
    frames = [frame_of(grey_patch(grey), index) for index, grey in enumerate(greys)]
    judge = image_judge(tmp_path, clock, backend)
    Inspection(Camera(frames, len(frames)), judge, [database], clock, LoopSettings(queue=16)).run()
    with closing(sqlite3.connect(tmp_path / "inspections.db")) as connection:
        scores = [row[0] for row in connection.execute("SELECT score FROM joints ORDER BY board_id")]
    assert scores == pytest.approx([score_of(grey) for grey in greys], abs=1e-5)


class Watched(ClosesAfter):
    """A real engine that records its calls in order."""

    def __init__(self, engine):
        super().__init__(engine, 0)
        self.asked = []

    def submit(self, crops):
        self.asked.append("submit")
        return super().submit(crops)

    def collect(self, ticket):
        self.asked.append("collect")
        time.sleep(0.005)  # slower than what comes before it in the loop
        return self._engine.collect(ticket)


def watched_run(tmp_path, database, source, settings=None):
    engine = Watched(open_engine(tmp_path, backend="openvino"))
    judge = recipe_judge(tmp_path, engine=engine)
    summary = Inspection(source, judge, [database], FakeClock(step_s=0.001), settings).run()
    assert summary.judged == engine.asked.count("submit") == engine.asked.count("collect") > 0
    return engine.asked


def test_the_engine_has_the_next_frame_before_it_has_answered_the_last(tmp_path, database):
    pixels = board_image(dict.fromkeys(PLACES, 40))
    source = FakeSource([replace(frame_of(pixels + noise, noise), missed=0) for noise in range(40)])
    asked = watched_run(tmp_path, database, source)
    ahead = [asked[:end].count("submit") - asked[:end].count("collect") for end in range(len(asked) + 1)]
    assert max(ahead) == 2
    assert min(ahead) == 0


def test_a_frame_alone_is_answered_without_waiting_for_another(tmp_path, database):
    recorded_ones = []

    class OneByOne(FakeSource):
        def __iter__(self):
            for frame in super().__iter__():
                yield frame
                deadline = time.monotonic() + 10
                while len(recorded(tmp_path)) <= frame.index and time.monotonic() < deadline:
                    time.sleep(0.001)
                recorded_ones.append(len(recorded(tmp_path)))

    pixels = board_image(dict.fromkeys(PLACES, 40))
    watched_run(tmp_path, database, OneByOne([frame_of(pixels + noise, noise) for noise in range(4)]))
    assert recorded_ones == [1, 2, 3, 4]


def test_a_judge_that_waits_for_each_answer_asks_for_one_at_a_time_and_decides_alike(tmp_path):
    layout = RecipeLayout(write_recipe(tmp_path / "recipe"), SPEC, THRESHOLDS)
    scores = []
    for alone, depth in ((False, 2), (True, 1)):
        engine = open_engine(tmp_path, backend="openvino")
        judge = BoardJudge(engine, MODEL, layout, FakeClock(step_s=0.001), "run", live=False)
        judge.warm_up(alone=alone)
        assert judge.depth == depth
        record = judge.judge(frame_of(board_image({"J1": 40, "J2": 58, "J3": 60, "J4": 63, "J5": 90}))).record
        scores.append([joint.score for joint in record.joints])
        engine.close()
    assert scores[0] == scores[1]

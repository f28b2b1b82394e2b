import cv2
import numpy as np
import pytest
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
)
from support.drawn_board import rigid

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import EngineInputError
from sji_edge.core.preprocess import crop_of_image
from sji_edge.core.verdict import Verdict
from sji_edge.inspection.faults import Cause
from sji_edge.inspection.judging.frame_job import Deadlines, Model
from sji_edge.inspection.judging.judge import BoardJudge
from sji_edge.inspection.judging.layout import ImageLayout
from sji_edge.testing import FakeClock

GOOD, DOUBTFUL, BAD = 40, 60, 80
ALL_GOOD = dict.fromkeys(PLACES, GOOD)


def verdicts(judgement):
    return {joint.refdes: joint.verdict for joint in judgement.record.joints}


@pytest.mark.parametrize("matrix", [np.eye(2, 3), rigid(1.5, (25, -18))])
def test_every_joint_gets_the_score_of_its_own_place(tmp_path, matrix):
    greys = {"J1": 40, "J2": 58, "J3": 60, "J4": 63, "J5": 90}
    judgement = recipe_judge(tmp_path).judge(frame_of(board_image(greys, matrix)))
    scores = {joint.refdes: joint.score for joint in judgement.record.joints}
    assert scores == pytest.approx({name: score_of(grey) for name, grey in greys.items()}, abs=1e-5)
    assert judgement.cause is None
    assert judgement.record.alignment_residual_px < 0.1


def test_verdicts_labels_and_identity(tmp_path):
    judgement = recipe_judge(tmp_path).judge(frame_of(board_image(ALL_GOOD | {"J2": DOUBTFUL, "J4": BAD}), 7))
    assert verdicts(judgement) == {
        "J1": Verdict.PASS,
        "J2": Verdict.REVIEW,
        "J3": Verdict.PASS,
        "J4": Verdict.FAIL,
        "J5": Verdict.PASS,
    }
    record = judgement.record
    assert (record.joints[0].label, record.joints[3].label) == ("normal", "defective")
    assert (record.board, record.frame_index, record.frame_name) == ("run-000007", 7, "board07.png")
    assert record.engine_sha256 == MODEL.engine_sha256
    assert len(record.recipe_sha256) == 64


@pytest.mark.parametrize(
    ("greys", "wanted"),
    [
        ({}, Verdict.PASS),
        ({"J2": DOUBTFUL}, Verdict.REVIEW),
        ({"J2": DOUBTFUL, "J3": BAD}, Verdict.FAIL),
        ({"J2": DOUBTFUL, "J3": BAD, "J5": 0}, Verdict.ERROR),
    ],
)
def test_board_is_as_bad_as_its_worst_joint(tmp_path, greys, wanted):
    assert recipe_judge(tmp_path).judge(frame_of(board_image(ALL_GOOD | greys))).record.verdict is wanted


@pytest.mark.parametrize("max_batch", [1, 2, 5, 100])
def test_batches_do_not_change_the_answer(tmp_path, max_batch):
    greys = {"J1": 40, "J2": 58, "J3": 60, "J4": 63, "J5": 90}
    judge = recipe_judge(tmp_path, max_batch=max_batch)
    judge.warm_up()
    scores = [joint.score for joint in judge.judge(frame_of(board_image(greys))).record.joints]
    assert scores == pytest.approx([score_of(grey) for grey in greys.values()], abs=1e-5)


def test_a_joints_own_thresholds_come_first(tmp_path):
    judge = recipe_judge(tmp_path, extra="J6,310,150,40,40,rect,0.001,0.9\n")
    frame = board_image(ALL_GOOD)
    frame[130:171, 290:331] = grey_patch(30, 41)
    judgement = judge.judge(frame_of(frame))
    # A grey level of 30 scores 0.0039, a PASS at the engine's thresholds.
    assert score_of(30.0) < THRESHOLDS.lower
    assert verdicts(judgement)["J6"] is Verdict.REVIEW
    assert (judgement.record.joints[5].lower, judgement.record.joints[0].lower) == (0.001, THRESHOLDS.lower)


class OneNotFinite:
    """A real engine whose answer for the third joint is spoilt."""

    def __init__(self, engine):
        self._engine, self.spec = engine, engine.spec

    def infer(self, crops):
        output = self._engine.infer(crops)
        output.logits[2, 0] = np.inf
        return output


def test_not_finite_logits_are_an_error_of_that_joint(tmp_path):
    judge = recipe_judge(tmp_path, engine=OneNotFinite(open_engine(tmp_path)))
    judgement = judge.judge(frame_of(board_image(ALL_GOOD)))
    joint = judgement.record.joints[2]
    assert (joint.verdict, joint.score, joint.label, joint.cause) == (Verdict.ERROR, None, "", "non-finite")
    assert verdicts(judgement)["J1"] is Verdict.PASS
    assert judgement.cause is Cause.NOT_FINITE
    assert "J3" in judgement.record.cause


def test_joint_that_alignment_carries_out_of_the_frame_is_an_error_and_the_others_are_judged(tmp_path):
    judge = recipe_judge(tmp_path, extra="J6,615,240,40,40,rect,,\n")
    judgement = judge.judge(frame_of(board_image(ALL_GOOD, rigid(0, (30, 0)))))
    assert verdicts(judgement) == dict.fromkeys(PLACES, Verdict.PASS) | {"J6": Verdict.ERROR}
    assert judgement.cause is Cause.OUTSIDE_FRAME
    assert judgement.record.joints[5].score is None


@pytest.mark.parametrize(
    ("frame", "cause"),
    [
        (frame_of(None, error="b.png is truncated"), Cause.UNREADABLE),
        (frame_of(np.full((100, 100), 90, np.uint8)), Cause.WRONG_SIZE),
        (frame_of(np.full((520, 640), 3, np.uint8)), Cause.BLACK),
        (frame_of(np.full((520, 640), 90, np.uint8)), Cause.ALIGNMENT),
    ],
)
def test_frame_that_cannot_be_judged_is_an_error_with_all_its_joints(tmp_path, frame, cause):
    judgement = recipe_judge(tmp_path).judge(frame)
    assert judgement.cause is cause
    assert judgement.record.cause.startswith(cause)
    assert verdicts(judgement) == dict.fromkeys(PLACES, Verdict.ERROR)
    assert all(joint.score is None and joint.cause == cause for joint in judgement.record.joints)
    assert judgement.failure is None


def test_engine_that_fails_gives_an_error_record_and_its_exception(tmp_path):
    engine = open_engine(tmp_path)
    judge = BoardJudge(engine, MODEL, ImageLayout(SPEC, THRESHOLDS), FakeClock(step_s=0.001), "run")
    engine.close()
    judgement = judge.judge(frame_of(np.full((20, 20), 90, np.uint8)))
    assert isinstance(judgement.failure, EngineInputError)
    assert judgement.cause is Cause.ENGINE
    assert judgement.record.verdict is Verdict.ERROR


def test_a_judge_does_not_carry_one_board_over_into_the_next(tmp_path):
    judge = recipe_judge(tmp_path, extra="J6,615,240,40,40,rect,,\n")
    judge.judge(frame_of(board_image(dict.fromkeys(PLACES, BAD))))
    moved = judge.judge(frame_of(board_image(ALL_GOOD, rigid(0, (30, 0)))))
    assert verdicts(moved)["J1"] is Verdict.PASS
    assert set(verdicts(judge.judge(frame_of(None))).values()) == {Verdict.ERROR}


@pytest.mark.parametrize("shape", [(50, 70), (16, 16), (33, 21, 3)])
def test_without_a_recipe_an_image_is_one_joint_cut_as_in_training(tmp_path, shape):
    random = np.random.default_rng(0)
    coarse = random.integers(30, 90, (6, 6, *shape[2:]), np.uint8)
    image = cv2.resize(coarse, shape[1::-1]) + random.integers(0, 9, shape, np.uint8)
    record = image_judge(tmp_path).judge(frame_of(image, name="pad7.png")).record
    grey = crop_of_image(image, SPEC).mean(dtype=np.float64)
    assert [joint.refdes for joint in record.joints] == ["pad7.png"]
    assert record.joints[0].score == pytest.approx(score_of(grey), abs=1e-5)
    assert record.recipe_sha256 == ""


def test_latencies_of_every_stage_are_on_record(tmp_path):
    record = recipe_judge(tmp_path).judge(frame_of(board_image(ALL_GOOD)), acquire_ns=5).record
    stages = ["acquire", "wait", "check", "align", "crop", "infer", "decide", "since_capture"]
    assert list(record.latency_ns) == stages
    assert record.latency_ns["acquire"] == 5
    assert all(record.latency_ns[stage] == 1_000_000 for stage in stages[2:7] if stage != "infer")
    # The watch of the engine looks at the clock as each of its two calls begins.
    assert record.latency_ns["infer"] == 2_000_000
    # One look at the clock begins the watch, three end a wait, one is for the record.
    assert record.latency_ns["wait"] == 5_000_000
    assert (
        record.latency_ns["since_capture"]
        == sum(record.latency_ns[stage] for stage in stages[1:7]) + 1_000_000
    )


def test_engine_that_contradicts_its_card_is_refused(tmp_path):
    layout = ImageLayout(SPEC, THRESHOLDS)
    for model in (
        Model(("a", "b", "c"), 0, SPEC, ""),
        Model(("a", "b"), 0, PreprocessSpec(height=32, width=16), ""),
    ):
        with pytest.raises(EngineInputError, match="card"):
            BoardJudge(open_engine(tmp_path), model, layout, FakeClock(step_s=0.001), "run")


def test_a_whole_camera_frame_is_no_joint(tmp_path):
    judge = image_judge(tmp_path)
    judgement = judge.judge(frame_of(np.full((480, 640), 40, np.uint8)))
    assert judgement.record.verdict is Verdict.ERROR
    assert judgement.cause is Cause.WRONG_SIZE
    assert "name the board's recipe" in judgement.record.cause
    assert judge.judge(frame_of(grey_patch(40, 190))).record.verdict is Verdict.PASS


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_frames_that_do_not_fit_in_one_batch_take_several(tmp_path, backend):
    judge = recipe_judge(tmp_path, max_batch=8, backend=backend)
    greys = [dict(zip(PLACES, range(start, start + len(PLACES)), strict=True)) for start in (40, 50, 60, 70)]
    works = [
        judge.prepare(frame_of(board_image(these), index), judge.new_buffer())
        for index, these in enumerate(greys)
    ]
    judge.infer(works)
    for work, these in zip(works, greys, strict=True):
        scores = {joint.refdes: joint.score for joint in judge.decide(work).record.joints}
        assert scores == pytest.approx({name: score_of(grey) for name, grey in these.items()}, abs=1e-5)


class Prepared:
    """A real engine that records the batch sizes it was prepared for."""

    def __init__(self, engine):
        self._engine, self.sizes = engine, []

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def prepare(self, batch_sizes):
        self.sizes += sorted(batch_sizes)
        self._engine.prepare(self.sizes)


@pytest.mark.parametrize(
    ("max_batch", "alone", "wanted"),
    [(32, False, [5, 30]), (32, True, [5]), (9, False, [5]), (5, False, [5]), (3, False, [2, 3])],
)
def test_the_engine_is_ready_for_a_frame_and_for_as_many_as_go_together(tmp_path, max_batch, alone, wanted):
    engine = Prepared(open_engine(tmp_path, max_batch))
    recipe_judge(tmp_path, engine=engine).warm_up(alone=alone)
    assert engine.sizes == wanted


def test_the_engine_gets_no_frame_in_advance_when_the_takt_counts_only_processing(tmp_path):
    layout = ImageLayout(SPEC, THRESHOLDS)
    engine = open_engine(tmp_path, backend="openvino")

    def depth(**limits):
        return BoardJudge(
            engine, MODEL, layout, FakeClock(step_s=0.001), "run", deadlines=Deadlines(**limits)
        ).depth

    assert depth() == depth(takt_ns=1) == depth(waits=False) == 2
    assert depth(takt_ns=1, waits=False) == 1

"""The guard in the loop: what looks like nothing in the training data is REVIEW instead of PASS."""

import csv
import json
from fractions import Fraction

import numpy as np
import pytest
from support.bright_model import (
    GUARDED_THRESHOLDS,
    MODEL,
    SPEC,
    THRESHOLDS,
    board_image,
    frame_of,
    novelty_of,
    open_engine,
    recipe_judge,
    score_of,
    write_recipe,
)

from sji_edge.core.errors import EngineInputError
from sji_edge.core.protocols import EngineOutput
from sji_edge.core.verdict import Verdict
from sji_edge.inspection.judging.judge import BoardJudge
from sji_edge.inspection.judging.layout import Limits, RecipeLayout
from sji_edge.inspection.loop import Inspection
from sji_edge.inspection.observe.shadow import Shadow
from sji_edge.inspection.observe.status_formats import prometheus_text, status_line
from sji_edge.inspection.outputs.joint_crops import JointCrops
from sji_edge.inspection.outputs.painted_board import COLOURS_BGR, UNLIKE_BGR, paint_board
from sji_edge.inspection.outputs.quota_folder import PictureFolder
from sji_edge.testing import FakeClock, FakeSource

# Dark: its score says PASS. A little bright: PASS by its score, and unlike training too.
GREYS = {"J1": 40, "J2": 20, "J3": 53, "J4": 58, "J5": 90}


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("max_batch", [3, 8])
def test_a_joint_unlike_training_is_review_instead_of_pass(tmp_path, backend, max_batch):
    judge = recipe_judge(tmp_path, guard=True, backend=backend, max_batch=max_batch)
    record = judge.judge(frame_of(board_image(GREYS))).record
    joints = {joint.refdes: joint for joint in record.joints}
    assert {name: (joint.verdict, joint.cause) for name, joint in joints.items()} == {
        "J1": (Verdict.PASS, ""),
        "J2": (Verdict.REVIEW, "unlike-training"),
        "J3": (Verdict.REVIEW, "unlike-training"),
        "J4": (Verdict.REVIEW, ""),
        "J5": (Verdict.FAIL, ""),
    }
    for name, joint in joints.items():
        assert joint.score == pytest.approx(score_of(GREYS[name]), abs=1e-5)
        assert joint.novelty == pytest.approx(novelty_of(GREYS[name]), abs=1e-4)
        assert joint.novelty_limit == 1.0
    assert (record.verdict, record.cause) == (Verdict.FAIL, "")


def test_without_a_guard_the_score_alone_decides(tmp_path):
    record = recipe_judge(tmp_path).judge(frame_of(board_image(GREYS))).record
    assert [joint.verdict for joint in record.joints[:3]] == [Verdict.PASS] * 3
    assert {(joint.novelty, joint.novelty_limit) for joint in record.joints} == {(None, None)}


def test_a_joint_that_is_not_judged_has_no_novelty(tmp_path):
    judge = recipe_judge(tmp_path, "J6,20,240,40,40,rect,,\n", guard=True)
    record = judge.judge(frame_of(board_image({**GREYS, "J1": 0})[:, 5:].copy())).record
    assert all(joint.novelty is None for joint in record.joints if joint.verdict is Verdict.ERROR)
    assert {joint.novelty_limit for joint in record.joints} == {1.0}


class StrangeAnswer:
    """A real engine whose novelty for the first joint is replaced."""

    def __init__(self, engine, value):
        self._engine, self.spec, self._value = engine, engine.spec, value

    def infer(self, crops):
        output = self._engine.infer(crops)
        output.novelty[0] = self._value
        return output


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_novelty_that_is_not_finite_is_an_error_of_that_joint(tmp_path, value):
    engine = StrangeAnswer(open_engine(tmp_path, guard=True), value)
    joints = (
        recipe_judge(tmp_path, engine=engine, guard=True).judge(frame_of(board_image(GREYS))).record.joints
    )
    assert (joints[0].verdict, joints[0].cause, joints[0].score) == (Verdict.ERROR, "non-finite", None)
    assert joints[1].cause == "unlike-training"


class Silent:
    """A real engine that loses its novelty on the way."""

    def __init__(self, engine):
        self._engine, self.spec = engine, engine.spec

    def infer(self, crops):
        return EngineOutput(self._engine.infer(crops).logits)


def test_a_guard_that_gives_no_answer_makes_the_board_an_error(tmp_path):
    engine = Silent(open_engine(tmp_path, guard=True))
    record = recipe_judge(tmp_path, engine=engine, guard=True).judge(frame_of(board_image(GREYS))).record
    assert record.verdict is Verdict.ERROR
    assert "no novelty" in record.cause


def test_a_limit_for_an_engine_without_a_guard_is_refused(tmp_path):
    with pytest.raises(EngineInputError, match="its engine has no guard"):
        recipe_judge(tmp_path, engine=open_engine(tmp_path), guard=True)


def run(tmp_path, **outputs):
    source = FakeSource([board_image(GREYS), board_image({**GREYS, "J2": 41})], stored=True)
    return Inspection(
        source, recipe_judge(tmp_path, guard=True), [], FakeClock(step_s=0.001), **outputs
    ).run()


def test_a_run_counts_what_the_guard_stopped(tmp_path):
    summary = run(tmp_path)
    assert summary.unlike_training == 3
    assert summary.joints[Verdict.REVIEW] == 5
    assert "sji_edge_joints_unlike_training_total 3\n" in prometheus_text(summary, {})
    assert json.loads(status_line(summary))["unlike_training"] == 3


def test_a_joint_unlike_training_has_a_colour_of_its_own(tmp_path):
    frame = board_image(GREYS)

    def blue(guard):
        judgement = recipe_judge(tmp_path, guard=guard).judge(frame_of(frame))
        picture = paint_board(frame, judgement, SPEC).astype(int)
        return int((picture[..., 0] - picture[..., 2] > 80).sum())

    assert UNLIKE_BGR not in COLOURS_BGR.values()
    assert blue(guard=True) > 100
    assert blue(guard=False) == 0


def test_the_crop_of_a_joint_unlike_training_is_kept(tmp_path):
    frame = frame_of(board_image(GREYS))
    judgement = recipe_judge(tmp_path, guard=True).judge(frame)
    JointCrops(PictureFolder(tmp_path / "crops"), SPEC).keep(frame, judgement)
    with (tmp_path / "crops" / "crops.csv").open(newline="") as stream:
        found = {row["refdes"]: row for row in csv.DictReader(stream)}
    assert set(found) == {"J2", "J3", "J4", "J5"}
    assert found["J2"]["cause"] == "unlike-training"
    assert float(found["J2"]["novelty"]) == pytest.approx(2.0, abs=1e-4)
    assert (tmp_path / "crops" / found["J2"]["file"]).is_file()


@pytest.mark.parametrize("limit", [1.0, 1.6])
def test_shadow_compares_verdicts_with_the_guard_in_them(tmp_path, limit):
    recipe = write_recipe(tmp_path / "recipe")
    layout = RecipeLayout(recipe, SPEC, GUARDED_THRESHOLDS.model_copy(update={"novelty": limit}))
    judge = BoardJudge(
        open_engine(tmp_path, guard=True), MODEL, layout, FakeClock(step_s=0.001), "run", live=False
    )
    folder = tmp_path / "reference"
    folder.mkdir()
    reference = RecipeLayout(recipe, SPEC, GUARDED_THRESHOLDS).limits
    shadow = Shadow(
        open_engine(folder, guard=True), MODEL, layout, reference, Fraction(1), tmp_path / "run.shadow.jsonl"
    )
    work = judge.prepare(frame_of(board_image(GREYS)), judge.own_buffer)
    judge.infer([work])
    shadow.take(work)
    report = shadow.close()
    # At 1.6 the engine's guard lets J3 (1.3) pass, which the reference stops.
    silent = int(limit > 1.3)
    assert (report.replayed, report.failure) == (5, "")
    assert (report.flips, report.escape_flips, report.silent_guard_flips) == (silent, silent, silent)
    if silent:
        line = json.loads((tmp_path / "run.shadow.jsonl").read_text())
        assert (line["refdes"], line["verdict"], line["reference"]) == ("J3", "PASS", "REVIEW")
        assert line["novelty"] == pytest.approx(1.3, abs=1e-4)


def test_limits_without_a_guard_have_no_novelty():
    assert Limits.of([0.4], [0.6], THRESHOLDS).novelty is None
    np.testing.assert_array_equal(Limits.of([0.4] * 3, [0.6] * 3, GUARDED_THRESHOLDS).novelty, np.ones(3))

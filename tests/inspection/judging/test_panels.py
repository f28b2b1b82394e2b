"""A panel: verdicts by unit, units that are skipped, and codes of their own."""

import json

import numpy as np
import pytest
from support.bright_model import (
    MODEL,
    PLACES,
    SIDE,
    SPEC,
    THRESHOLDS,
    board_image,
    frame_of,
    open_engine,
    recipe_judge,
    write_recipe,
)
from support.drawn_board import rigid

from sji_edge.core.verdict import Verdict
from sji_edge.inspection.faults import Cause, Fault
from sji_edge.inspection.judging.board_records import as_error
from sji_edge.inspection.judging.judge import BoardJudge
from sji_edge.inspection.judging.layout import RecipeLayout
from sji_edge.inspection.outputs.painted_board import paint_board
from sji_edge.recipe.board import Recipe
from sji_edge.testing import FakeClock

UNIT = {"J1": "U1", "J3": "U1", "J2": "U2", "J4": "U2", "J5": "U3"}
ALL_GOOD = dict.fromkeys(PLACES, 40)
MARK = {"x": 310, "y": 420, "width": 40, "height": 40}


def judge_of(folder, *, units=None, mark=None, golden=True):
    """A panel of three units out of the five joints of the test board."""
    import cv2

    recipe = write_recipe(folder)
    lines = [f"{name},{x},{y},{SIDE},{SIDE},rect,{UNIT[name]}" for name, (x, y) in PLACES.items()]
    (folder / "joints.csv").write_text("\n".join(["refdes,x,y,width,height,package,unit", *lines]) + "\n")
    settings = json.loads((folder / "board.json").read_text())
    settings["units"] = units or [
        {"name": name} | ({"skip": mark} if mark and name == "U2" else {}) for name in ("U1", "U2", "U3")
    ]
    (folder / "board.json").write_text(json.dumps(settings))
    if golden:
        cv2.imwrite(str(folder / "golden.png"), board_image(ALL_GOOD))
    recipe = Recipe.load(folder)
    layout = RecipeLayout(recipe, SPEC, THRESHOLDS)
    return BoardJudge(open_engine(folder), MODEL, layout, FakeClock(), "run", live=False)


def by_unit(record):
    return {unit.name: unit.verdict for unit in record.units}


def test_each_unit_has_the_verdict_of_its_worst_joint(tmp_path):
    record = judge_of(tmp_path).judge(frame_of(board_image(ALL_GOOD | {"J2": 60, "J5": 80}))).record
    assert by_unit(record) == {"U1": Verdict.PASS, "U2": Verdict.REVIEW, "U3": Verdict.FAIL}
    assert record.verdict is Verdict.FAIL
    assert [joint.refdes for joint in record.joints] == ["U1/J1", "U2/J2", "U1/J3", "U2/J4", "U3/J5"]


@pytest.mark.parametrize("matrix", [np.eye(2, 3), rigid(1.5, (25, -18))])
def test_a_panel_has_the_scores_of_the_same_board_without_units_bit_for_bit(tmp_path, matrix):
    frame = frame_of(board_image({"J1": 40, "J2": 58, "J3": 60, "J4": 63, "J5": 90}, matrix))
    plain = recipe_judge(tmp_path / "plain").judge(frame).record
    panel = judge_of(tmp_path / "panel", golden=False).judge(frame).record
    assert [joint.score for joint in panel.joints] == [joint.score for joint in plain.joints]
    assert [joint.verdict for joint in panel.joints] == [joint.verdict for joint in plain.joints]
    assert plain.units == ()


def test_a_marked_unit_is_skipped_and_the_others_are_judged(tmp_path):
    judge = judge_of(tmp_path, mark=MARK)
    crossed = board_image(ALL_GOOD | {"J2": 80})
    crossed[405:436, 295:326] = 200
    judgement = judge.judge(frame_of(crossed))
    record = judgement.record
    assert by_unit(record) == {"U1": Verdict.PASS, "U2": None, "U3": Verdict.PASS}
    assert (record.verdict, judgement.cause) == (Verdict.PASS, None)
    assert [joint.refdes for joint in record.joints] == ["U1/J1", "U1/J3", "U3/J5"]
    # What is kept of the board goes together.
    assert len(judgement.placement.maps) == 3
    assert paint_board(crossed, judgement, SPEC).shape[1] == crossed.shape[1]


@pytest.mark.parametrize("gain", [0.8, 1.0, 1.25])
def test_a_unit_without_a_mark_is_judged_under_another_lamp(tmp_path, gain):
    judge = judge_of(tmp_path, mark=MARK)
    frame = np.clip(board_image(ALL_GOOD) * gain, 0, 255).astype(np.uint8)
    assert all(unit.verdict is not None for unit in judge.judge(frame_of(frame)).record.units)


def test_an_unclear_mark_is_an_error_of_its_unit_alone(tmp_path):
    judge = judge_of(tmp_path, mark={**MARK, "min_changed": 0.9})
    half = board_image(ALL_GOOD)
    half[400:441, 290:316] = 200
    judgement = judge.judge(frame_of(half))
    record = judgement.record
    assert by_unit(record) == {"U1": Verdict.PASS, "U2": Verdict.ERROR, "U3": Verdict.PASS}
    assert judgement.cause is Cause.SKIP_MARK
    assert record.cause.startswith("skip-mark: unit U2:")
    assert record.units[1].cause == record.cause
    assert {joint.refdes: joint.cause for joint in record.joints if joint.verdict is Verdict.ERROR} == {
        "U2/J2": "skip-mark",
        "U2/J4": "skip-mark",
    }


def test_a_panel_whose_units_are_all_skipped_is_an_error(tmp_path):
    units = [{"name": "U1", "skip": MARK}, {"name": "U2", "skip": MARK}, {"name": "U3", "skip": MARK}]
    judge = judge_of(tmp_path, units=units)
    crossed = board_image(ALL_GOOD)
    crossed[400:441, 290:331] = 200
    judgement = judge.judge(frame_of(crossed))
    assert judgement.cause is Cause.ALL_SKIPPED
    assert judgement.record.verdict is Verdict.ERROR


def test_a_frame_without_a_verdict_is_an_error_of_every_unit(tmp_path):
    record = judge_of(tmp_path).judge(frame_of(np.zeros((520, 640), np.uint8))).record
    assert set(by_unit(record).values()) == {Verdict.ERROR}
    assert all(unit.cause.startswith("black") for unit in record.units)
    good = judge_of(tmp_path / "other").judge(frame_of(board_image(ALL_GOOD))).record
    assert set(by_unit(as_error(good, Fault(Cause.NOT_RECORDED, "full"))).values()) == {Verdict.ERROR}

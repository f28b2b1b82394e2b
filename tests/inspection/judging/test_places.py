"""Joints compared with the same place of the recipe's enrolled boards."""

import json

import cv2
import numpy as np
import pytest
from support.bright_model import (
    GUARDED_THRESHOLDS,
    MODEL,
    PLACES,
    SPEC,
    board_image,
    frame_of,
    open_engine,
    write_recipe,
)

from sji_edge.core.errors import EngineInputError, RecipeError
from sji_edge.core.features import CELL_FEATURES
from sji_edge.core.verdict import Verdict
from sji_edge.inspection.judging.judge import BoardJudge
from sji_edge.inspection.judging.layout import RecipeLayout
from sji_edge.inspection.judging.places import MARGIN, learn_places
from sji_edge.recipe.board import Recipe
from sji_edge.recipe.enrolled import write_enrolled
from sji_edge.testing import FakeClock
from sji_edge.workflows.inspect.places import places_of

CELLS = 20
PACKAGES = ["pad"] * 6 + ["bar"] * 6


def drawn_boards(boards=8, between=2.0, within=0.3, seed=0):
    """Features of boards whose places differ by ``between`` and repeat up to ``within``."""
    rng = np.random.default_rng(seed)
    places = rng.normal(0, between, (12, CELL_FEATURES * CELLS))
    return (places + rng.normal(0, within, (boards, *places.shape))).astype(np.float32)


def naive_deviation(one, mean, spread):
    z = ((one - mean) / spread).reshape(CELL_FEATURES, CELLS)
    cells = np.sqrt((z**2).mean(axis=0))
    return np.sort(cells)[-CELLS // 10 :].mean()


def test_a_deviation_is_the_worst_tenth_of_the_cells_in_standard_deviations():
    features = drawn_boards()
    places = learn_places(features, PACKAGES)
    new = drawn_boards(seed=1)[0]
    wanted = [
        naive_deviation(one, mean, 1 / precision) / places.limit
        for one, mean, precision in zip(new, places.mean, places.precision, strict=True)
    ]
    assert places.deviations(new, np.ones(12, bool)) == pytest.approx(wanted, rel=1e-4)


def test_places_that_repeat_keep_their_own_mean_and_others_borrow_their_packages():
    repeating = drawn_boards(between=2.0, within=0.1)
    np.testing.assert_allclose(learn_places(repeating, PACKAGES).mean, repeating.mean(axis=0), atol=0.05)
    alike = drawn_boards(between=0.0, within=1.0)
    package = alike[:, :6].mean(axis=(0, 1))
    shrunk = learn_places(alike, PACKAGES).mean[:6]
    assert np.abs(shrunk - package).mean() < 0.2 * np.abs(alike[:, :6].mean(axis=0) - package).mean()


def test_the_limit_comes_from_boards_that_were_held_out():
    features = drawn_boards()
    places = learn_places(features, PACKAGES)
    assert places.held_out.shape == (8, 12)
    assert np.quantile(places.held_out, 0.99) == pytest.approx(1 / MARGIN)
    # What a board was learned from fits it better than what it had no part in.
    inside = np.ones(12, bool)
    known = np.stack([places.deviations(board, inside) for board in features])
    assert known.mean() < places.held_out.mean()


def test_a_joint_at_another_place_is_too_far_and_one_that_was_left_out_counts_nowhere():
    features = drawn_boards()
    places = learn_places(features, PACKAGES)
    swapped = drawn_boards(seed=0)[0][::-1]
    assert (places.deviations(swapped, np.ones(12, bool)) >= 1).all()
    spoiled = features.copy()
    spoiled[2, 4] = np.nan
    without = learn_places(spoiled, PACKAGES)
    assert np.isfinite(without.mean).all()
    assert np.isnan(without.held_out[2, 4])
    assert np.isfinite(np.delete(without.held_out.ravel(), 2 * 12 + 4)).all()


def test_joints_outside_the_frame_have_no_deviation_of_their_own():
    places = learn_places(drawn_boards(), PACKAGES)
    board = drawn_boards(seed=2)[0]
    inside = np.arange(12) % 3 != 0
    np.testing.assert_allclose(
        places.deviations(board[inside], inside), places.deviations(board, np.ones(12, bool))[inside]
    )


def test_too_few_boards_are_refused():
    with pytest.raises(ValueError, match="at least 3 boards are needed"):
        learn_places(drawn_boards(2), PACKAGES)


USUAL = {"J1": 36, "J2": 44, "J3": 38, "J4": 42, "J5": 40}


def enrolled_recipe(folder, count=8, left_out=None) -> Recipe:
    """A recipe with boards of which each joint has its own grey level, give or take one."""
    recipe = write_recipe(folder)
    target = folder / "enrolled"
    target.mkdir()
    rng = np.random.default_rng(3)
    frames = []
    for number in range(count):
        greys = {name: grey + int(rng.integers(-1, 2)) for name, grey in USUAL.items()}
        content = cv2.imencode(".png", board_image(greys))[1].tobytes()
        frames.append((f"board{number}.png", content, left_out or {}))
    write_enrolled(target, frames)
    assert Recipe.load(folder).sha256 != recipe.sha256
    return Recipe.load(folder)


def judge_of(tmp_path, recipe):
    engine = open_engine(tmp_path, guard=True)

    def judge(places=None):
        layout = RecipeLayout(recipe, SPEC, GUARDED_THRESHOLDS, places)
        return BoardJudge(engine, MODEL, layout, FakeClock(), "run", live=False)

    return judge(places_of(judge(), recipe, FakeClock()))


@pytest.fixture
def judge(tmp_path):
    return judge_of(tmp_path, enrolled_recipe(tmp_path / "recipe"))


def test_a_joint_unlike_its_own_place_is_review_instead_of_pass(judge):
    # J1 shows what is usual at J2: it passes by its score, and by the guard.
    record = judge.judge(frame_of(board_image(USUAL | {"J1": 44}))).record
    joints = {joint.refdes: joint for joint in record.joints}
    assert (joints["J1"].verdict, joints["J1"].cause) == (Verdict.REVIEW, "unlike-golden")
    assert joints["J1"].deviation >= 1
    assert joints["J1"].novelty < joints["J1"].novelty_limit
    others = [joint for name, joint in joints.items() if name != "J1"]
    assert {(joint.verdict, joint.cause) for joint in others} == {(Verdict.PASS, "")}
    assert all(joint.deviation < 1 for joint in others)


def test_a_fail_stays_a_fail_and_the_guard_speaks_first(judge):
    record = judge.judge(frame_of(board_image(USUAL | {"J1": 90, "J2": 53}))).record
    joints = {joint.refdes: joint for joint in record.joints}
    assert (joints["J1"].verdict, joints["J1"].cause) == (Verdict.FAIL, "")
    assert (joints["J2"].verdict, joints["J2"].cause) == (Verdict.REVIEW, "unlike-training")


def test_a_board_whose_joints_are_unlike_their_places_is_a_wrong_one(judge):
    turned = dict(zip(USUAL, [44, 36, 42, 38, 40], strict=True))
    record = judge.judge(frame_of(board_image(turned))).record
    assert record.verdict is Verdict.ERROR
    assert record.cause == (
        "wrong-board: 4 of 5 joints are unlike their place on the enrolled boards, limit 25%"
    )
    assert {joint.cause for joint in record.joints} == {"wrong-board"}
    assert all(joint.score is None for joint in record.joints)
    assert "decide" in record.latency_ns


def test_board_json_sets_how_many_joints_may_be_unlike_their_place(tmp_path):
    recipe = enrolled_recipe(tmp_path / "recipe")
    path = tmp_path / "recipe" / "board.json"
    settings = json.loads(path.read_text())
    settings["checks"] = {"max_unlike_share": 0.9}
    path.write_text(json.dumps(settings))
    judge = judge_of(tmp_path, Recipe.load(recipe.folder))
    turned = dict(zip(USUAL, [44, 36, 42, 38, 40], strict=True))
    record = judge.judge(frame_of(board_image(turned))).record
    assert [joint.cause for joint in record.joints] == ["unlike-golden"] * 4 + [""]


def test_an_enrolled_frame_that_was_changed_is_refused(tmp_path):
    recipe = enrolled_recipe(tmp_path / "recipe")
    path = tmp_path / "recipe" / "enrolled" / "board1.png"
    path.write_bytes(cv2.imencode(".png", board_image(dict.fromkeys(PLACES, 40)))[1].tobytes())
    with pytest.raises(RecipeError, match="not the frame that was enrolled"):
        judge_of(tmp_path, recipe)


def test_an_engine_without_features_cannot_judge_with_places(tmp_path):
    recipe = enrolled_recipe(tmp_path / "recipe")
    layout = RecipeLayout(
        recipe, SPEC, GUARDED_THRESHOLDS.without_guard, learn_places(drawn_boards(), PACKAGES)
    )
    with pytest.raises(EngineInputError, match="gives no features"):
        BoardJudge(open_engine(tmp_path), MODEL, layout, FakeClock(), "run", live=False)

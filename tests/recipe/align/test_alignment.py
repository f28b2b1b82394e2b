import cv2
import numpy as np
import pytest
from support.drawn_board import MARKS, SIZE, board_settings, draw, place, rigid

from sji_edge.core.images.read import read_image
from sji_edge.recipe.align.alignment import (
    Aligner,
    Alignment,
    AlignmentFailure,
    apply,
    fit_affine,
    fit_similarity,
)
from sji_edge.recipe.board import Board, Recipe

CORNERS = np.array([[0.0, 0.0], [SIZE[0], 0.0], [0.0, SIZE[1]], [SIZE[0], SIZE[1]]])


def board(**changes) -> Board:
    return Board.model_validate(board_settings(**changes))


def align(frame, board, golden=None):
    return Aligner(board, golden).align(frame)


def marks_at(matrix, radius=12.0):
    return [(x, y, radius) for x, y in place(matrix, MARKS)]


def misplacement(alignment: Alignment, truth) -> float:
    return float(np.hypot(*(apply(alignment.matrix, CORNERS) - place(truth, CORNERS)).T).max())


@pytest.mark.parametrize(("wide", "tall"), [(1.04, 0.99), (0.97, 1.02), (1.001, 1.0)])
def test_scale_is_the_singular_value_furthest_from_one(wide, tall):
    turn, middle = rigid(1.5, (0, 0)), np.array(SIZE) / 2
    linear = turn[:, :2] @ np.diag([wide, tall])
    truth = np.column_stack([linear, middle - linear @ middle])
    corners = [(x, y) for x in (80, SIZE[0] - 80) for y in (80, SIZE[1] - 80)]
    marks = [{"x": x, "y": y, "radius": 12.0} for x, y in corners]
    limits = {"model": "affine", "max_scale_change": 0.1, "max_shift_px": 40.0}
    frame = draw([(x, y, 12.0) for x, y in place(truth, np.array(corners, float))])
    found = align(frame, board(fiducials=marks, alignment=limits))
    assert isinstance(found, Alignment), found
    stretches = np.linalg.svd(found.matrix[:, :2], compute_uv=False)
    assert found.scale == pytest.approx(max(stretches, key=lambda one: abs(one - 1)), abs=1e-12)
    assert found.scale == pytest.approx(max((wide, tall), key=lambda one: abs(one - 1)), abs=2e-3)


@pytest.mark.parametrize("seed", range(8))
def test_finds_turned_and_shifted_boards_to_a_tenth_of_a_pixel(seed):
    random = np.random.default_rng(seed)
    truth = rigid(random.uniform(-2, 2), random.uniform(-40, 40, 2))
    found = align(draw(marks_at(truth), noise=3.0, seed=seed), board())
    assert isinstance(found, Alignment)
    assert misplacement(found, truth) < 0.1
    assert found.residual_px < 0.1


@pytest.mark.parametrize(
    ("angle", "shift"), [(2, (40, 40)), (-2, (-40, 40)), (2, (40, -40)), (-2, (-40, -40))]
)
def test_reports_shift_rotation_and_scale(angle, shift):
    found = align(draw(marks_at(rigid(angle, shift))), board())
    assert isinstance(found, Alignment)
    assert found.rotation_deg == pytest.approx(angle, abs=0.01)
    assert found.shift_px == pytest.approx(np.hypot(*shift), abs=1.5)
    assert found.scale == pytest.approx(1.0, abs=3e-4)


def test_dark_fiducials_and_colour_frames():
    settings = board_settings()
    for mark in settings["fiducials"]:
        mark["bright"] = False
    truth = rigid(0.7, (5, -9))
    frame = cv2.cvtColor(draw(marks_at(truth), dark=200.0, light=40.0), cv2.COLOR_GRAY2BGR)
    found = align(frame, Board.model_validate(settings))
    assert isinstance(found, Alignment)
    assert misplacement(found, truth) < 0.1


@pytest.mark.parametrize("gain", [0.3, 0.6, 1.1])
def test_gain_does_not_move_the_board(gain):
    truth = rigid(-1, (12, 7))
    found = align(draw(marks_at(truth), dark=30 * gain, light=220 * gain, noise=1.0), board())
    assert isinstance(found, Alignment)
    assert misplacement(found, truth) < 0.1


def test_fiducial_cut_by_the_border_is_not_biased():
    # The centroid of the visible part of the first disc would be 2 px off.
    truth = rigid(0.0, (0.0, -72.5))
    assert place(truth, MARKS)[0][1] < 12
    settings = board_settings(alignment={"max_shift_px": 80})
    found = align(draw(marks_at(truth)), Board.model_validate(settings))
    assert isinstance(found, Alignment)
    assert misplacement(found, truth) < 0.1


def test_discs_of_another_size_are_not_fiducials():
    truth = rigid(1, (10, 10))
    others = [
        [*(place(truth, MARKS)[0] + [45, 20]), 6.0],
        [*(place(truth, MARKS)[2] + [50, 0]), 20.0],
    ]
    found = align(draw(marks_at(truth) + [tuple(one) for one in others]), board())
    assert isinstance(found, Alignment)
    assert misplacement(found, truth) < 0.1


@pytest.mark.parametrize("marks", [4, 2])
def test_a_twin_of_a_fiducial_is_rejected_by_the_boards_shape(marks):
    settings = board_settings()
    settings["fiducials"] = settings["fiducials"][:marks]
    twin = (MARKS[0][0] + 40, MARKS[0][1] + 5, 12.0)
    found = align(draw([*marks_at(rigid(0, (0, 0))), twin]), Board.model_validate(settings))
    assert isinstance(found, Alignment)
    assert misplacement(found, rigid(0, (0, 0))) < 0.2


def test_covered_fiducial_is_a_failure_that_names_it():
    frame = draw([mark for number, mark in enumerate(marks_at(rigid(0, (0, 0)))) if number != 2])
    assert align(frame, board()) == AlignmentFailure("fiducial 2 not found")


def test_shift_beyond_the_window_is_a_failure():
    settings = board_settings()
    for mark in settings["fiducials"]:
        mark["search_px"] = 20
    found = align(draw(marks_at(rigid(0, (30, 0)))), Board.model_validate(settings))
    assert isinstance(found, AlignmentFailure)


@pytest.mark.parametrize("frame", [np.zeros, np.ones, lambda shape, dtype: np.full(shape, 255, dtype)])
def test_blank_frame_is_a_failure(frame):
    assert isinstance(align(frame((SIZE[1], SIZE[0]), np.uint8), board()), AlignmentFailure)


def test_noise_is_a_failure():
    frame = np.random.default_rng(0).integers(0, 255, (SIZE[1], SIZE[0]), np.uint8)
    assert isinstance(align(frame, board()), AlignmentFailure)


@pytest.mark.parametrize(
    ("limit", "truth"),
    [
        ({"max_shift_px": 20}, rigid(0, (30, 0))),
        ({"max_rotation_deg": 1}, rigid(1.5, (0, 0))),
        ({"max_scale_change": 0.01}, rigid(0, (0, 0), scale=1.03)),
    ],
)
def test_exceeded_limit_is_a_failure_that_says_so(limit, truth):
    frame = draw(marks_at(truth))
    assert isinstance(align(frame, board(alignment={"max_scale_change": 0.2})), Alignment)
    found = align(frame, board(alignment=limit))
    assert isinstance(found, AlignmentFailure)
    assert next(iter(limit)).removeprefix("max_").split("_")[0] in found.reason


def test_a_misplaced_mark_exceeds_the_residual():
    marks = marks_at(rigid(0, (0, 0)))
    marks[3] = (marks[3][0] + 6, marks[3][1], 12.0)
    found = align(draw(marks), board())
    assert isinstance(found, AlignmentFailure)
    assert "residual" in found.reason
    assert found.residual_px > 1.0


def test_affine_follows_a_sheared_board_that_a_similarity_refuses():
    truth = np.array([[1.004, 0.006, 3.0], [-0.002, 0.996, -5.0]])
    frame = draw(marks_at(truth))
    assert isinstance(align(frame, board(alignment={"max_residual_px": 0.3})), AlignmentFailure)
    found = align(frame, board(alignment={"model": "affine", "max_residual_px": 0.3}))
    assert isinstance(found, Alignment)
    assert misplacement(found, truth) < 0.3


def test_similarity_solves_the_normal_equations():
    random = np.random.default_rng(1)
    source, target = random.normal(size=(5, 2)), random.normal(size=(5, 2))
    # Unknowns a, b, tx, ty of [[a, -b, tx], [b, a, ty]].
    rows = [[x, -y, 1, 0] for x, y in source] + [[y, x, 0, 1] for x, y in source]
    a, b, tx, ty = np.linalg.lstsq(np.array(rows), target.T.ravel(), rcond=None)[0]
    np.testing.assert_allclose(fit_similarity(source, target), [[a, -b, tx], [b, a, ty]], atol=1e-12)


def test_affine_is_exact_on_three_points():
    truth = np.array([[1.1, 0.2, 3.0], [-0.3, 0.9, -5.0]])
    source = np.array([[0.0, 0.0], [10.0, 1.0], [2.0, 7.0]])
    np.testing.assert_allclose(fit_affine(source, place(truth, source)), truth, atol=1e-12)


def test_real_boards_align_within_a_tenth_of_a_pixel(real_boards):
    recipe = Recipe.load(real_boards)
    for path in sorted(real_boards.glob("board0*.png")):
        found = align(read_image(path), recipe.board)
        assert isinstance(found, Alignment), path.name
        assert found.residual_px < 0.1, path.name
        assert found.shift_px < 9.5
        assert abs(found.rotation_deg) < 0.36


@pytest.mark.parametrize(("angle", "shift"), [(0.35, (9, -4)), (-0.3, (-6, 8)), (0.2, (-9, -9))])
def test_a_warped_golden_image_is_aligned_to_its_warp(real_boards, angle, shift):
    recipe = Recipe.load(real_boards)
    width, height = recipe.board.frame
    truth = rigid(angle, shift, size=(width, height))
    frame = cv2.warpAffine(recipe.golden, truth, (width, height), borderValue=30)
    found = align(frame, recipe.board)
    assert isinstance(found, Alignment)
    boxes = recipe.rois[:, :2]
    assert np.hypot(*(apply(found.matrix, boxes) - place(truth, boxes)).T).max() < 0.1

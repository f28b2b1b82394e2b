import json

import cv2
import numpy as np
import pytest
from support.drawn_board import MARKS, SIZE, board_settings, draw, place, rigid

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import RecipeError
from sji_edge.core.preprocess import crops_to_image
from sji_edge.core.verdict import Thresholds
from sji_edge.inspection.judging.layout import RecipeLayout
from sji_edge.recipe.align.refine import Refiner, _pitch
from sji_edge.recipe.board import Recipe
from sji_edge.recipe.limits import Refinement

CENTRES = np.array([(x, y) for y in (150.0, 260.0, 370.0) for x in (200.0, 320.0, 440.0)])
ROIS = np.column_stack([CENTRES, np.full((9, 2), 56.0), np.zeros(9)])
RADIUS = 20.0
BEYOND_PX = 1e-9


def scene(offsets, matrix, seed, shown=range(9)):
    """Joints that are discs, moved by ``offsets`` on the board; a glint wanders on each by itself."""
    rng = np.random.default_rng(seed)
    discs = [(*place(matrix, [mark])[0], 12) for mark in MARKS]
    for number in shown:
        middle = CENTRES[number] + offsets[number]
        discs.append((*place(matrix, [middle])[0], RADIUS))
    image = draw(discs, noise=3.0, seed=seed).astype(float)
    for number in shown:
        x, y = place(matrix, [CENTRES[number] + offsets[number] + rng.uniform(-5, 5, 2)])[0]
        cv2.circle(image, (round(x), round(y)), 4, 40.0, -1)
    return image.astype(np.uint8)


STILL = np.zeros((9, 2))
GOLDEN = scene(STILL, np.eye(2, 3), seed=1)


@pytest.mark.parametrize("matrix", [np.eye(2, 3), rigid(1.5, (8, -5))])
def test_offsets_are_accurate_to_a_fifth_of_a_pixel_in_spite_of_glints(matrix):
    wanted = np.random.default_rng(4).uniform(-2, 2, (9, 2))
    found = Refiner(Refinement(), GOLDEN, ROIS).offsets(scene(wanted, matrix, seed=2), matrix)
    assert np.hypot(*(found - wanted).T).max() < 0.2
    assert np.hypot(*wanted.T).max() > 1.5


def test_the_rotation_of_a_box_does_not_rotate_its_offset():
    turned = np.add(ROIS, [0, 0, 0, 0, np.pi / 2])
    wanted = np.add(STILL, [1.5, -0.5])
    found = Refiner(Refinement(), GOLDEN, turned).offsets(scene(wanted, np.eye(2, 3), 3), np.eye(2, 3))
    np.testing.assert_allclose(found, wanted, atol=0.2)


def test_a_joint_without_texture_is_not_moved():
    there = [0, 1, 2, 3, 5, 6, 7, 8]
    wanted = np.add(STILL, [1.0, 1.0])
    empty_frame = scene(wanted, np.eye(2, 3), 5, there)
    empty_golden = scene(STILL, np.eye(2, 3), 6, there)
    for golden, frame in ((GOLDEN, empty_frame), (empty_golden, scene(wanted, np.eye(2, 3), 7))):
        found = Refiner(Refinement(), golden, ROIS).offsets(frame, np.eye(2, 3))
        assert found[4].tolist() == [0.0, 0.0]
        np.testing.assert_allclose(found[there], wanted[there], atol=0.2)


def test_a_joint_beyond_its_limit_is_not_moved():
    wanted = STILL.copy()
    wanted[0], wanted[1] = (6.0, 0.0), (1.0, 0.0)
    frame = scene(wanted, np.eye(2, 3), 8)
    found = Refiner(Refinement(max_shift_px=3.0), GOLDEN, ROIS).offsets(frame, np.eye(2, 3))
    assert found[0].tolist() == [0.0, 0.0]
    assert found[1][0] == pytest.approx(1.0, abs=0.2)
    wide = Refiner(Refinement(max_shift_px=8.0), GOLDEN, ROIS).offsets(frame, np.eye(2, 3))
    assert wide[0][0] == pytest.approx(6.0, abs=0.3)


def test_no_joint_moves_onto_its_neighbour():
    # Two boxes 8 px apart show the same disc: each may move by a quarter of that.
    rois = np.array([[320.0, 260, 56, 56, 0], [328.0, 260, 56, 56, 0]])
    refiner = Refiner(Refinement(max_shift_px=10.0), GOLDEN, rois)
    for shift in (1.0, 3.0, 8.0):
        found = refiner.offsets(scene(np.add(STILL, [shift, 0.0]), np.eye(2, 3), 9), np.eye(2, 3))
        assert np.hypot(*found.T).max() <= 2.0 + BEYOND_PX
        assert (found[:, 0] == pytest.approx(1.0, abs=0.2)) == (shift == 1.0)


def write_recipe(folder, **changes):
    joints = "refdes,x,y,width,height,package\n"
    joints += "".join(f"J{n},{x},{y},56,56,disc\n" for n, (x, y) in enumerate(CENTRES))
    (folder / "board.json").write_text(json.dumps(board_settings(**changes)))
    (folder / "joints.csv").write_text(joints)


def test_layout_moves_the_crops_only_when_the_recipe_asks(tmp_path):
    cv2.imwrite(str(tmp_path / "golden.png"), GOLDEN)
    matrix = rigid(-1.0, (4, 6))
    wanted = np.random.default_rng(6).uniform(-1.5, 1.5, (9, 2))
    frame = scene(wanted, matrix, 10)
    spec = PreprocessSpec(height=84, width=84, channels=1)
    limits = Thresholds(lower=0.3, upper=0.7)
    write_recipe(tmp_path)
    plain = RecipeLayout(Recipe.load(tmp_path), spec, limits).place(frame)
    write_recipe(tmp_path, refine={"max_shift_px": 3})
    refined = RecipeLayout(Recipe.load(tmp_path), spec, limits).place(frame)
    where_they_are = ROIS + np.column_stack([wanted, np.zeros((9, 3))])
    np.testing.assert_allclose(refined.maps, crops_to_image(where_they_are, spec, matrix), atol=0.3)
    np.testing.assert_allclose(plain.maps, crops_to_image(ROIS, spec, matrix), atol=0.15)


def test_refinement_needs_golden_and_its_hash_covers_it(tmp_path):
    write_recipe(tmp_path, refine={})
    with pytest.raises(RecipeError, match=r"refine needs golden\.png"):
        Recipe.load(tmp_path)
    cv2.imwrite(str(tmp_path / "golden.png"), GOLDEN)
    first = Recipe.load(tmp_path).sha256
    cv2.imwrite(str(tmp_path / "golden.png"), np.zeros(SIZE[::-1], np.uint8))
    assert Recipe.load(tmp_path).sha256 != first


def test_pitch_is_the_distance_to_the_nearest_other_box_within_reach():
    centres = np.random.default_rng(3).uniform(0, 400, (500, 2))
    rois = np.column_stack([centres, np.full((500, 3), 9.0)])
    distances = np.hypot(*(centres[:, None] - centres[None]).transpose(2, 0, 1))
    np.fill_diagonal(distances, np.inf)
    nearest = distances.min(axis=1)
    np.testing.assert_allclose(_pitch(rois, 12.0), np.where(nearest <= 12.0, nearest, np.inf))
    np.testing.assert_array_equal(_pitch(rois[:1], 12.0), [np.inf])

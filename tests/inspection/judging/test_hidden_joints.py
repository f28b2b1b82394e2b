"""A joint that the image does not show is ERROR, whatever the model says about the pixels in its box."""

import cv2
import numpy as np
import pytest
from support.bright_model import (
    PLACES,
    SPEC,
    THRESHOLDS,
    board_image,
    frame_of,
    grey_patch,
    image_judge,
    recipe_judge,
    score_of,
    write_recipe,
)

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.images.read import read_image
from sji_edge.core.preprocess import crop_of_image, crops_of_frame, crops_to_image
from sji_edge.core.verdict import Verdict
from sji_edge.inspection.faults import Cause
from sji_edge.inspection.judging.hidden_joints import HiddenJoints
from sji_edge.inspection.judging.layout import RecipeLayout
from sji_edge.recipe.board import Recipe

SIZES = [(16, 16), (32, 32), (84, 84), (60, 100), (224, 224)]


def photograph(seed=0, side=100):
    """A shiny ring on a dark board, as a camera shows it: soft edges, glints, and a sensor's noise."""
    random = np.random.default_rng(seed)
    image = np.full((side, side), 35.0)
    cv2.circle(image, (side // 2, side // 2), round(side * 0.38), 150.0, -1)
    cv2.circle(image, (side // 2 + 3, side // 2 - 4), round(side * 0.15), 70.0, -1)
    cv2.circle(image, (round(side * 0.4), round(side * 0.35)), round(side * 0.06), 250.0, -1)
    image = cv2.GaussianBlur(image, (0, 0), side / 50) + random.normal(0, 1.5, image.shape)
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def hidden(images, size=(84, 84), golden=None):
    spec = PreprocessSpec(height=size[0], width=size[1])
    crops = np.stack([crop_of_image(image, spec) for image in images])
    check = HiddenJoints(spec)
    if golden is not None:
        height, width = golden.shape
        box = np.array([[(width - 1) / 2, (height - 1) / 2, width, height, 0.0]])
        check = HiddenJoints(spec, golden, crops_to_image(box, spec))
    inside = np.ones(len(crops), np.bool_)
    return check.in_crops(crops, inside).tolist()


@pytest.mark.parametrize("size", SIZES)
def test_joint_that_can_be_seen_is_not_hidden(size):
    images = [photograph(seed, side) for seed in range(10) for side in (50, 100, 190)]
    assert not any(hidden(images, size))


def test_dark_overexposed_and_softly_compressed_joints_are_not_hidden():
    image = photograph()
    brighter = np.clip(image * 1.3, 0, 255).astype(np.uint8)
    jpeg = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1], cv2.IMREAD_UNCHANGED)
    assert hidden([brighter, (image * 0.6).astype(np.uint8), jpeg]) == [False] * 3


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("grey", [0, 30, 128, 200, 255])
def test_flat_patch_of_any_level_over_half_of_a_joint_hides_it(size, grey):
    whole, top, left, middle = (photograph(seed) for seed in range(4))
    whole[:] = top[:50] = left[:, :50] = middle[14:86, 14:86] = grey
    assert hidden([whole, top, left, middle], size) == [True] * 4


def test_lost_rows_and_columns_hide_a_joint_whether_they_are_blank_or_repeat_others():
    blank, rows, columns = (photograph(seed) for seed in range(3))
    blank[40:58] = 0
    rows[40:58] = rows[39]
    columns[:, 40:58] = columns[:, 39:40]
    assert hidden([blank, rows, columns]) == [True] * 3


@pytest.mark.parametrize("noise", [1.5, 8.0])
def test_cover_that_a_camera_has_photographed_hides_the_joint_below(noise):
    cover = 120 + np.random.default_rng(5).normal(0, noise, (100, 100))
    assert hidden([np.clip(np.round(cover), 0, 255).astype(np.uint8)]) == [True]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("angle", [0.0, 0.5, 0.8, 2.2])
@pytest.mark.parametrize("noise", [0.0, 1.5])
def test_cover_under_slanted_or_curved_light_hides_the_joint_below(size, angle, noise):
    y, x = np.mgrid[-50:50, -50:50] / 50.0
    light = np.cos(angle) * x + np.sin(angle) * y
    random = np.random.default_rng(5)
    covers = [
        128 + slope * light + curve * light**2 + random.normal(0, noise, light.shape)
        for slope in (10, 40, 60)
        for curve in (0, 20)
    ]
    assert all(hidden([np.clip(np.round(cover), 0, 255).astype(np.uint8) for cover in covers], size))


@pytest.mark.parametrize("size", SIZES[1:])
@pytest.mark.parametrize("noise", [20, 50, 120])
def test_pixels_that_are_nothing_but_noise_hide_the_joint(size, noise):
    random = np.random.default_rng(7)
    static = [level + random.normal(0, noise, (100, 100)) for level in (60, 128, 200)]
    assert all(hidden([np.clip(np.round(image), 0, 255).astype(np.uint8) for image in static], size))


@pytest.mark.parametrize("period", [3, 4, 6])
def test_fine_pattern_hides_the_joint(period):
    y, x = np.mgrid[:100, :100] // period
    assert hidden([((x + y) % 2 * 254).astype(np.uint8)]) == [True]


def test_contrast_is_compared_with_golden():
    faint = np.clip(np.round(100 + (photograph(1).astype(float) - 70) * 0.07), 0, 255).astype(np.uint8)
    assert hidden([faint]) == [False]
    assert hidden([faint], golden=photograph(2)) == [True]
    assert hidden([photograph(1)], golden=photograph(2)) == [False]


def test_place_that_is_flat_in_golden_too_hides_nothing_unless_all_of_it_is_flat():
    golden, frame = photograph(1), photograph(2)
    golden[:30] = frame[:30] = 0
    lost = frame.copy()
    lost[30:60] = 90
    assert hidden([frame]) == [True]
    assert hidden([frame], golden=golden) == [False]
    assert hidden([lost], golden=golden) == [True]


def test_the_hosts_own_cut_gives_the_same_answer_as_the_crops():
    frame = np.tile(photograph(), (3, 4))
    frame[100:170, 100:200] = 77
    boxes = np.array(
        [[x + 49.5, y + 49.5, 100, 100, 0.004] for y in (0, 100, 200) for x in (0, 100, 200, 300)]
    )
    maps = crops_to_image(boxes, PreprocessSpec())[[0, 3, 4, 5, 6, 11]]
    inside = np.ones(len(maps), np.bool_)
    crops = np.empty((len(maps), 84, 84, 1), np.uint8)
    crops_of_frame(frame, maps, crops)
    check = HiddenJoints(PreprocessSpec())
    assert check.in_crops(crops, inside).tolist() == [False, False, False, True, False, False]
    for pixels in (frame, cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)):
        assert check.in_frame(pixels, maps, inside).tolist() == check.in_crops(crops, inside).tolist()


def test_no_joint_of_the_real_boards_is_hidden(real_boards):
    spec, recipe = PreprocessSpec(), Recipe.load(real_boards)
    layout = RecipeLayout(recipe, spec, THRESHOLDS)
    crops = np.empty((len(recipe.joints), *spec.shape), np.uint8)
    for path in sorted(real_boards.glob("board0*.png")):
        pixels = read_image(path, colour=False)
        placed = layout.place(pixels)
        crops_of_frame(pixels, placed.maps, crops)
        for check in (layout.joint_checks(), HiddenJoints(spec)):
            assert not check.in_crops(crops, placed.inside).any()
            covered = crops.copy()
            covered[:, 20:64, 10:70] = 90
            assert check.in_crops(covered, placed.inside).all()


@pytest.mark.parametrize("golden", [False, True])
def test_patch_over_defective_joints_passes_none_of_them_and_fails_none(tmp_path, golden):
    if golden:
        write_recipe(tmp_path / "recipe")
        cv2.imwrite(str(tmp_path / "recipe" / "golden.png"), board_image(dict.fromkeys(PLACES, 45)))
    judge = recipe_judge(tmp_path)
    bad = board_image(dict.fromkeys(PLACES, 80))
    assert {joint.verdict for joint in judge.judge(frame_of(bad)).record.joints} == {Verdict.FAIL}
    for grey in (1, 30, 45, 100, 255):
        covered = bad.copy()
        for x, y in (PLACES["J2"], PLACES["J4"]):
            covered[y - 20 : y + 21, x - 20 : x + 21] = grey
        record = judge.judge(frame_of(covered)).record
        found = {joint.refdes: (joint.verdict, joint.cause, joint.score) for joint in record.joints}
        assert found["J2"] == found["J4"] == (Verdict.ERROR, Cause.HIDDEN, None)
        assert {found[name][0] for name in ("J1", "J3", "J5")} == {Verdict.FAIL}
        assert record.verdict is Verdict.ERROR
        assert record.cause == "hidden: joint J2 and 1 more"


def test_flat_image_of_one_joint_is_an_error_at_a_level_that_the_model_passes(tmp_path):
    judge = image_judge(tmp_path)
    assert score_of(40) < THRESHOLDS.lower
    assert judge.judge(frame_of(grey_patch(40))).record.verdict is Verdict.PASS
    judgement = judge.judge(frame_of(np.full((40, 40), 40, np.uint8)))
    assert judgement.cause is Cause.HIDDEN
    assert judgement.record.verdict is Verdict.ERROR
    half = grey_patch(40)
    half[:20] = 40
    assert judge.judge(frame_of(half)).cause is Cause.HIDDEN


def test_no_joint_inside_the_frame_leaves_nothing_to_check():
    none = HiddenJoints(SPEC).in_crops(np.empty((0, *SPEC.shape), np.uint8), np.zeros(3, np.bool_))
    assert none.shape == (0,)


def test_many_joints_are_measured_in_blocks_and_each_keeps_its_own_answer():
    images = [photograph(seed) for seed in range(8)]
    images[3][:50] = 60
    crops = np.stack([crop_of_image(image, PreprocessSpec()) for image in images])
    many = np.tile(crops, (200, 1, 1, 1))
    found = HiddenJoints(PreprocessSpec()).in_crops(many, np.ones(len(many), np.bool_))
    assert np.flatnonzero(found).tolist() == list(range(3, 1600, 8))

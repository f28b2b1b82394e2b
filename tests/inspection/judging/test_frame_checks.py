import cv2
import numpy as np
import pytest
from support.bright_model import frame_of

from sji_edge.core.images.read import read_image
from sji_edge.core.protocols import Frame
from sji_edge.inspection.faults import Cause
from sji_edge.inspection.judging.frame_checks import FrameChecks, detail
from sji_edge.recipe.board import Recipe
from sji_edge.recipe.limits import FrameLimits

SIZE = (320, 240)


def scene(seed=0):
    """Grey detail of every size, with a sensor's noise."""
    random = np.random.default_rng(seed)
    coarse = cv2.resize(np.random.default_rng(9).integers(20, 200, (24, 32), np.uint8), SIZE)
    fine = cv2.GaussianBlur(np.random.default_rng(8).normal(0, 60, SIZE[::-1]), (0, 0), 0.7)
    return np.clip(coarse + fine + random.normal(0, 1.0, SIZE[::-1]), 0, 255).astype(np.uint8)


def cause_of(pixels, **limits):
    fault = FrameChecks(SIZE, FrameLimits(**limits), scene()).fault(frame_of(pixels))
    return fault and fault.cause


def scaled(gain):
    return (scene(1) * gain).clip(0, 255).astype(np.uint8)


def test_a_good_frame_has_no_fault_at_any_gain():
    for gain in (0.8, 0.9, 1.05):
        assert cause_of(scaled(gain)) is None
    assert cause_of(scaled(0.5), min_contrast=0.0) is None


def test_a_fading_lamp_gives_error_before_defects_pass():
    assert cause_of(scaled(0.7)) is Cause.DIM
    assert cause_of(scaled(0.7), min_contrast=0.6) is None
    fault = FrameChecks(SIZE, FrameLimits(), scene()).fault(frame_of(scaled(0.5)))
    assert str(fault) == "dim: 50% of the golden image's contrast, minimum 75%"
    blank = np.full(SIZE[::-1], 90, np.uint8)
    assert cause_of(blank) is Cause.BLURRED
    assert cause_of(blank, min_sharpness=0.0) is Cause.DIM


def test_black_white_small_and_unreadable_frames():
    assert cause_of(np.full(SIZE[::-1], 8, np.uint8)) is Cause.BLACK
    white = scene(1)
    white[:, :120] = 255
    assert cause_of(white) is Cause.SATURATED
    assert cause_of(white, max_saturated_share=0.6, min_sharpness=0.0) is None
    assert cause_of(scene()[:-1]) is Cause.WRONG_SIZE
    assert cause_of(None) is Cause.UNREADABLE
    fault = FrameChecks(SIZE).fault(Frame(0, "x", 0, None, "camera away", away=True))
    assert fault is not None
    assert fault.cause is Cause.SOURCE_AWAY


def test_one_bright_pixel_anywhere_keeps_a_frame_from_being_black():
    for row, column in ((0, 0), (8, 16), (3, 5), (239, 319)):
        spot = np.zeros(SIZE[::-1], np.uint8)
        spot[row, column] = 9
        assert FrameChecks(SIZE).fault(frame_of(spot)) is None
        blue = np.zeros((*SIZE[::-1], 3), np.uint8)
        blue[row, column, 0] = 9
        assert FrameChecks(SIZE).fault(frame_of(blue)) is None


@pytest.mark.parametrize("top", [256, 2])
def test_detail_is_the_second_differences_energy_over_the_variance(top):
    pixels = np.random.default_rng(4).integers(0, top, SIZE[::-1], np.uint8)

    def curvature(lines):
        bends = [np.convolve(line.astype(float), [1, -2, 1], "valid") for line in lines]
        return np.mean(np.square(bends)) / np.var(lines)

    wanted = min(curvature(pixels[32::64]), curvature(pixels[:, 32::64].T))
    assert detail(pixels) == pytest.approx(wanted, rel=1e-9)
    assert detail(pixels[:, :2]) == 0.0


def test_camera_that_writes_into_one_buffer_is_not_frozen():
    checks, buffer = FrameChecks(SIZE, FrameLimits(), scene()), scene(1)
    assert checks.fault(frame_of(buffer)) is None
    buffer[:] = scene(2)
    assert checks.fault(frame_of(buffer)) is None


def test_frame_that_equals_the_one_before_in_every_pixel_is_frozen():
    checks = FrameChecks(SIZE, FrameLimits(), scene())
    first, nearly = scene(1), scene(1)
    nearly[3, 5] ^= 1
    assert checks.fault(frame_of(first)) is None
    assert checks.fault(frame_of(nearly)) is None
    fault = checks.fault(frame_of(nearly.copy()))
    assert fault is not None
    assert fault.cause is Cause.FROZEN
    assert checks.fault(frame_of(scene(2))) is None


@pytest.mark.parametrize("kernel", [(9, 9), (1, 9), (9, 1)])
def test_blur_in_either_direction_is_seen(kernel):
    assert cause_of(cv2.blur(scene(1), kernel)) is Cause.BLURRED
    assert cause_of(cv2.blur(scene(1), kernel), min_sharpness=0.0, min_contrast=0.0) is None


def test_colour_frames_are_checked_as_grey_ones():
    colour = cv2.cvtColor(scene(1), cv2.COLOR_GRAY2BGR)
    assert cause_of(colour) is None
    assert cause_of(cv2.GaussianBlur(colour, (0, 0), 3)) is Cause.BLURRED


def test_real_boards_pass_and_their_blurred_copies_do_not(real_boards):
    recipe = Recipe.load(real_boards)
    for path in sorted(real_boards.glob("board0*.png")):
        checks = FrameChecks(recipe.board.frame, recipe.board.checks, recipe.golden)
        pixels = read_image(path)
        assert checks.fault(frame_of(pixels)) is None, path.name
        fault = checks.fault(frame_of(cv2.GaussianBlur(pixels, (0, 0), 1.2)))
        assert fault is not None
        assert fault.cause is Cause.BLURRED


def test_images_that_a_live_source_repeats_in_turn_are_frozen_and_stored_ones_are_not():
    images = [scene(seed) for seed in range(12)]
    shown = [images[index] for index in (0, 1, 0, 1, 2, 3, 4, 5, 6, 2, 7)]
    live, stored = (FrameChecks(SIZE, FrameLimits(), scene(), live=live) for live in (True, False))
    found = [live.fault(frame_of(image, index)) for index, image in enumerate(shown)]
    assert [index for index, fault in enumerate(found) if fault] == [2, 3]
    assert all(fault.cause is Cause.FROZEN for fault in found if fault)
    assert "the frame 2 before it" in found[2].detail
    assert [stored.fault(frame_of(image, index)) for index, image in enumerate(shown)] == [None] * len(shown)

import cv2
import numpy as np
import pytest

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.preprocess import RoiPx, crop_to_image, sample_crop
from sji_edge.pool.cutting import box_of, cut_joint

SPEC = PreprocessSpec(width=48, height=32, channels=1)


def smooth(seed=0, size=(200, 240)):
    noise = np.random.default_rng(seed).integers(0, 256, (20, 24), dtype=np.uint8)
    return cv2.resize(noise, size[::-1], interpolation=cv2.INTER_CUBIC)


def box_sampled(found):
    """Resample the box of a cut to the model's crop, by its exact place in the picture."""
    box = found.box
    inside = RoiPx(box.x + box.width / 2 - 0.5, box.y + box.height / 2 - 0.5, box.width, box.height)
    out = np.empty(SPEC.shape, np.uint8)
    sample_crop(found.pixels, crop_to_image(inside, SPEC), out)
    return out.astype(int)


@pytest.mark.parametrize("degrees", [0, 90, 180, -90, 270, 30, -137, 0.2])
def test_the_box_of_a_cut_shows_what_the_model_sees_in_the_frame(degrees):
    frame = smooth()
    crop_map = crop_to_image(RoiPx(110.3, 95.7, 61.0, 42.0, np.deg2rad(degrees)), SPEC)
    seen = np.empty(SPEC.shape, np.uint8)
    sample_crop(frame, crop_map, seen)
    found = cut_joint(frame, crop_map, SPEC, margin=0.25)
    # A slight turn is left out, and a turned box is resampled twice: each moves a level of a smooth picture a little.
    assert np.abs(box_sampled(found) - seen.astype(int)).max() <= (1 if degrees % 90 == 0 else 8)


def test_an_upright_cut_is_the_frames_own_pixels():
    frame = smooth()
    found = cut_joint(frame, crop_to_image(RoiPx(100, 90, 40, 20), SPEC), SPEC, margin=0.5)
    assert np.array_equal(found.pixels, frame[70:110, 60:140] if found.pixels.shape == (40, 80) else None)
    assert (found.box.width, found.box.height) == (40.0, 20.0)
    assert np.array_equal(box_of(found.pixels, found.box), frame[80:100, 80:120]) or np.array_equal(
        box_of(found.pixels, found.box), frame[81:101, 81:121]
    )


def test_the_margin_ends_where_the_frame_ends():
    frame = smooth()
    found = cut_joint(frame, crop_to_image(RoiPx(19.5, 9.5, 40, 20), SPEC), SPEC, margin=0.5)
    assert (found.box.x, found.box.y) == (0.0, 0.0)
    assert found.pixels.shape == (30, 60)
    assert np.array_equal(box_of(found.pixels, found.box), frame[:20, :40])
    assert np.array_equal(box_of(found.pixels, found.box, margin=0.25), frame[:25, :50])


def test_a_colour_frame_stays_in_colour():
    frame = np.dstack([smooth(seed) for seed in range(3)])
    found = cut_joint(frame, crop_to_image(RoiPx(100, 90, 40, 20, 0.4), SPEC), SPEC, margin=0.1)
    assert found.pixels.shape == (24, 48, 3)

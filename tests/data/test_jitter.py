import cv2
import numpy as np
import pytest

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.preprocess import crop_of_image
from sji_edge.data.jitter import (
    LINE_JITTER,
    TRAINING_JITTER,
    Jitter,
    jittered_crop,
    jittered_crops,
)

SQUARE = PreprocessSpec(height=24, width=24)
STILL = {
    "flips": False,
    "angle_rad": 0.0,
    "shift": 0.0,
    "zoom": (1.0, 1.0),
    "aspect": 1.0,
    "gain": 1.0,
    "offset": 0.0,
    "blur_px": 0.0,
    "noise": 0.0,
}


def still_but(**changes) -> Jitter:
    return Jitter(**(STILL | changes))


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def spot(x: float, y: float, side: int = 120, sigma: float = 6.0) -> np.ndarray:
    rows, columns = np.mgrid[:side, :side]
    return (250 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))).astype(np.uint8)


def centre_of(crop: np.ndarray) -> np.ndarray:
    weights = crop[:, :, 0].astype(np.float64)
    rows, columns = np.mgrid[: crop.shape[0], : crop.shape[1]]
    return np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()


@pytest.mark.parametrize("jitter", [TRAINING_JITTER, LINE_JITTER], ids=["training", "line"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_same_seed_gives_the_same_view_and_another_one_another(jitter, channels):
    spec = PreprocessSpec(height=20, width=28, channels=channels)
    image = noise(40, 50, 3)
    kept = image.copy()
    first = jittered_crop(image, spec, jitter, np.random.default_rng(1))
    assert first.shape == spec.shape
    assert first.dtype == np.uint8
    assert np.array_equal(first, jittered_crop(image, spec, jitter, np.random.default_rng(1)))
    assert not np.array_equal(first, jittered_crop(image, spec, jitter, np.random.default_rng(2)))
    assert np.array_equal(image, kept)


def test_without_limits_the_view_is_the_plain_crop():
    image = noise(50, 40)
    assert np.array_equal(
        jittered_crop(image, SQUARE, still_but(), np.random.default_rng(0)), crop_of_image(image, SQUARE)
    )


@pytest.mark.parametrize("side", [24, 60])
def test_flips_are_the_eight_exact_symmetries_of_a_square_crop(side):
    image = noise(side, side)
    plain = crop_of_image(image, SQUARE)[:, :, 0]
    symmetries = [np.rot90(base, turns) for base in (plain, plain.T) for turns in range(4)]
    rng, seen = np.random.default_rng(0), set()
    for _ in range(80):
        view = jittered_crop(image, SQUARE, still_but(flips=True), rng)[:, :, 0].astype(int)
        distances = [np.abs(view - symmetry).max() for symmetry in symmetries]
        assert min(distances) <= 1
        seen.add(int(np.argmin(distances)))
    assert seen == set(range(8))


def test_flips_of_an_oblong_crop_keep_the_whole_box_in_view():
    spec = PreprocessSpec(height=20, width=40)
    image = np.zeros((60, 120), np.uint8)
    image[:30] = 200  # covers half of the box however it is turned
    rng = np.random.default_rng(0)
    for _ in range(20):
        view = jittered_crop(image, spec, still_but(flips=True), rng)
        assert view.mean() == pytest.approx(100, abs=3)


@pytest.mark.parametrize("shift", [0.03, 0.1])
def test_a_shift_stays_within_its_share_of_the_box(shift):
    rng, places = np.random.default_rng(0), []
    for _ in range(100):
        view = jittered_crop(spot(59.5, 59.5), SQUARE, still_but(shift=shift), rng)
        places.append(np.abs(centre_of(view) - 11.5).max() / 24)
    assert max(places) <= shift + 0.005
    assert max(places) > 0.8 * shift


def test_a_rotation_stays_within_its_angle():
    rng, angles = np.random.default_rng(0), []
    spec = PreprocessSpec(height=60, width=60)
    for _ in range(100):
        view = jittered_crop(spot(100.0, 59.5), spec, still_but(angle_rad=0.2), rng)
        x, y = centre_of(view) - 29.5
        angles.append(abs(np.arctan2(y, x)))
    assert max(angles) <= 0.205
    assert max(angles) > 0.16


def test_a_zoom_stays_between_its_two_factors():
    rng, factors = np.random.default_rng(0), []
    spec = PreprocessSpec(height=60, width=60)
    for _ in range(100):
        view = jittered_crop(spot(80.0, 59.5), spec, still_but(zoom=(0.8, 1.4)), rng)
        factors.append(10.25 / (centre_of(view)[0] - 29.5))
    assert 0.79 <= min(factors) < 0.85
    assert 1.3 < max(factors) <= 1.42


def test_gain_and_offset_stay_within_their_limits():
    grey = np.full((24, 24), 100, np.uint8)
    rng = np.random.default_rng(0)
    gains = [jittered_crop(grey, SQUARE, still_but(gain=1.25), rng).mean() / 100 for _ in range(200)]
    assert 0.8 <= min(gains) < 0.83
    assert 1.21 < max(gains) <= 1.25
    offsets = [jittered_crop(grey, SQUARE, still_but(offset=8.0), rng).mean() - 100 for _ in range(200)]
    assert -8 <= min(offsets) < -7
    assert 7 < max(offsets) <= 8


def test_light_saturates_and_does_not_wrap():
    bright = np.full((24, 24), 250, np.uint8)
    rng = np.random.default_rng(0)
    lowest = min(
        jittered_crop(bright, SQUARE, still_but(gain=1.2, offset=20.0), rng).min() for _ in range(100)
    )
    assert lowest > 180


def test_noise_has_at_most_its_sigma_and_blur_smooths():
    grey = np.full((80, 80), 128, np.uint8)
    spec = PreprocessSpec(height=80, width=80)
    rng = np.random.default_rng(0)
    sigmas = [jittered_crop(grey, spec, still_but(noise=4.0), rng).std() for _ in range(60)]
    assert max(sigmas) <= 4.2
    assert max(sigmas) > 3.5
    rough = noise(80, 80)
    blurred = [jittered_crop(rough, spec, still_but(blur_px=1.5), rng).std() for _ in range(20)]
    assert min(blurred) < 0.6 * rough.std()
    assert max(blurred) <= rough.std() + 0.5


def test_views_of_several_images_are_stacked_in_order():
    images = [noise(30, 30), cv2.resize(noise(50, 20), (33, 44))]
    rng, again = np.random.default_rng(5), np.random.default_rng(5)
    views = jittered_crops(images, SQUARE, LINE_JITTER, rng)
    assert views.shape == (2, 24, 24, 1)
    for view, image in zip(views, images, strict=True):
        assert np.array_equal(view, jittered_crop(image, SQUARE, LINE_JITTER, again))


def test_a_line_moves_less_than_training():
    assert LINE_JITTER.angle_rad < TRAINING_JITTER.angle_rad
    assert LINE_JITTER.shift < TRAINING_JITTER.shift
    assert not LINE_JITTER.flips

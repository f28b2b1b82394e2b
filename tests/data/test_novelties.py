import numpy as np
import pytest

from sji_edge.data.novelties import LEAST_SHARE, VISIBLE_LEVELS, novelty


def joints(count: int, channels: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:48, :48]
    cone = 200 * np.clip(1 - np.hypot(rows - 24, columns - 24) / 20, 0, 1)
    noisy = cone[None, :, :, None] + rng.normal(60, 5, (count, 48, 48, channels))
    return np.clip(noisy, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("with_backgrounds", [False, True])
def test_a_novelty_differs_visibly_where_its_mask_says(channels, with_backgrounds):
    crops = joints(8, channels)
    backgrounds = np.full((3, 48, 48, channels), 30, np.uint8) if with_backgrounds else None
    rng = np.random.default_rng(1)
    for index in range(200):
        changed, mask = novelty(crops, index % 8, rng, backgrounds)
        assert changed.shape == crops[0].shape
        assert changed.dtype == np.uint8
        assert mask.shape == (48, 48)
        assert 0.0 <= mask.min() <= mask.max() <= 1.0
        difference = np.abs(changed.astype(int) - crops[index % 8]).max(axis=2)
        assert (difference > VISIBLE_LEVELS).mean() >= LEAST_SHARE
        # A visible change outside the mask would teach the detector that it is nothing.
        assert (difference[mask < 0.01] > VISIBLE_LEVELS).sum() < 0.01 * mask.size


def test_the_same_seed_draws_the_same_novelties():
    crops = joints(4, 1)
    one, other = (novelty(crops, 2, np.random.default_rng(7))[0] for _ in range(2))
    assert np.array_equal(one, other)


def test_the_crops_are_not_changed():
    crops = joints(4, 1)
    before = crops.copy()
    for seed in range(50):
        novelty(crops, 1, np.random.default_rng(seed))
    assert np.array_equal(crops, before)

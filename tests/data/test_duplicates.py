import cv2
import numpy as np
import pytest

from sji_edge.data.duplicates import (
    NEAR_BITS,
    difference_hash,
    difference_hashes,
    near_pairs,
    near_pairs_within,
)


def picture(seed: int, side: int = 64) -> np.ndarray:
    """Smooth blobs, as photographs are smooth."""
    noise = np.random.default_rng(seed).normal(size=(side, side))
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return cv2.normalize(smooth, None, 10, 240, cv2.NORM_MINMAX).astype(np.uint8)


def distance(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.unpackbits(difference_hash(one) ^ difference_hash(other)).sum())


def test_a_bit_says_whether_the_next_place_is_brighter():
    ramp = np.tile(np.arange(170, dtype=np.uint8), (160, 1))
    assert difference_hash(ramp).tolist() == [255] * 32
    assert difference_hash(ramp[:, ::-1]).tolist() == [0] * 32


@pytest.mark.parametrize(
    "change",
    [
        lambda image: cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1], 0),
        lambda image: cv2.resize(image, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA),
        lambda image: np.clip(image * 1.05 + 3, 0, 255).astype(np.uint8),
        lambda image: cv2.cvtColor(image, cv2.COLOR_GRAY2BGR),
    ],
)
def test_another_coding_stays_near(change):
    assert all(distance(picture(seed), change(picture(seed))) <= NEAR_BITS for seed in range(5))


def test_other_pictures_are_far():
    pictures = [picture(seed) for seed in range(20)]
    assert list(near_pairs_within(difference_hashes(pictures))) == []


def test_pairs_are_those_that_counting_bits_finds():
    rng = np.random.default_rng(3)
    one = rng.integers(0, 256, (300, 32), dtype=np.uint8)
    other = one[::7] ^ rng.choice(np.array([0, 1, 3], np.uint8), (43, 32))
    naive = {
        (row, column): int(np.unpackbits(one[row] ^ other[column]).sum())
        for row in range(300)
        for column in range(43)
    }
    wanted = {pair: bits for pair, bits in naive.items() if bits <= NEAR_BITS}
    found = {(row, column): bits for row, column, bits in near_pairs(one, other)}
    assert found == wanted
    assert len(wanted) >= 20


def test_no_picture_is_no_pair():
    assert list(near_pairs(difference_hashes([]), difference_hashes([picture(0)]))) == []

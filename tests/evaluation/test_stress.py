import numpy as np
import pytest
from support.tiny_dataset import draw_joint

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.preprocess import crop_of_image
from sji_edge.core.protocols import EngineOutput
from sji_edge.core.verdict import Thresholds
from sji_edge.evaluation.perturbations import PERTURBATIONS, perturbed
from sji_edge.evaluation.stress import stress_points

SPEC = PreprocessSpec(height=32, width=32, channels=1)
IMAGES = [draw_joint(good, np.random.default_rng(seed)) for seed, good in enumerate([True, False] * 3)]
DEFECTIVE = np.array([False, True] * 3)


def clean() -> np.ndarray:
    return np.stack([crop_of_image(image, SPEC) for image in IMAGES]).astype(float)


@pytest.mark.parametrize("kind", PERTURBATIONS, ids=lambda kind: kind.name)
def test_each_disturbance_grows_with_its_strength_and_repeats_with_its_seed(kind):
    changes = [
        np.abs(perturbed(IMAGES, SPEC, kind, strength, seed=1).astype(float) - clean()).mean()
        for strength in kind.strengths
    ]
    assert changes[0] > 0
    assert changes == sorted(changes)
    again = perturbed(IMAGES, SPEC, kind, kind.strengths[2], seed=1)
    assert np.array_equal(again, perturbed(IMAGES, SPEC, kind, kind.strengths[2], seed=1))


def by_name(name: str):
    return next(kind for kind in PERTURBATIONS if kind.name == name)


def test_noise_has_the_stated_spread():
    flat = [np.full((32, 32), 128, np.uint8)] * 8
    gauss = perturbed(flat, SPEC, by_name("gaussian noise"), 16, 0).astype(float)
    assert gauss.std() == pytest.approx(16, rel=0.05)
    # Shot noise of a share of white at white falls with the root of the signal.
    shot = perturbed(flat, SPEC, by_name("shot noise"), 0.05, 0).astype(float)
    assert shot.std() == pytest.approx(0.05 * 255 * np.sqrt(128 / 255), rel=0.05)


def test_a_shift_moves_the_picture_by_the_stated_pixels():
    dot = np.zeros((32, 32), np.uint8)
    dot[14:18, 14:18] = 255
    moved = perturbed([dot] * 20, SPEC, by_name("shift"), 6, 0)[..., 0].astype(float)
    rows, columns = np.mgrid[:32, :32]
    weight = moved.sum(axis=(1, 2))
    y, x = ((moved * place).sum(axis=(1, 2)) / weight - 15.5 for place in (rows, columns))
    np.testing.assert_allclose(np.hypot(x, y), 6, atol=0.3)


def brightness_model(crops: np.ndarray) -> EngineOutput:
    """Dark is defective: a model that hangs on brightness."""
    odds = (105 - crops.astype(np.float32).mean(axis=(1, 2, 3))) / 4
    return EngineOutput(np.stack([np.zeros_like(odds), odds], axis=1))


def test_a_model_that_depends_on_brightness_fails_under_offset_but_not_under_blur():
    points = list(
        stress_points(
            IMAGES,
            DEFECTIVE,
            SPEC,
            brightness_model,
            good_index=0,
            thresholds=Thresholds(lower=0.5, upper=0.5),
            look=lambda crops: crops[..., 0].astype(np.float32),
        )
    )
    assert points[0].kind == "clean"
    assert points[0].f1 == 1.0
    assert points[0].map_pearson == pytest.approx(1.0)
    assert len(points) == 1 + 5 * len(PERTURBATIONS)
    worst = {point.kind: point for point in points}
    assert worst["blur"].f1 == 1.0
    assert worst["offset"].f1 < 1.0
    noisy = [point.map_pearson for point in points if point.kind == "gaussian noise"]
    assert noisy == sorted(noisy, reverse=True)


def test_without_a_defect_there_is_no_f1():
    points = stress_points(
        IMAGES[:1],
        DEFECTIVE[:1],
        SPEC,
        brightness_model,
        good_index=0,
        thresholds=Thresholds(lower=0.5, upper=0.5),
    )
    first = next(points)
    assert first.f1 is None
    assert first.map_pearson is None

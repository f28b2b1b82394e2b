import numpy as np
import pytest
from support.small_graph import WEIGHTS, crops, model

from sji_edge.quantization.int8.rounding import Rounder, input_covariances, rounded
from sji_edge.quantization.tensor_values import tensors_on

RNG = np.random.default_rng(2)
LEVELS = 7
"""Few, so that rounding shows."""


def correlated(n: int, inputs: int) -> np.ndarray:
    return RNG.normal(size=(n, 3)) @ RNG.normal(size=(3, inputs)) + 0.1 * RNG.normal(size=(n, inputs))


def steps(weights: np.ndarray) -> np.ndarray:
    return (np.abs(weights.reshape(len(weights), -1)).max(axis=1) / LEVELS).astype(np.float32)


def nearest(weights: np.ndarray, step: np.ndarray) -> np.ndarray:
    shape = (-1,) + (1,) * (weights.ndim - 1)
    return np.clip(np.round(weights / step.reshape(shape)), -LEVELS, LEVELS)


def spread(weights: np.ndarray, integers: np.ndarray, step: np.ndarray, seen: np.ndarray) -> float:
    """Variance of the output's error, summed over outputs, straight from its definition."""
    error = (integers * step[:, None] - weights) @ seen.T
    return float(error.var(axis=1).sum())


def test_errors_cancel_on_the_inputs_that_the_layer_sees():
    weights = RNG.normal(size=(5, 12)).astype(np.float32)
    seen, step = correlated(4000, 12), steps(weights)
    made = rounded(weights, step, LEVELS, np.cov(seen.T, bias=True))
    assert np.abs(made).max() <= LEVELS
    assert spread(weights, made, step, seen) < 0.5 * spread(weights, nearest(weights, step), step, seen)


def test_independent_inputs_leave_nothing_to_make_up_for():
    weights = RNG.normal(size=(4, 9)).astype(np.float32)
    step = steps(weights)
    made = rounded(weights, step, LEVELS, np.diag(RNG.random(9) + 0.5))
    np.testing.assert_array_equal(made, nearest(weights, step))


def test_depthwise_channels_are_rounded_each_by_its_own_inputs():
    weights = RNG.normal(size=(3, 1, 3, 3)).astype(np.float32)
    step = steps(weights)
    covariances = np.stack([np.cov(correlated(500, 9).T, bias=True) for _ in range(3)])
    made = rounded(weights, step, LEVELS, covariances)
    for channel in range(3):
        alone = rounded(
            weights[channel : channel + 1], step[channel : channel + 1], LEVELS, covariances[channel]
        )
        np.testing.assert_array_equal(made[channel], alone[0])


def test_an_input_that_never_varies_is_no_fault():
    weights = RNG.normal(size=(2, 4)).astype(np.float32)
    step = steps(weights)
    np.testing.assert_array_equal(rounded(weights, step, LEVELS, np.zeros((4, 4))), nearest(weights, step))


def test_covariances_are_those_of_the_patches_under_the_kernels():
    batch = crops(400, seed=6)
    found = input_covariances(model(), batch)
    assert {name: value.shape for name, value in found.items()} == {
        "stem": (9, 9),
        "deep": (6, 9, 9),
        "point": (6, 6),
        "head": (8, 8),
    }
    values = list(tensors_on(model(), ["flat", "da"], batch))
    flat = np.concatenate([part["flat"] for part in values])
    np.testing.assert_allclose(found["head"], np.cov(flat.T, bias=True), rtol=1e-3, atol=1e-4)
    # Places are drawn: the pointwise layer's figures are an estimate of those over all places.
    everywhere = np.concatenate([part["da"].transpose(0, 2, 3, 1).reshape(-1, 6) for part in values])
    np.testing.assert_allclose(found["point"], np.cov(everywhere.T, bias=True), rtol=0.2, atol=0.15)


def test_a_tensor_is_rounded_once_for_the_same_steps():
    weights = WEIGHTS["head"]
    step = steps(weights)
    rounder = Rounder({"head": np.eye(8)})
    first = rounder.integers("head", weights, step, LEVELS, 0)
    assert rounder.integers("head", weights, step, LEVELS, 0) is first
    assert rounder.integers("head", weights, 2 * step, LEVELS, 0) is not first


@pytest.mark.parametrize("axis", [0, 1])
def test_without_covariances_weights_go_to_the_nearest(axis):
    weights = RNG.normal(size=(4, 6)).astype(np.float32)
    step = (np.abs(weights).max(axis=1 - axis) / LEVELS).astype(np.float32)
    made = Rounder({}).integers("w", weights, step, LEVELS, axis)
    wanted = np.round(weights / (step[:, None] if axis == 0 else step[None]))
    np.testing.assert_array_equal(made, wanted)


def test_crops_that_are_all_alike_leave_nothing_to_make_up_for():
    found = input_covariances(model(), np.full((40, 16, 16, 1), 37, np.uint8))
    # Padding is part of what the kernels see; what comes after the pooling is one value.
    assert np.abs(found["head"]).max() < 1e-6
    weights = WEIGHTS["head"]
    np.testing.assert_array_equal(
        rounded(weights, steps(weights), LEVELS, found["head"]), nearest(weights, steps(weights))
    )


def test_blocks_round_as_one_input_after_the_other_does():
    weights = RNG.normal(size=(3, 150)).astype(np.float32)
    step = steps(weights)
    covariance = np.cov(correlated(600, 150).T, bias=True)
    damped = covariance + (0.01 * np.trace(covariance) / 150 + 1e-12) * np.eye(150)
    left, wanted = weights.astype(np.float64), np.empty((3, 150))
    # Straight from the paper: after each input, the inverse of the remaining part is recomputed.
    for place in range(150):
        inverse = np.linalg.inv(damped[place:, place:])
        wanted[:, place] = np.clip(np.round(left[:, place] / step), -LEVELS, LEVELS)
        error = (left[:, place] - wanted[:, place] * step) / inverse[0, 0]
        left[:, place:] -= error[:, None] * inverse[0]
    assert (rounded(weights, step, LEVELS, covariance) == wanted).mean() > 0.99

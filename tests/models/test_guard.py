import math

import numpy as np
import pytest
import torch

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.features import CELL_FEATURES
from sji_edge.models.classifier import JointClassifier
from sji_edge.models.guard import Guard, GuardedClassifier, guard_layers, tapped

SPEC = PreprocessSpec()


@pytest.mark.parametrize(
    ("architecture", "channels", "sides"),
    [
        ("efficientnet_lite0", (40, 112), (11, 6)),
        ("resnet18", (128, 256), (11, 6)),
        ("mobilenet_v3_small", (24, 48), (11, 6)),
    ],
)
def test_a_guard_looks_at_the_last_maps_at_stride_8_and_16(architecture, channels, sides):
    model = JointClassifier(architecture, 2, SPEC).eval()
    layers, found = guard_layers(model, SPEC.shape)
    assert found == channels
    with torch.no_grad(), tapped(model, layers) as maps:
        model(torch.zeros((1, *SPEC.shape), dtype=torch.uint8))
    assert [tuple(maps[name].shape[1:]) for name in layers] == [
        (count, side, side) for count, side in zip(channels, sides, strict=True)
    ]


def test_a_crop_too_small_for_stride_16_is_guarded_by_the_last_map_with_enough_cells():
    small = PreprocessSpec(height=32, width=32)
    model = JointClassifier("resnet18", 2, small).eval()
    layers, (fine, coarse) = guard_layers(model, small.shape)
    assert len(layers) == 1
    assert (fine, coarse) == (0, 128)


def naive_novelty(guard: Guard, fine: np.ndarray, coarse: np.ndarray) -> float:
    """One crop, cell by cell."""
    side, distances, cells = coarse.shape[1], [], []
    for row in range(side):
        for column in range(side):
            around = fine[:, max(0, 2 * row - 1) : 2 * row + 2, max(0, 2 * column - 1) : 2 * column + 2]
            parts = [around.mean(axis=(1, 2)), coarse[:, row, column]]
            lengths = [np.linalg.norm(part) for part in parts]
            units = [part / (length + 1e-6) for part, length in zip(parts, lengths, strict=True)]
            distances.append(1 - max(float(units[1] @ p) for p in guard.prototypes.numpy()))
            cells.append(np.concatenate(units))
    grid = torch.tensor(np.array(cells).T.reshape(1, -1, side, side), dtype=torch.float32)
    with torch.no_grad():
        centred = (grid - guard.mean[None, :, None, None]) / guard.deviation[None, :, None, None]
        logits = guard.detector(centred).flatten().numpy()
    worst = math.ceil(side * side / 10)
    measures = [np.sort(values)[-worst:].mean() for values in (np.array(distances), logits)]
    return max(
        (measure - float(offset)) * float(scale)
        for measure, offset, scale in zip(measures, guard.offset, guard.scale, strict=True)
    )


def test_novelty_is_the_larger_of_both_scaled_measures():
    torch.manual_seed(0)
    guard = Guard((3, 5), 4).eval()
    prototypes = torch.randn(4, 5)
    guard.prototypes.copy_(prototypes / prototypes.norm(dim=1, keepdim=True))
    guard.mean.copy_(torch.randn(8) * 0.1)
    guard.deviation.copy_(torch.rand(8) + 0.5)
    guard.offset.copy_(torch.tensor([0.2, -0.1]))
    guard.scale.copy_(torch.tensor([3.0, 2.0]))
    fine, coarse = torch.randn(6, 3, 11, 11), torch.randn(6, 5, 6, 6)
    with torch.no_grad():
        found = guard([fine, coarse])[0].numpy()
    wanted = [naive_novelty(guard, fine[i].numpy(), coarse[i].numpy()) for i in range(6)]
    assert found == pytest.approx(wanted, abs=1e-4)


def test_a_guard_leaves_the_logits_as_they_are():
    model = JointClassifier("resnet18", 2, SPEC).eval()
    layers, channels = guard_layers(model, SPEC.shape)
    guarded = GuardedClassifier(model, Guard(channels, 4), layers).eval()
    crops = torch.randint(0, 256, (3, *SPEC.shape), dtype=torch.uint8)
    with torch.no_grad():
        logits, novelty, features = guarded(crops)
        assert torch.equal(logits, model(crops))
    assert novelty.shape == (3,)
    assert features.shape[0] == 3


@pytest.mark.parametrize(("side", "cells"), [(6, 36), (8, 64), (14, 49)])
def test_features_project_every_cell_and_average_large_grids(side, cells):
    torch.manual_seed(1)
    guard = Guard((0, 5), 4).eval()
    guard.mean.copy_(torch.randn(5))
    guard.projection.copy_(torch.randn(CELL_FEATURES, 5))
    grid = torch.randn(2, 5, side, side)
    with torch.no_grad():
        found = guard.features(grid).reshape(2, CELL_FEATURES, cells).numpy()
    step = side // math.isqrt(cells)
    size = math.isqrt(cells)
    for row, column in [(0, 0), (size - 1, 2), (3, size - 1)]:
        part = grid[:, :, row * step : (row + 1) * step, column * step : (column + 1) * step]
        mean = part.numpy().astype(np.float64).mean(axis=(2, 3))
        wanted = (mean - guard.mean.numpy()) @ guard.projection.numpy().T
        np.testing.assert_allclose(found[:, :, row * size + column], wanted, atol=1e-4)

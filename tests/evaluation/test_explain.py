import numpy as np
import pytest
import torch
from torch import nn

from sji_edge.core.errors import UsageError
from sji_edge.evaluation.explain import activation_maps


class Toy(nn.Module):
    """Two maps, of the bright and of the dark, each pooled; the head weighs them."""

    def __init__(self, head: list[list[float]]) -> None:
        super().__init__()
        self.split = nn.Conv2d(1, 2, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(2, len(head))
        with torch.no_grad():
            self.split.weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
            self.split.bias.copy_(torch.tensor([0.0, 255.0]))
            self.head.weight.copy_(torch.tensor(head))
            self.head.bias.zero_()

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        features = self.split(crops.float().permute(0, 3, 1, 2)).relu()
        return self.head(self.pool(features).flatten(1))


def crop_with_a_bright_corner() -> np.ndarray:
    crop = np.zeros((1, 12, 12, 1), np.uint8)
    crop[0, :4, :4] = 200
    return crop


def test_grad_cam_is_bright_where_the_evidence_for_a_defect_lies():
    maps = activation_maps(Toy([[0.0, 0.0], [1.0, 0.0]]).eval(), "toy", 0, crop_with_a_bright_corner())
    assert maps.shape == (1, 12, 12)
    assert maps[0, :4, :4].min() == 1.0
    assert maps[0, 4:].max() == 0.0


def test_grad_cam_is_the_naive_formula():
    crops = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)
    head = np.array([[0.3, -0.2], [0.9, 0.1]])
    maps = activation_maps(Toy(head.tolist()).eval(), "toy", 0, crops)
    bright = crops[..., 0].astype(float)
    weights = (head[1] - head[0]) / 64
    naive = np.maximum(weights[0] * bright + weights[1] * (255 - bright), 0)
    naive /= naive.max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(maps, naive, atol=1e-5)


def test_a_map_is_dark_without_evidence_for_a_defect():
    assert (
        activation_maps(Toy([[1.0, 1.0], [0.0, 0.0]]).eval(), "toy", 0, crop_with_a_bright_corner()).max()
        == 0
    )


def test_defect_classes_are_summed():
    head = [[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
    maps = activation_maps(Toy(head).eval(), "toy", 0, crop_with_a_bright_corner())
    assert maps[0, :4, :4].min() == 1.0


def test_eigen_cam_finds_the_salient_part_with_any_head():
    for head in ([[0.0, 0.0], [1.0, 0.0]], [[5.0, -3.0], [0.0, 2.0]]):
        maps = activation_maps(Toy(head).eval(), "toy", 0, crop_with_a_bright_corner(), "eigen")
        corner, rest = maps[0, :4, :4], maps[0, 4:]
        assert abs(float(corner.mean()) - float(rest.mean())) > 0.9


def test_maps_leave_no_hook_and_no_gradient_behind():
    toy = Toy([[0.0, 0.0], [1.0, 0.0]]).eval()
    activation_maps(toy, "toy", 0, crop_with_a_bright_corner())
    assert not toy.pool._forward_pre_hooks
    assert toy.head.weight.grad is None


def test_an_unknown_kind_is_refused():
    with pytest.raises(UsageError, match="unknown activation map"):
        activation_maps(Toy([[0.0, 0.0], [1.0, 0.0]]), "toy", 0, crop_with_a_bright_corner(), "gradd")

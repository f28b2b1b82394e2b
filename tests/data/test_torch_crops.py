import numpy as np
import pytest
import torch

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.preprocess import crop_of_image
from sji_edge.data.jitter import TRAINING_JITTER
from sji_edge.data.torch_crops import JointCrops

SPEC = PreprocessSpec(height=20, width=16)
IMAGES = [np.random.default_rng(seed).integers(0, 256, (30, 30), dtype=np.uint8) for seed in range(3)]
LABELS = np.array([0, 1, 1])


def test_without_jitter_it_gives_the_plain_crops():
    dataset = JointCrops(IMAGES, LABELS, SPEC)
    assert len(dataset) == 3
    for index, image in enumerate(IMAGES):
        crop, label = dataset[index]
        assert crop.dtype == torch.uint8
        assert np.array_equal(crop.numpy(), crop_of_image(image, SPEC))
        assert label == LABELS[index]


def test_with_jitter_pytorchs_seed_decides_the_views():
    dataset = JointCrops(IMAGES, LABELS, SPEC, TRAINING_JITTER)
    torch.manual_seed(3)
    first = [dataset[0][0] for _ in range(3)]
    torch.manual_seed(3)
    again = [dataset[0][0] for _ in range(3)]
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert not torch.equal(first[0], first[1])


def test_labels_must_match_the_images():
    with pytest.raises(ValueError, match="3 images but 2 labels"):
        JointCrops(IMAGES, LABELS[:2], SPEC)

"""Decoded joints as a PyTorch dataset of uint8 crops."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.preprocess import Image, crop_of_image
from sji_edge.data.jitter import Jitter, jittered_crop


class JointCrops(Dataset[tuple[torch.Tensor, int]]):
    """Crops and labels; with a jitter, each access returns a new random view.

    Args:
        images: of the joints, such as ``StoredImages``.
        labels: int64 ``(n,)``.
        spec: the crop's size and channels.
        jitter: limits of the random views; None returns the plain crop.

    Random numbers come from PyTorch's generator, so ``seed_everything(workers=True)`` makes them repeatable.
    """

    def __init__(
        self,
        images: Sequence[Image],
        labels: NDArray[np.int64],
        spec: PreprocessSpec,
        jitter: Jitter | None = None,
    ) -> None:
        if len(images) != len(labels):
            raise ValueError(
                f"{len(images)} images but {len(labels)} labels; there must be one label per image"
            )
        self._images = images
        self._labels = labels
        self._spec = spec
        self._jitter = jitter

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Return the crop, uint8 ``(height, width, channels)``, and the class index."""
        image = self._images[index]
        if self._jitter is None:
            crop = crop_of_image(image, self._spec)
        else:
            seed = int(torch.randint(2**62, ()).item())
            crop = jittered_crop(image, self._spec, self._jitter, np.random.default_rng(seed))
        return torch.from_numpy(crop), int(self._labels[index])

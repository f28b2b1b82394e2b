"""Load the batches of a training: jittered views of the training joints, plain crops of validation."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.preprocess import Image
from sji_edge.data.folder import FolderDataset
from sji_edge.data.jitter import TRAINING_JITTER
from sji_edge.data.torch_crops import JointCrops
from sji_edge.training.balance import balanced_sampler
from sji_edge.training.distillation.lessons import Lessons
from sji_edge.training.settings import TrainSettings

Loader = DataLoader[Any]
"""Of crops uint8 and class indices; a student's training batches hold its teachers' answers, too."""


def make_loaders(
    settings: TrainSettings,
    dataset: FolderDataset,
    images: Mapping[str, Sequence[Image]],
    spec: PreprocessSpec,
    taught: NDArray[np.float32] | None = None,
) -> dict[str, Loader]:
    """Return the loaders of ``train`` and ``validation``.

    Args:
        settings: of the training.
        dataset: gives the labels.
        images: decoded joints of each split.
        spec: their crop.
        taught: logits of a student's teachers, as of ``distillation.lessons.judge_views``; None for a training on
            labels alone.
    """
    labels = dataset.labels("train")
    crops: JointCrops | Lessons = JointCrops(images["train"], labels, spec, TRAINING_JITTER)
    if taught is not None:
        crops = Lessons(
            images["train"], labels, spec, taught, seed=settings.seed, temperature=settings.temperature
        )
    held_out = JointCrops(images["validation"], dataset.labels("validation"), spec)
    return {
        "train": _loader(settings, crops, labels, training=True),
        "validation": _loader(settings, held_out, labels, training=False),
    }


def _loader(
    settings: TrainSettings, crops: JointCrops | Lessons, labels: NDArray[np.int64], *, training: bool
) -> Loader:
    sampler = balanced_sampler(labels) if training and settings.sampler == "balanced" else None
    return DataLoader(
        crops,
        batch_size=settings.batch_size,
        sampler=sampler,
        shuffle=training and sampler is None,
        # Batch normalization needs more than one crop, and the last batch may hold only one.
        drop_last=training and len(crops) > settings.batch_size,
        num_workers=settings.workers,
        persistent_workers=settings.workers > 0,
    )

"""Load the batches of a training: jittered views of the training joints, plain crops of validation."""

import torch
from torch.utils.data import DataLoader

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.preprocess import Image
from sji_edge.data.folder import FolderDataset
from sji_edge.data.jitter import TRAINING_JITTER
from sji_edge.data.torch_crops import JointCrops
from sji_edge.training.balance import balanced_sampler
from sji_edge.training.settings import TrainSettings

Loader = DataLoader[tuple[torch.Tensor, int]]


def make_loaders(
    settings: TrainSettings, dataset: FolderDataset, images: dict[str, list[Image]], spec: PreprocessSpec
) -> dict[str, Loader]:
    """Return the loaders of ``train`` and ``validation``."""
    return {
        split: _loader(settings, dataset, images[split], spec, split) for split in ("train", "validation")
    }


def _loader(
    settings: TrainSettings, dataset: FolderDataset, images: list[Image], spec: PreprocessSpec, split: str
) -> Loader:
    training = split == "train"
    labels = dataset.labels(split)
    crops = JointCrops(images, labels, spec, TRAINING_JITTER if training else None)
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

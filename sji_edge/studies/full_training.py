"""Full preset: each trial is a complete training run, whose card and epochs are kept beside the study."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import LossCard
from sji_edge.core.run_files import GUARD
from sji_edge.data.folder import FolderDataset
from sji_edge.models.attention import split_architecture
from sji_edge.models.checkpoint import WEIGHTS_FILE, load_run
from sji_edge.models.predict import logits_of
from sji_edge.runtime.bundle.manifest import GOLDEN
from sji_edge.studies.trials import TrialSpec
from sji_edge.studies.unknown import unknown_shares
from sji_edge.training.run_folder import LAST_CHECKPOINT, work_folder
from sji_edge.training.settings import TrainSettings
from sji_edge.training.train import train

FOLDER = "runs"


@dataclass(frozen=True)
class Trained:
    """What a training gave: held-out logits, where the weights came from, and shares of unknown pictures."""

    logits: dict[str, NDArray[np.float32]]
    weights: str
    unknown: dict[str, tuple[float, float]] | None


def train_whole(spec: TrialSpec, dataset: FolderDataset, out: Path) -> Trained:
    """Train a run, take the finished one, or resume an interrupted one.

    Raises:
        TrainingDivergedError: a logit is not finite.
    """
    settings = train_settings(spec, dataset, out)
    folder = settings.runs / settings.name
    if not (folder / WEIGHTS_FILE).is_file():
        # A run whose trial was removed is trained again.
        shutil.rmtree(folder, ignore_errors=True)
        interrupted = (work_folder(settings.runs, settings.name) / LAST_CHECKPOINT).is_file()
        train(settings.model_copy(update={"resume": interrupted}), dataset)
    model, card = load_run(folder)
    logits = {
        split: logits_of(model, dataset.crops(split, card.preprocess)) for split in ("validation", "test")
    }
    return Trained(logits, card.weights, unknown_shares(folder, dataset) if spec.guard else None)


def discard_weights(spec: TrialSpec, out: Path) -> None:
    """Remove the large files of a trial's run; its card, epochs and pictures stay."""
    for name in (WEIGHTS_FILE, GOLDEN, GUARD):
        (out / FOLDER / spec.name / name).unlink(missing_ok=True)


def train_settings(spec: TrialSpec, dataset: FolderDataset, out: Path) -> TrainSettings:
    """Return a trial's training settings; all epochs are run, and the best one is kept."""
    base, attention = split_architecture(spec.backbone)
    budget = spec.budget
    return TrainSettings.model_validate(
        {
            "data": dataset.root,
            "runs": out / FOLDER,
            "name": spec.name,
            "good_class": dataset.good_class,
            "model": base,
            "attention": attention or "none",
            "loss": LossCard(name=spec.loss, settings=spec.options),
            "views": spec.views,
            "image_size": budget.image_size,
            "epochs": budget.epochs,
            "batch_size": budget.batch_size,
            "learning_rate": spec.learning_rate,
            "weight_decay": budget.weight_decay,
            "patience": budget.epochs,
            "seed": spec.seed,
            "guard": spec.guard,
        }
    )

"""From a dataset and settings to a run on disk."""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint

from sji_edge.core import run_files
from sji_edge.core.card import ModelCard, PreprocessSpec
from sji_edge.core.errors import DataError, UsageError
from sji_edge.core.files import new_folder
from sji_edge.core.verdict import defect_scores
from sji_edge.data.folder import FolderDataset, channels_of
from sji_edge.losses.build import build_loss
from sji_edge.metrics.summary import ScoredSplit, summary
from sji_edge.metrics.thresholds import solve_thresholds
from sji_edge.models.backbones import has_local_imagenet, is_known, takes_imagenet
from sji_edge.models.checkpoint import load_weights, save_run
from sji_edge.models.classifier import JointClassifier
from sji_edge.models.predict import logits_of
from sji_edge.runtime.bundle.golden import Golden, write_golden
from sji_edge.runtime.bundle.manifest import GOLDEN
from sji_edge.training.averaging import ema_decay
from sji_edge.training.balance import class_weights
from sji_edge.training.epoch_log import EpochTable
from sji_edge.training.golden import golden_of
from sji_edge.training.loaders import Loader, make_loaders
from sji_edge.training.module import JointTraining
from sji_edge.training.plots import plot_epochs, plot_scores
from sji_edge.training.run_folder import (
    LAST_CHECKPOINT,
    check_names,
    default_name,
    work_folder,
    working_folder,
)
from sji_edge.training.settings import TrainSettings
from sji_edge.training.trainer import TrainingDivergedError, make_trainer, run_trainer

RECORDED_PACKAGES = ("sji-edge", "torch", "torchvision", "lightning", "numpy", "opencv-python")


@dataclass(frozen=True)
class TrainedRun:
    """Where a finished run lies, and its card."""

    folder: Path
    card: ModelCard


def train(settings: TrainSettings, dataset: FolderDataset) -> TrainedRun:
    """Train a classifier and write ``runs/NAME/``.

    The run appears under its name only when it is complete; until then its checkpoints lie in
    ``runs/.NAME.training``, from which ``resume`` continues.

    Args:
        settings: everything else.
        dataset: opened with train, validation and, where there is one, test.

    Raises:
        UsageError: settings that contradict each other or the data; the training diverged.
        DataError: validation without good or without defective joints, or an unreadable image.
        OutputError: the run exists already, finished or interrupted.
        TrainingInterruptedError: interrupted; the last epoch is kept.
    """
    name = settings.name or default_name(settings)
    work, target = work_folder(settings, name), settings.runs / name
    check_names(settings, work, target)
    _check_validation(dataset)
    criterion = build_loss(settings.loss.name, settings.loss.settings)
    weights_of_classes = class_weights(settings.class_weights, dataset.labels("train"), dataset.classes)
    images = {split: dataset.read(split) for split in dataset.splits}
    channels = channels_of(images["train"]) if settings.channels == "auto" else int(settings.channels)
    spec = PreprocessSpec(height=settings.image_size, width=settings.image_size, channels=channels)
    lightning.seed_everything(settings.seed, workers=True, verbose=False)
    model, weights = _model(settings, len(dataset.classes), spec)
    with working_folder(work):
        module = JointTraining(
            model,
            criterion,
            good_index=dataset.classes.index(dataset.good_class),
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            class_weights=weights_of_classes,
            views=settings.views,
        )
        trainer = _fit(settings, module, make_loaders(settings, dataset, images, spec), work)
    golden = golden_of(module.model, dataset, spec, settings.seed)
    if not np.isfinite(golden.logits).all():
        shutil.rmtree(work)
        raise TrainingDivergedError(
            "training diverged: the model's logits are not finite", hint="try a smaller --learning-rate"
        )
    held_out = _held_out(dataset, module.model, spec)
    card = _card(settings, dataset, golden, held_out, spec, name, weights)
    if trainer.is_global_zero:
        with new_folder(target) as partial:
            save_run(partial, module.model, card)
            write_golden(partial / GOLDEN, golden, card)
            shutil.copy(work / run_files.METRICS, partial / run_files.METRICS)
            plot_epochs(partial / run_files.METRICS, partial / "epochs.png")
            plot_scores(held_out, card.thresholds, partial / "scores.png")
        shutil.rmtree(work)
    return TrainedRun(target, card)


def _check_validation(dataset: FolderDataset) -> None:
    """Refuse before the training what would leave it without thresholds."""
    good = dataset.labels("validation") == dataset.classes.index(dataset.good_class)
    if good.all() or not good.any():
        raise DataError(
            f"the validation split of {dataset.root} has {int(good.sum())} good and {int((~good).sum())} "
            "defective joints; both are needed to choose thresholds",
            hint="add joints of both kinds to it",
        )


def _model(settings: TrainSettings, classes: int, spec: PreprocessSpec) -> tuple[JointClassifier, str]:
    """Return the model to start from, and a word on where its weights come from, for the card."""
    name = settings.architecture
    if settings.weights in ("imagenet", "auto", "none"):
        wanted = settings.weights == "auto" and is_known(name) and takes_imagenet(name, settings.image_size)
        local = wanted and has_local_imagenet(name)
        imagenet = settings.weights == "imagenet" or local
        return JointClassifier(name, classes, spec, imagenet), "imagenet" if imagenet else "none"
    path = Path(settings.weights)
    if not path.exists():
        raise UsageError(
            f"--weights {path} is not there", hint="give imagenet, none, auto, a file or a run's folder"
        )
    model = JointClassifier(name, classes, spec)
    load_weights(model, path)
    return model, path.name


def _fit(
    settings: TrainSettings, module: JointTraining, loaders: dict[str, Loader], work: Path
) -> lightning.Trainer:
    """Run Lightning's loop; afterwards the module holds the best epoch's weights."""
    checkpoint = ModelCheckpoint(work, "best", monitor="val_rank", mode="max", save_last=True)
    callbacks = [
        EpochTable(work / run_files.METRICS),
        # Validated and kept are averaged weights: single epochs of a short fine-tune scatter.
        EMAWeightAveraging(decay=ema_decay(settings.epochs * len(loaders["train"])), use_buffers=True),
        EarlyStopping("val_rank", mode="max", patience=settings.patience),
        checkpoint,
    ]
    trainer = make_trainer(settings, callbacks)
    run_trainer(
        trainer,
        module,
        loaders["train"],
        loaders["validation"],
        resume_from=work / LAST_CHECKPOINT if settings.resume else None,
    )
    best = torch.load(checkpoint.best_model_path, map_location="cpu", weights_only=True)
    module.on_load_checkpoint(best)
    module.load_state_dict(best["state_dict"])
    module.model.cpu()
    module.close()
    return trainer


def _held_out(dataset: FolderDataset, model: JointClassifier, spec: PreprocessSpec) -> dict[str, ScoredSplit]:
    good = dataset.classes.index(dataset.good_class)
    return {
        split: ScoredSplit(
            defect_scores(logits_of(model, dataset.crops(split, spec)), good), dataset.labels(split) != good
        )
        for split in dataset.splits
        if split != "train"
    }


def _card(
    settings: TrainSettings,
    dataset: FolderDataset,
    golden: Golden,
    held_out: dict[str, ScoredSplit],
    spec: PreprocessSpec,
    name: str,
    weights: str,
) -> ModelCard:
    """Choose the thresholds on the golden crops, and measure every held-out split at them."""
    good = dataset.classes.index(dataset.good_class)
    thresholds = solve_thresholds(defect_scores(golden.logits, good), golden.labels != good)
    return ModelCard(
        name=name,
        architecture=settings.architecture,
        classes=dataset.classes,
        good_class=dataset.good_class,
        preprocess=spec,
        loss=settings.loss,
        training=_not_default(settings),
        seed=settings.seed,
        weights=weights,
        dataset_sha256=dataset.sha256(),
        thresholds=thresholds,
        metrics={split: summary(*scored, thresholds) for split, scored in held_out.items()},
        versions={package: version(package) for package in RECORDED_PACKAGES},
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _not_default(settings: TrainSettings) -> dict[str, str]:
    """The options that change what is learnt and have no place of their own in the card."""
    options = {"class_weights": settings.class_weights, "sampler": settings.sampler, "views": settings.views}
    return {name: value for name, value in options.items() if value != "none"}

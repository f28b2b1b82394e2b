"""Train a classifier from a dataset and settings, and write the run to disk."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint
from numpy.typing import NDArray

from sji_edge.core import run_files
from sji_edge.core.card import ModelCard, PreprocessSpec
from sji_edge.core.errors import DataError, GateError, UsageError
from sji_edge.core.files import check_writable_folder, new_folder
from sji_edge.data.folder import FolderDataset, channels_of, mixed_colour
from sji_edge.losses.build import build_loss
from sji_edge.metrics.summary import ScoredSplit
from sji_edge.models.backbones import has_local_imagenet, is_known, takes_imagenet
from sji_edge.models.checkpoint import load_weights, save_guard, save_run
from sji_edge.models.classifier import JointClassifier
from sji_edge.models.guard import GuardedClassifier
from sji_edge.runtime.bundle.golden import Golden, write_golden
from sji_edge.runtime.bundle.manifest import GOLDEN
from sji_edge.training.averaging import ema_decay
from sji_edge.training.balance import class_weights
from sji_edge.training.distillation.module import StudentTraining
from sji_edge.training.distillation.teachers import check_teachers, open_teachers, taught_elsewhere
from sji_edge.training.distillation.teaching import taught_before, teach
from sji_edge.training.epoch_log import EpochReport, EpochTable, Say, Steps, nothing
from sji_edge.training.golden import golden_of
from sji_edge.training.guard import guard_of
from sji_edge.training.limits import limits_within_budget, scored_splits, views_of
from sji_edge.training.loaders import Loader, make_loaders
from sji_edge.training.module import JointTraining
from sji_edge.training.plots import plot_epochs, plot_scores
from sji_edge.training.quiet import quiet
from sji_edge.training.resume import (
    Started,
    check_checkpoint,
    check_dataset,
    read_started,
    resumed,
    write_started,
)
from sji_edge.training.run_card import card_of_training
from sji_edge.training.run_folder import (
    LAST_CHECKPOINT,
    check_names,
    run_name,
    work_folder,
    working_folder,
)
from sji_edge.training.settings import TrainSettings
from sji_edge.training.trainer import TrainingDivergedError, make_trainer, run_trainer

RECORDED_PACKAGES = ("sji-edge", "torch", "torchvision", "lightning", "numpy", "opencv-python")


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: holds ``card.json``, ``weights.safetensors``, ``golden.npz``, ``metrics.csv`` and two pictures.
        card: identity, classes, thresholds and figures of the model.
        teacher: the run that taught it, where the same call trained both.
    """

    folder: Path
    card: ModelCard
    teacher: "Run | None" = None

    def __fspath__(self) -> str:
        return str(self.folder)


@quiet()
def train(
    settings: TrainSettings,
    dataset: FolderDataset,
    *,
    strict: bool = False,
    progress: Say = nothing,
    steps: Steps = nothing,
) -> Run:
    """Train a classifier and write ``runs/NAME/``.

    The run appears under its name only when it is complete; until then its checkpoints are in
    ``runs/.NAME.training``, where ``resume`` finds them.

    Args:
        settings: everything but the data.
        dataset: opened with train, validation and, where it exists, test.
        strict: refuse a training split that mixes grey and colour images, if the model takes colour.
        progress: given one line an epoch.
        steps: given the batches done and their number over all epochs.

    Raises:
        UsageError: settings that contradict each other, the data or the run to resume; or training diverged.
        DataError: the validation split lacks good or defective joints, or an image cannot be read.
        GateError: ``strict``, and grey and colour images are mixed.
        OutputError: the run already exists, finished or interrupted, or ``runs`` cannot be written.
        TrainingInterruptedError: the user interrupted; the last complete epoch is kept.
    """
    name = run_name(settings)
    work, target = work_folder(settings.runs, name), settings.runs / name
    check_names(settings, work, target)
    check_writable_folder(settings.runs, create=False)
    if settings.resume:
        settings = resumed(settings, work)
    _check_validation(dataset)
    good_index = dataset.classes.index(dataset.good_class)
    criterion = build_loss(settings.loss.name, settings.loss.settings)
    weights_of_classes = class_weights(settings.class_weights, dataset.labels("train"), dataset.classes)
    sha256 = dataset.sha256()
    images = {split: dataset.read(split) for split in dataset.splits}
    spec = _crop_spec(settings, dataset, images["train"], strict=strict, progress=progress)
    lightning.seed_everything(settings.seed, workers=True, verbose=False)
    if settings.resume:
        started = read_started(work)
        check_dataset(started, dataset, sha256)
        check_checkpoint(work / LAST_CHECKPOINT)
        # The checkpoint holds the weights: the file that the run started from, and its teachers, may be gone.
        model = JointClassifier(settings.architecture, len(dataset.classes), spec)
        taught = taught_before(work, len(images["train"])) if started.teachers else None
    else:
        model, weights = _model(settings, len(dataset.classes), spec)
        teachers = open_teachers(settings.teachers)
        check_teachers(teachers, dataset, spec)
        if elsewhere := taught_elsewhere(teachers, sha256):
            progress(elsewhere)
        started = Started(
            settings=settings,
            classes=dataset.classes,
            dataset_sha256=sha256,
            weights=weights,
            teachers=tuple(teacher.named() for teacher in teachers),
        )
    with working_folder(work):
        if not settings.resume:
            write_started(work, started)
            good = dataset.labels("train") == good_index
            taught = (
                teach(teachers, model, images["train"], good, spec, settings, work, progress)
                if teachers
                else None
            )
        module = (
            JointTraining(model, criterion, settings, good_index, weights_of_classes)
            if taught is None
            else StudentTraining(model, criterion, settings, good_index, weights_of_classes, taught.hints)
        )
        reports = EpochReport(progress, steps)
        logits = None if taught is None else taught.logits
        trainer = _fit(settings, module, make_loaders(settings, dataset, images, spec, logits), work, reports)
    if trainer.current_epoch < settings.epochs:
        progress(f"stopped early: no better epoch in {settings.patience} epochs")
    guarded = None
    if settings.guard and settings.student == "none":
        regressor = module.regressor if isinstance(module, StudentTraining) else None
        guarded = guard_of(module.model, dataset, images, spec, settings.seed, progress, regressor=regressor)
    views = views_of(dataset, spec, settings.seed)
    golden = golden_of(module.model, views, guarded)
    if not np.isfinite(golden.logits).all():
        shutil.rmtree(work)
        raise TrainingDivergedError(
            "training diverged: the model's logits are not finite", hint="try a smaller learning rate"
        )
    limits = limits_within_budget(
        golden,
        views,
        good_index,
        settings.review_budget,
        settings.seed,
        guarded,
    )
    held_out = scored_splits(dataset, module.model, guarded, spec)
    card = card_of_training(settings, dataset, limits, held_out, spec, name=name, started=started)
    if trainer.is_global_zero:
        _write(target, work, module.model, guarded, card, golden, held_out)
        shutil.rmtree(work)
    return Run(target, card)


def _crop_spec(
    settings: TrainSettings,
    dataset: FolderDataset,
    images: Sequence[NDArray[np.uint8]],
    *,
    strict: bool,
    progress: Say,
) -> PreprocessSpec:
    """Return the model's crop; report, or with ``strict`` refuse, grey images among those of a colour model."""
    channels = channels_of(images) if settings.channels == "auto" else int(settings.channels)
    mixed = mixed_colour([sample.path for sample in dataset.split("train")], images)
    if mixed and channels == 3:
        if strict:
            raise GateError(f"the dataset {settings.data} has mixed colour: {mixed}")
        progress(f"mixed colour: {mixed}")
    return PreprocessSpec(height=settings.image_size, width=settings.image_size, channels=channels)


def _write(
    target: Path,
    work: Path,
    model: JointClassifier,
    guarded: GuardedClassifier | None,
    card: ModelCard,
    golden: Golden,
    held_out: Mapping[str, ScoredSplit],
) -> None:
    """Write the finished run into its folder, in one step."""
    with new_folder(target) as partial:
        save_run(partial, model, card)
        if guarded is not None:
            save_guard(partial, guarded)
        write_golden(partial / GOLDEN, golden, card)
        shutil.copy(work / run_files.METRICS, partial / run_files.METRICS)
        plot_epochs(partial / run_files.METRICS, partial / "epochs.png")
        plot_scores(held_out, card.thresholds, partial / "scores.png")


def _check_validation(dataset: FolderDataset) -> None:
    """Refuse a validation split on which no thresholds can be chosen, before minutes of training."""
    good = dataset.labels("validation") == dataset.classes.index(dataset.good_class)
    if good.all() or not good.any():
        raise DataError(
            f"the validation split of {dataset.root} has {int(good.sum())} good and {int((~good).sum())} "
            "defective joints; both are needed to choose thresholds",
            hint="add joints of both kinds to it",
        )


def _model(settings: TrainSettings, classes: int, spec: PreprocessSpec) -> tuple[JointClassifier, str]:
    """Return the model to start from, and the word for the card on where its weights came from."""
    name = settings.architecture
    if settings.weights in ("imagenet", "auto", "none"):
        wanted = settings.weights == "auto" and is_known(name) and takes_imagenet(name, settings.image_size)
        local = wanted and has_local_imagenet(name)
        imagenet = settings.weights == "imagenet" or local
        return JointClassifier(name, classes, spec, imagenet), "imagenet" if imagenet else "none"
    path = Path(settings.weights)
    if not path.exists():
        raise UsageError(
            f"the initial weights {path} do not exist",
            hint="give imagenet, none, auto, a weights file or a run's folder",
        )
    model = JointClassifier(name, classes, spec)
    load_weights(model, path)
    return model, path.name


def _fit(
    settings: TrainSettings,
    module: JointTraining,
    loaders: dict[str, Loader],
    work: Path,
    reports: EpochReport,
) -> lightning.Trainer:
    """Run Lightning's loop; afterwards the module holds the best epoch's weights."""
    checkpoint = ModelCheckpoint(work, "best", monitor="val_rank", mode="max", save_last=True)
    callbacks = [
        EpochTable(work / run_files.METRICS),
        reports,
        # Averaged weights are validated and kept: single epochs of a short fine-tune scatter.
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
    module.cpu().requires_grad_(False)
    module.close()
    return trainer

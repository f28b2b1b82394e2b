"""From a dataset and settings to a run on disk."""

import logging
import shutil
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, TQDMProgressBar
from torch.utils.data import DataLoader

from sji_edge.core.card import ModelCard, PreprocessSpec
from sji_edge.core.errors import OutputError, SjiError, UsageError
from sji_edge.core.files import fresh_name, new_folder
from sji_edge.core.preprocess import Image
from sji_edge.core.verdict import defect_scores
from sji_edge.data.folder import FolderDataset
from sji_edge.data.jitter import TRAINING_JITTER
from sji_edge.data.torch_crops import JointCrops
from sji_edge.losses import LOSSES
from sji_edge.metrics.summary import ScoredSplit, summary
from sji_edge.metrics.thresholds import solve_thresholds
from sji_edge.models.backbones import backbone_names, has_local_imagenet
from sji_edge.models.checkpoint import load_weights, save_run
from sji_edge.models.classifier import JointClassifier
from sji_edge.models.predict import logits_of
from sji_edge.runtime.golden import Golden, write_golden
from sji_edge.runtime.manifest import GOLDEN
from sji_edge.training.golden import golden_of
from sji_edge.training.epochs import EpochTable
from sji_edge.training.module import JointTraining
from sji_edge.training.plots import plot_epochs, plot_scores
from sji_edge.training.settings import TrainSettings

LAST_CHECKPOINT = "last.ckpt"
RECORDED_PACKAGES = ("sji-edge", "torch", "torchvision", "lightning", "numpy", "opencv-python")


@dataclass(frozen=True)
class TrainedRun:
    """Where a finished run lies, and its card."""

    folder: Path
    card: ModelCard


class TrainingInterruptedError(SjiError):
    """Training was interrupted from the keyboard; its last epoch is kept."""

    exit_code = 130


def train(settings: TrainSettings, dataset: FolderDataset) -> TrainedRun:
    """Train a classifier and write ``runs/NAME/``.

    The run appears under its name only when it is complete; until then its checkpoints lie in
    ``runs/.NAME.training``, from which ``resume`` continues.

    Args:
        settings: everything else.
        dataset: opened with train, validation and, where there is one, test.

    Raises:
        UsageError: settings that contradict each other or the data.
        OutputError: the run exists already.
        TrainingInterruptedError: interrupted; the last epoch is kept.
    """
    _quieten()
    name = settings.name or _default_name(settings)
    work, target = settings.runs / f".{name}.training", settings.runs / name
    _check_names(settings, work, target)
    images = {split: dataset.read(split) for split in dataset.splits}
    spec = PreprocessSpec(
        height=settings.image_size, width=settings.image_size, channels=_channels(settings, images["train"])
    )
    lightning.seed_everything(settings.seed, workers=True, verbose=False)
    model, weights = _model(settings, len(dataset.classes), spec)
    work.mkdir(parents=True, exist_ok=True)
    module, trainer = _fit(settings, dataset, images, model, spec, work)
    golden = golden_of(module.model, dataset, spec, settings.seed)
    held_out = _held_out(dataset, module.model, spec)
    card = _card(settings, dataset, golden, held_out, spec, name, weights)
    if trainer.is_global_zero:
        with new_folder(target) as partial:
            save_run(partial, module.model, card)
            write_golden(partial / GOLDEN, golden, card)
            shutil.copy(work / "metrics.csv", partial / "metrics.csv")
            plot_epochs(partial / "metrics.csv", partial / "epochs.png")
            plot_scores(held_out, card.thresholds, partial / "scores.png")
        shutil.rmtree(work)
    return TrainedRun(target, card)


def _default_name(settings: TrainSettings) -> str:
    stem = f"{settings.model}-{settings.loss.name}"
    return stem if settings.resume else fresh_name(settings.runs, stem)


def _check_names(settings: TrainSettings, work: Path, target: Path) -> None:
    if target.exists():
        raise OutputError(
            f"run {target} exists already, and no run is overwritten", hint="choose another --name"
        )
    if settings.resume and not (work / LAST_CHECKPOINT).is_file():
        raise UsageError(
            f"nothing to resume: {work / LAST_CHECKPOINT} is not there", hint="leave out --resume"
        )
    if not settings.resume and work.exists():
        shutil.rmtree(work)


def _quieten() -> None:
    """Silence Lightning's banners and the warnings that do not concern the user's choices."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings(
        "ignore", message=".*number of training batches.*smaller than the logging interval.*"
    )
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
    warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")


def _channels(settings: TrainSettings, images: list[Image]) -> int:
    if settings.channels != "auto":
        return int(settings.channels)
    return 1 if all(image.ndim == 2 for image in images) else 3


def _model(settings: TrainSettings, classes: int, spec: PreprocessSpec) -> tuple[JointClassifier, str]:
    """Return the model to start from, and a word on where its weights come from, for the card."""
    if settings.weights in ("imagenet", "auto", "none"):
        known = settings.model in backbone_names()
        local = settings.weights == "auto" and known and has_local_imagenet(settings.model)
        imagenet = settings.weights == "imagenet" or local
        return JointClassifier(settings.model, classes, spec, imagenet), "imagenet" if imagenet else "none"
    path = Path(settings.weights)
    if not path.exists():
        raise UsageError(
            f"--weights {path} is not there", hint="give imagenet, none, auto, a file or a run's folder"
        )
    model = JointClassifier(settings.model, classes, spec)
    load_weights(model, path)
    return model, path.name


def _fit(
    settings: TrainSettings,
    dataset: FolderDataset,
    images: dict[str, list[Image]],
    model: JointClassifier,
    spec: PreprocessSpec,
    work: Path,
) -> tuple[JointTraining, lightning.Trainer]:
    """Run Lightning's loop; the module returned holds the best epoch's weights."""
    module = JointTraining(
        model,
        LOSSES.get(settings.loss.name)(**settings.loss.settings),
        good_index=dataset.classes.index(dataset.good_class),
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
    )
    checkpoint = ModelCheckpoint(work, "best", monitor="val_rank", mode="max", save_last=True)
    callbacks = [
        EpochTable(work / "metrics.csv"),
        EarlyStopping("val_rank", mode="max", patience=settings.patience),
        checkpoint,
        *([TQDMProgressBar()] if settings.progress else []),
    ]
    trainer = lightning.Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices if settings.devices == "auto" else int(settings.devices),
        num_nodes=settings.nodes,
        strategy=settings.strategy,
        precision="16-mixed" if _on_gpu(settings) else "32-true",
        max_epochs=settings.epochs,
        callbacks=callbacks,
        deterministic=True,
        logger=False,
        enable_progress_bar=settings.progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(
        module,
        _loader(settings, dataset, images, spec, "train"),
        _loader(settings, dataset, images, spec, "validation"),
        ckpt_path=work / LAST_CHECKPOINT if settings.resume else None,
        weights_only=True,
    )
    if trainer.interrupted:
        raise TrainingInterruptedError(
            "training was interrupted", hint="continue with --resume and the same options"
        )
    best = torch.load(checkpoint.best_model_path, map_location="cpu", weights_only=True)
    module.load_state_dict(best["state_dict"])
    module.model.cpu()
    return module, trainer


def _on_gpu(settings: TrainSettings) -> bool:
    return settings.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()


def _loader(
    settings: TrainSettings,
    dataset: FolderDataset,
    images: dict[str, list[Image]],
    spec: PreprocessSpec,
    split: str,
) -> DataLoader[tuple[torch.Tensor, int]]:
    training = split == "train"
    crops = JointCrops(images[split], dataset.labels(split), spec, TRAINING_JITTER if training else None)
    return DataLoader(
        crops,
        batch_size=settings.batch_size,
        shuffle=training,
        # A last batch of one crop has no variance for batch normalisation.
        drop_last=training and len(crops) > settings.batch_size,
        num_workers=settings.workers,
        persistent_workers=settings.workers > 0,
    )


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
        architecture=settings.model,
        classes=dataset.classes,
        good_class=dataset.good_class,
        preprocess=spec,
        loss=settings.loss,
        seed=settings.seed,
        weights=weights,
        dataset_sha256=dataset.sha256(),
        thresholds=thresholds,
        metrics={split: summary(*scored, thresholds) for split, scored in held_out.items()},
        versions={package: version(package) for package in RECORDED_PACKAGES},
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )

"""The card of a finished training: what it was, the limits that it chose, and its figures."""

from datetime import UTC, datetime
from importlib.metadata import version

from sji_edge.core.card import ModelCard, PreprocessSpec
from sji_edge.data.folder import FolderDataset
from sji_edge.metrics.review_budget import ChosenLimits
from sji_edge.metrics.summary import ScoredSplit, summary
from sji_edge.training.resume import Started
from sji_edge.training.settings import TrainSettings

RECORDED_PACKAGES = ("sji-edge", "torch", "torchvision", "lightning", "numpy", "opencv-python")


def card_of_training(
    settings: TrainSettings,
    dataset: FolderDataset,
    limits: ChosenLimits,
    held_out: dict[str, ScoredSplit],
    spec: PreprocessSpec,
    *,
    name: str,
    started: Started,
) -> ModelCard:
    """Measure every held-out split with the chosen limits, and write it all down."""
    return ModelCard(
        name=name,
        architecture=settings.architecture,
        classes=dataset.classes,
        good_class=dataset.good_class,
        preprocess=spec,
        loss=settings.loss,
        training=_not_default(settings),
        seed=settings.seed,
        weights=started.weights,
        teachers=started.teachers,
        dataset_sha256=started.dataset_sha256,
        thresholds=limits.thresholds,
        review_budget=limits.budget,
        metrics={split: summary(scored, limits.thresholds) for split, scored in held_out.items()},
        versions={package: version(package) for package in RECORDED_PACKAGES},
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _not_default(settings: TrainSettings) -> dict[str, str]:
    """Return the settings that affect the result and have no separate field in the card."""
    options = {"class_weights": settings.class_weights, "sampler": settings.sampler, "views": settings.views}
    depth = {} if settings.bit_depth is None else {"bit_depth": str(settings.bit_depth)}
    taught = ("teacher_views", "temperature", "teacher_share") if settings.teachers else ()
    lessons = {name: str(getattr(settings, name)) for name in taught}
    return {name: value for name, value in options.items() if value != "none"} | depth | lessons

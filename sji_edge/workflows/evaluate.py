"""How ``evaluate`` puts the floor below together: crops, logits, limits, figures, pictures, the page."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import ModelCard
from sji_edge.core.clock import SystemClock
from sji_edge.core.errors import DataError, UsageError
from sji_edge.core.files import new_folder, write_atomic, write_json
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.preprocess import Image
from sji_edge.core.registry import nearest
from sji_edge.core.verdict import Thresholds, defect_scores
from sji_edge.data.folder import SPLIT_FOLDERS, FolderDataset, crops_of
from sji_edge.data.groups import NO_GROUP, groups_of
from sji_edge.evaluation.gallery import Look, show, worst_defects, worst_goods
from sji_edge.evaluation.judged import Judged, judge
from sji_edge.evaluation.operating_point import OperatingPoint, solve_operating_point
from sji_edge.evaluation.page import Page, write_page
from sji_edge.evaluation.plots import curve_plot, png, reliability_plot, scores_plot, stress_plot
from sji_edge.evaluation.report import Answers, Evaluation, evaluate
from sji_edge.evaluation.stress import StressPoint, stress
from sji_edge.parity.run import predict
from sji_edge.workflows.compare.subjects import CARD_FILE, OpenSide, open_side

NO_MAPS = "none"
Step = Callable[[str], None]


class EvaluationSettings(FrozenModel):
    """Every option of ``evaluate``."""

    subject: Path
    data: Path
    split: str
    max_escape: float | None
    attention: str
    explain: Path | None
    stress: bool
    against: tuple[Path, ...]
    shown: int
    threads: int
    replicates: int
    output: Path


class Document(FrozenModel):
    """``report.json``."""

    facts: dict[str, str]
    evaluation: Evaluation
    operating_point: OperatingPoint | None
    stress: dict[str, tuple[StressPoint, ...]]


@dataclass(frozen=True)
class _Split:
    """One split as one model sees it."""

    dataset: FolderDataset
    images: list[Image]
    crops: NDArray[np.uint8]
    labels: NDArray[np.int64]
    files: tuple[str, ...]
    answers: Answers


@dataclass(frozen=True)
class _Gallery:
    """How the worst joints are shown, and what is said of the maps beside them."""

    look: Look | None
    note: str
    shown: int


def run_evaluation(settings: EvaluationSettings, step: Step) -> Document:
    """Evaluate, and write ``report.html`` and ``report.json`` into a new folder.

    Raises:
        UsageError: an unknown split, or a subject that is no run, graph or engine.
        DataError: the split cannot be read, or ``max_escape`` without a validation split that holds both kinds.
        OutputError: the folder exists.
    """
    if settings.split not in SPLIT_FOLDERS:
        raise UsageError(
            f"unknown split {settings.split!r}", hint=nearest(settings.split, list(SPLIT_FOLDERS))
        )
    with new_folder(settings.output) as folder, ExitStack() as stack:
        step("judging")
        side = stack.enter_context(open_side(settings.subject, settings.threads))
        split, validation = _judged_split(side, settings, settings.split), _validation(side, settings)
        point = _operating_point(side, validation, settings.max_escape)
        thresholds = side.thresholds if point is None else point.thresholds
        evaluation = evaluate(
            split.answers,
            classes=side.card.classes,
            good_index=side.card.good_index,
            thresholds=thresholds,
            validation=None if validation is None else validation.answers,
            replicates=settings.replicates,
        )
        look, note = _look(settings)
        points = {side.name: _stressed(side, split, thresholds, look, step)} if settings.stress else {}
        if settings.stress:
            points |= _rivals(settings, step)
        facts = _facts(side, settings, split)
        document = Document(facts=facts, evaluation=evaluation, operating_point=point, stress=points)
        step("drawing")
        _write(folder, document, side, split, _Gallery(look, note, settings.shown))
    return document


def set_thresholds(run: Path, thresholds: Thresholds) -> None:
    """Make these limits a run's own. Its exported graph carries the old ones until it is exported again."""
    path = run / CARD_FILE
    card = ModelCard.parse(path.read_text(), path)
    write_atomic(path, card.model_copy(update={"thresholds": thresholds}).model_dump_json(indent=2) + "\n")


def _judged_split(side: OpenSide, settings: EvaluationSettings, name: str) -> _Split:
    card = side.card
    dataset = FolderDataset.open_split(settings.data, name, card.classes, card.good_class)
    images = dataset.read(name, colour=card.preprocess.channels == 3)
    crops, labels = crops_of(images, card.preprocess), dataset.labels(name)
    groups = groups_of(settings.data, dataset.split(name))
    known: NDArray[Any] | None = None if NO_GROUP in groups else np.array(groups)
    files = tuple(str(sample.path.relative_to(settings.data)) for sample in dataset.split(name))
    return _Split(dataset, images, crops, labels, files, Answers(predict(side.engine, crops), labels, known))


def _validation(side: OpenSide, settings: EvaluationSettings) -> _Split | None:
    """Return the validation split, which temperature and limits are chosen on, or None where there is none."""
    there = any((settings.data / name).is_dir() for name in SPLIT_FOLDERS["validation"])
    return _judged_split(side, settings, "validation") if there else None


def _operating_point(
    side: OpenSide, validation: _Split | None, max_escape: float | None
) -> OperatingPoint | None:
    if max_escape is None:
        return None
    if validation is None:
        raise DataError(
            "--max-escape chooses the limits on a validation split, and there is none",
            hint="add it, or leave the option out",
        )
    good = side.card.good_index
    scores = defect_scores(validation.answers.logits, good)
    return solve_operating_point(scores, validation.labels != good, max_escape)


def _look(settings: EvaluationSettings) -> tuple[Look | None, str]:
    """Return what makes activation maps, or None, and a sentence on it for the page."""
    run = settings.explain or settings.subject
    if settings.attention == NO_MAPS:
        return None, ""
    if not (run / CARD_FILE).is_file():
        return None, "No activation maps: an engine has no gradients; name its run with --explain."
    from sji_edge.evaluation.explain import activation_maps
    from sji_edge.models.checkpoint import load_run

    model, card = load_run(run)

    def look(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return activation_maps(model, card.architecture, card.good_index, crops, settings.attention)

    try:
        look(np.zeros((1, *card.preprocess.shape), np.uint8))
    except UsageError as error:
        return None, f"No activation maps: {error.message}."
    kind = "Grad-CAM of the score" if settings.attention == "grad" else "Eigen-CAM"
    return look, f"Beside each crop {kind}: bright is where the evidence lies."


def _stressed(
    side: OpenSide,
    split: _Split,
    thresholds: Thresholds,
    look: Look | None,
    step: Step,
) -> tuple[StressPoint, ...]:
    good = side.card.good_index
    return tuple(
        stress(
            split.images,
            split.labels != good,
            side.card.preprocess,
            lambda crops: predict(side.engine, crops),
            good_index=good,
            thresholds=thresholds,
            look=look,
            step=lambda what: step(f"{side.name}: {what}"),
        )
    )


def _rivals(settings: EvaluationSettings, step: Step) -> dict[str, tuple[StressPoint, ...]]:
    points = {}
    for rival in settings.against:
        own = settings.model_copy(update={"subject": rival, "explain": None})
        with open_side(rival, settings.threads) as side:
            split = _judged_split(side, own, settings.split)
            points[side.name] = _stressed(side, split, side.thresholds, _look(own)[0], step)
    return points


def _facts(side: OpenSide, settings: EvaluationSettings, split: _Split) -> dict[str, str]:
    limits = side.thresholds
    return {
        "model": f"{side.name} ({side.kind}, {side.engine.spec.backend} {side.engine.spec.precision})",
        "sha256": side.sha256,
        "training": f"{side.card.architecture}, {side.card.loss.name} {side.card.loss.settings}, seed {side.card.seed}",
        "split": f"{settings.data} {settings.split}: {len(split.labels)} joints, sha256 {split.dataset.sha256()}",
        "deployed limits": f"PASS below {limits.lower:.4f}, FAIL from {limits.upper:.4f}",
        "evaluated": SystemClock().utc(),
    }


def _plots(document: Document, judged: Judged) -> dict[str, bytes]:
    evaluation = document.evaluation
    pictures = {
        "Scores": png(scores_plot(judged, evaluation)),
        "Escapes and false calls over the limit": png(curve_plot(evaluation)),
        "Reliability": png(reliability_plot(judged, evaluation.temperature is not None)),
    }
    if document.stress:
        pictures["Stress: the limits as they are, pictures that get worse"] = png(
            stress_plot(document.stress)
        )
    return pictures


def _write(
    folder: Path,
    document: Document,
    side: OpenSide,
    split: _Split,
    gallery: _Gallery,
) -> None:
    evaluation, good = document.evaluation, side.card.good_index
    limits = evaluation.thresholds
    judged = judge(
        split.answers.logits,
        split.labels,
        good,
        limit=limits.upper,
        temperature=evaluation.temperature or 1.0,
    )

    def tiles(chosen: NDArray[np.int64]) -> Sequence[Any]:
        return show(
            chosen,
            split.crops,
            judged.scores,
            files=split.files,
            labels=[side.card.classes[label] for label in split.labels.tolist()],
            is_defect=judged.is_defect,
            thresholds=limits,
            look=gallery.look,
        )

    point = document.operating_point
    page = Page(
        title=f"{side.name} on {next(iter(split.dataset.splits))}",
        facts=document.facts,
        words=() if point is None else point.words,
        evaluation=evaluation,
        pictures=_plots(document, judged),
        escapes=tiles(worst_defects(judged.scores, judged.is_defect, gallery.shown)),
        false_calls=tiles(worst_goods(judged.scores, judged.is_defect, gallery.shown)),
        attention=gallery.note,
    )
    write_page(folder / "report.html", page)
    write_json(folder / "report.json", document.model_dump(mode="json"))

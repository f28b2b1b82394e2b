"""Measures a run, an exported graph or an engine on labelled joints, and writes the report."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from sji_edge.core import run_files
from sji_edge.core.card import ModelCard
from sji_edge.core.clock import SystemClock
from sji_edge.core.errors import DataError, UsageError
from sji_edge.core.extras import require
from sji_edge.core.files import (
    StrPath,
    check_writable_file,
    fresh_name,
    new_folder,
    output_errors,
    write_atomic,
)
from sji_edge.core.findings import parse_settings
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.text import readable
from sji_edge.core.verdict import Thresholds, defect_scores
from sji_edge.data.folder import check_split_name
from sji_edge.evaluation.gallery import Look
from sji_edge.evaluation.operating_point import OperatingPoint, solve_operating_point
from sji_edge.evaluation.report import Answers, Evaluation, measure
from sji_edge.evaluation.split import LabelledSplit, has_split, read_split
from sji_edge.evaluation.stress import StressPoint, stress_points
from sji_edge.parity.run import predict
from sji_edge.workflows.artifacts import newest_run
from sji_edge.workflows.compare.subjects import OpenSide, open_side

if TYPE_CHECKING:
    from sji_edge.evaluation.document import EvaluationDocument

REPORTS = Path("reports")
PAGE = "report.html"
NO_MAPS_OF_ENGINES = (
    "No activation maps: they need the gradients of the trained run, and this is an engine or a graph. "
    "Name its run to add them."
)

Step = Callable[[str], None]


class EvaluationSettings(FrozenModel):
    """What to evaluate, on what, and what the report shows; see ``evaluate``."""

    subject: Path
    data: Path
    split: str
    bit_depth: int | None = Field(ge=9, le=16)
    max_escape: float | None = Field(ge=0.0, lt=1.0)
    apply: bool
    attention: Literal["grad", "eigen", "none"]
    explain: Path | None
    stress: bool
    against: tuple[Path, ...]
    shown: int = Field(ge=0)
    threads: int = Field(ge=0)
    replicates: int = Field(ge=100)
    output: Path


@dataclass(frozen=True)
class EvaluationResult:
    """What ``evaluate`` found and wrote.

    Attributes:
        folder: the new folder with ``report.html`` and ``report.json``.
        document: the content of ``report.json``.
        applied_to: the run whose thresholds were replaced; None where none was.
    """

    folder: Path
    document: "EvaluationDocument"
    applied_to: Path | None = None

    @property
    def page(self) -> Path:
        """The report as one HTML file that needs no network."""
        return self.folder / PAGE

    @property
    def evaluation(self) -> Evaluation:
        """Every figure with its interval."""
        return self.document.evaluation


@dataclass(frozen=True)
class _Judged:
    """One split, with a model's answers."""

    split: LabelledSplit
    answers: Answers


@dataclass(frozen=True)
class _Attention:
    """How activation maps are made, or None, and what the page says about them."""

    look: Look | None
    note: str


def evaluate(
    data: StrPath,
    subject: StrPath | None = None,
    *,
    runs: StrPath = "runs",
    split: str = "test",
    bit_depth: int | None = None,
    max_escape: float | None = None,
    apply: bool = False,
    attention: str = "grad",
    explain: StrPath | None = None,
    stress: bool = False,
    against: Iterable[StrPath] = (),
    shown: int = 12,
    threads: int = 0,
    replicates: int = 1000,
    output: StrPath | None = None,
    progress: Step | None = None,
) -> EvaluationResult:
    """Measure a model on a labelled split, and write ``report.html`` and ``report.json`` into a new folder.

    Rates have exact 95 % intervals, other figures bootstrap ones. The limits are those that the model is deployed
    with, or are chosen on the validation split for ``max_escape``.

    Args:
        data: dataset folder ``DATA/SPLIT/CLASS/IMAGE``.
        subject: a run, a ``model.onnx`` or an engine bundle; None: the newest run in ``runs``.
        runs: folder of all runs.
        split: ``train``, ``validation`` or ``test``.
        bit_depth: bits that the samples of 16-bit images use, 9 to 16; None where nobody declared it.
        max_escape: largest share of the validation defects that may pass, from 0 to below 1; None keeps the
            current limits.
        apply: write the chosen limits into the run's card. Its exported graph keeps the old ones until the run is
            exported again.
        attention: ``grad`` (Grad-CAM), ``eigen`` (Eigen-CAM) or ``none``.
        explain: the run that makes the activation maps where ``subject`` is an engine or a graph.
        stress: also judge every joint with added noise, blur, dimming, shift and rotation.
        against: further models for the stress plot.
        shown: joints in each gallery.
        threads: CPU threads; 0 lets the backend choose.
        replicates: bootstrap resamples, at least 100.
        output: the new folder; None: ``reports/SUBJECT-SPLIT``.
        progress: called with a short text at each step.

    Raises:
        UsageError: a setting is wrong, or a subject is neither run, graph nor engine.
        DataError: a split cannot be read, or there is no validation split to choose limits on.
        OutputError: the output folder exists, or it or the run's card cannot be written; raised before anything is
            judged.
        MissingExtraError: the packages for reports are not installed.
    """
    require("matplotlib", "jinja2", purpose="an evaluation report")
    chosen = newest_run(Path(runs)) if subject is None else Path(subject)
    settings = parse_settings(
        EvaluationSettings,
        {
            "subject": chosen,
            "data": data,
            "split": split,
            "bit_depth": bit_depth,
            "max_escape": max_escape,
            "apply": apply,
            "attention": attention,
            "explain": explain,
            "stress": stress,
            "against": tuple(Path(other) for other in against),
            "shown": shown,
            "threads": threads,
            "replicates": replicates,
            "output": output or REPORTS / fresh_name(REPORTS, f"{chosen.resolve().name}-{split}"),
        },
    )
    _check(settings)
    document = _run(settings, progress or (lambda _step: None))
    applied = None
    if settings.apply and document.operating_point is not None:
        _set_thresholds(chosen, document.operating_point.thresholds)
        applied = chosen
    return EvaluationResult(settings.output, document, applied)


def _check(settings: EvaluationSettings) -> None:
    """Refuse contradictory settings before any work."""
    check_split_name(settings.split)
    if settings.against and not settings.stress:
        raise UsageError(
            "models can only be compared under the stress test",
            hint="switch on the stress test, or use sji-edge parity",
        )
    models = [path.resolve() for path in (settings.subject, *settings.against)]
    twice = next((path for path in models if models.count(path) > 1), None)
    if twice is not None:
        raise UsageError(f"{twice} is listed more than once", hint="name each model once")
    if settings.apply and settings.max_escape is None:
        raise UsageError(
            "no limits can be applied, because no target escape rate is given",
            hint="add an escape rate such as 0.5%",
        )
    for path, why in (
        (settings.subject if settings.apply else None, "only a run's limits can be changed"),
        (settings.explain, "activation maps need a trained run"),
    ):
        if path is not None and not (path / run_files.CARD).is_file():
            raise UsageError(f"{path} is not a run (no {run_files.CARD}): {why}", hint="name its run")
    if settings.apply:
        check_writable_file(settings.subject / run_files.CARD)


def _run(settings: EvaluationSettings, step: Step) -> "EvaluationDocument":
    from sji_edge.evaluation.document import EvaluationDocument, write_report

    with new_folder(settings.output) as folder, ExitStack() as stack:
        step("judging")
        side = stack.enter_context(open_side(settings.subject, settings.threads))
        judged, validation = _judged(side, settings, settings.split), _validation(side, settings)
        point = _operating_point(side, validation, settings.max_escape)
        thresholds = side.thresholds if point is None else point.thresholds
        step("computing intervals")
        evaluation = measure(
            judged.answers,
            classes=side.card.classes,
            good_index=side.card.good_index,
            thresholds=thresholds,
            validation=None if validation is None else validation.answers,
            replicates=settings.replicates,
        )
        attention = _attention(side, settings.explain or settings.subject, settings.attention)
        points = {}
        if settings.stress:
            points[side.name] = _stressed(side, judged.split, thresholds, attention.look, step)
            points |= _stressed_others(settings, side.name, step)
        document = EvaluationDocument(
            facts=_facts(side, settings, judged.split),
            evaluation=evaluation,
            operating_point=point,
            stress=points,
        )
        step("drawing")
        with output_errors(settings.output):
            write_report(
                folder,
                document,
                model=side.name,
                card=side.card,
                split=judged.split,
                answers=judged.answers,
                look=attention.look,
                note=attention.note,
                shown=settings.shown,
            )
    return document


def _set_thresholds(run: Path, thresholds: Thresholds) -> None:
    path = run / run_files.CARD
    card = ModelCard.read(path)
    with output_errors(path):
        write_atomic(
            path, card.model_copy(update={"thresholds": thresholds}).model_dump_json(indent=2) + "\n"
        )


def _judged(side: OpenSide, settings: EvaluationSettings, name: str) -> _Judged:
    split = read_split(settings.data, name, side.card, settings.bit_depth)
    output = predict(side.engine, split.crops)
    return _Judged(split, Answers(output.logits, split.labels, split.groups, output.novelty))


def _validation(side: OpenSide, settings: EvaluationSettings) -> _Judged | None:
    """Return the validation split, which temperature and limits are chosen on; None if there is none."""
    return _judged(side, settings, "validation") if has_split(settings.data, "validation") else None


def _operating_point(
    side: OpenSide, validation: _Judged | None, max_escape: float | None
) -> OperatingPoint | None:
    if max_escape is None:
        return None
    if validation is None:
        raise DataError(
            "limits for an escape rate are chosen on a validation split, but the dataset has none",
            hint="add a validation folder to the dataset, or keep the limits by giving no escape rate",
        )
    good = side.card.good_index
    scores = defect_scores(validation.answers.logits, good)
    return solve_operating_point(scores, validation.answers.labels != good, max_escape)


def _attention(side: OpenSide, run: Path, kind: str) -> _Attention:
    if kind == "none":
        return _Attention(None, "")
    if not (run / run_files.CARD).is_file():
        return _Attention(None, NO_MAPS_OF_ENGINES)
    from sji_edge.evaluation.explain import maps_of_run

    try:
        return _Attention(*maps_of_run(run, side.card, kind))
    except UsageError as error:
        if run != side.path:
            raise
        return _Attention(None, f"No activation maps: {error.message}.")


def _stressed(
    side: OpenSide, split: LabelledSplit, thresholds: Thresholds, look: Look | None, step: Step
) -> tuple[StressPoint, ...]:
    good = side.card.good_index
    return tuple(
        stress_points(
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


def _stressed_others(
    settings: EvaluationSettings, first: str, step: Step
) -> dict[str, tuple[StressPoint, ...]]:
    points: dict[str, tuple[StressPoint, ...]] = {}
    for path in settings.against:
        with open_side(path, settings.threads) as side:
            split = read_split(settings.data, settings.split, side.card, settings.bit_depth)
            look = _attention(side, path, settings.attention).look
            # Two models may have the same name; a path is unique.
            name = f"{side.name} ({path})" if side.name in (first, *points) else side.name
            points[name] = _stressed(side, split, side.thresholds, look, step)
    return points


def _facts(side: OpenSide, settings: EvaluationSettings, split: LabelledSplit) -> dict[str, str]:
    limits = side.thresholds
    facts = {
        "model": f"{side.name} ({side.kind}, {side.engine.spec.backend} {side.engine.spec.precision})",
        "sha256": side.sha256,
        "training": f"{side.card.architecture}, {side.card.loss.name} {side.card.loss.settings}, seed {side.card.seed}",
        "split": f"{readable(str(settings.data))} {settings.split}: {len(split.labels)} joints, "
        f"sha256 {split.sha256}",
        "deployed limits": f"PASS below {limits.lower:.4f}, FAIL from {limits.upper:.4f}",
        "evaluated": SystemClock().utc(),
    }
    return facts | ({"left out": split.left_out.removeprefix("left out: ")} if split.left_out else {})

"""Measures a run, an exported graph or an engine on labelled joints, and writes the report."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sji_edge.core import run_files
from sji_edge.core.card import ModelCard
from sji_edge.core.clock import SystemClock
from sji_edge.core.extras import require
from sji_edge.core.files import StrPath, fresh_name, new_folder, output_errors, write_atomic
from sji_edge.core.findings import parse_settings
from sji_edge.core.text import readable
from sji_edge.evaluation.operating_point import OperatingPoint
from sji_edge.evaluation.report import Evaluation, measure
from sji_edge.evaluation.split import LabelledSplit
from sji_edge.workflows.artifacts import newest_run
from sji_edge.workflows.compare.subjects import OpenSide, open_side
from sji_edge.workflows.evaluate.judged import (
    attention_of,
    judged_split,
    judged_validation,
    operating_point_of,
)
from sji_edge.workflows.evaluate.settings import EvaluationSettings, check
from sji_edge.workflows.evaluate.stressed import stressed, stressed_others
from sji_edge.workflows.evaluate.unknown import judge_unknowns

if TYPE_CHECKING:
    from sji_edge.evaluation.document import EvaluationDocument

REPORTS = Path("reports")
PAGE = "report.html"

Step = Callable[[str], None]


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


def evaluate(
    data: StrPath,
    subject: StrPath | None = None,
    *,
    runs: StrPath = "runs",
    split: str = "test",
    bit_depth: int | None = None,
    max_escape: float | None = None,
    review_budget: float | None = None,
    apply: bool = False,
    attention: str = "grad",
    explain: StrPath | None = None,
    stress: bool = False,
    unknown: bool = False,
    frames: StrPath | None = None,
    recipe: StrPath | None = None,
    seed: int = 0,
    against: Iterable[StrPath] = (),
    shown: int = 12,
    threads: int = 0,
    replicates: int = 1000,
    output: StrPath | None = None,
    progress: Step | None = None,
) -> EvaluationResult:
    """Measure a model on a labelled split, and write ``report.html`` and ``report.json`` into a new folder.

    Rates have exact 95 % intervals, other figures bootstrap ones. The limits are those that the model is deployed
    with, or are chosen on the validation split for ``max_escape`` or ``review_budget``.

    Args:
        data: dataset folder ``DATA/SPLIT/CLASS/IMAGE``.
        subject: a run, a ``model.onnx`` or an engine bundle; None: the newest run in ``runs``.
        runs: folder of all runs.
        split: ``train``, ``validation`` or ``test``.
        bit_depth: bits that the samples of 16-bit images use, 9 to 16; None where nobody declared it.
        max_escape: largest share of the validation defects that may pass, from 0 to below 1; None keeps the
            current limits. The guard's limit stays as it is.
        review_budget: share of the good joints that may be kept from PASS, above 0 and at most 0.5, divided between the
            score and the guard; not together with ``max_escape``.
        apply: write the chosen limits into the run's card. Its exported graph keeps the old ones until the run is
            exported again.
        attention: ``grad`` (Grad-CAM), ``eigen`` (Eigen-CAM) or ``none``.
        explain: the run that makes the activation maps where ``subject`` is an engine or a graph.
        stress: also judge every joint with added noise, blur, dimming, shift and rotation.
        unknown: also judge pictures that are like nothing learned, made from the good joints of the split: moved, half
            missing, covered, with a wire, and so on; see ``document.unknown``.
        frames: folder of board images, with a ``truth.csv`` or showing good joints only; joints of these are changed
            as well, and whole frames are judged as ``infer`` judges them. Needs ``unknown`` and ``recipe``.
        recipe: recipe folder of the board in ``frames``.
        seed: of the unknown pictures.
        against: further models for the stress plot.
        shown: joints in each gallery.
        threads: CPU threads; 0 lets the backend choose.
        replicates: bootstrap resamples, at least 100.
        output: the new folder; None: ``reports/SUBJECT-SPLIT``.
        progress: called with a short text at each step.

    Raises:
        UsageError: a setting is wrong, or a subject is neither run, graph nor engine.
        DataError: a split cannot be read, there is no validation split to choose limits on, or no frame shows a good
            joint of the recipe.
        RecipeError: the recipe cannot be used.
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
            "review_budget": review_budget,
            "apply": apply,
            "attention": attention,
            "explain": explain,
            "stress": stress,
            "unknown": unknown,
            "frames": frames,
            "recipe": recipe,
            "seed": seed,
            "against": tuple(Path(other) for other in against),
            "shown": shown,
            "threads": threads,
            "replicates": replicates,
            "output": output or REPORTS / fresh_name(REPORTS, f"{chosen.resolve().name}-{split}"),
        },
    )
    check(settings)
    document = _run(settings, progress or (lambda _step: None))
    applied = None
    if settings.apply and document.operating_point is not None:
        _set_limits(chosen, document.operating_point)
        applied = chosen
    return EvaluationResult(settings.output, document, applied)


def _run(settings: EvaluationSettings, step: Step) -> "EvaluationDocument":
    from sji_edge.evaluation.document import EvaluationDocument, write_report

    with new_folder(settings.output) as folder, ExitStack() as stack:
        step("judging")
        side = stack.enter_context(open_side(settings.subject, settings.threads))
        judged, validation = judged_split(side, settings, settings.split), judged_validation(side, settings)
        point = operating_point_of(side, validation, settings, step)
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
        attention = attention_of(side, settings.explain or settings.subject, settings.attention)
        points = {}
        if settings.stress:
            points[side.name] = stressed(side, judged.split, thresholds, attention.look, step)
            points |= stressed_others(settings, side.name, step)
        unknowns = None
        if settings.unknown:
            unknowns = judge_unknowns(side, settings, judged.split, thresholds, step)
        document = EvaluationDocument(
            facts=_facts(side, settings, judged.split),
            evaluation=evaluation,
            operating_point=point,
            stress=points,
            unknown=None if unknowns is None else unknowns.report,
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
                unknown_sheets=() if unknowns is None else unknowns.sheets,
            )
    return document


def _set_limits(run: Path, point: OperatingPoint) -> None:
    path = run / run_files.CARD
    limits = {"thresholds": point.thresholds, "review_budget": point.review_budget}
    card = ModelCard.read(path).model_copy(update=limits)
    with output_errors(path):
        write_atomic(path, card.model_dump_json(indent=2) + "\n")


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

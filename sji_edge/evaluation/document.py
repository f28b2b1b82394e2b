"""The evaluation report on disk: ``report.json`` and the page ``report.html``."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import ModelCard
from sji_edge.core.files import write_json
from sji_edge.core.frozen import FrozenModel
from sji_edge.evaluation.gallery import Look, Shown, show, worst_defects, worst_goods
from sji_edge.evaluation.judged import judge
from sji_edge.evaluation.operating_point import OperatingPoint
from sji_edge.evaluation.page import Page, write_page
from sji_edge.evaluation.plots import report_pictures
from sji_edge.evaluation.report import Answers, Evaluation, verdicts
from sji_edge.evaluation.split import LabelledSplit
from sji_edge.evaluation.stress import StressPoint
from sji_edge.evaluation.unknown.counts import UnknownReport

PAGE = "report.html"
FIGURES = "report.json"


class EvaluationDocument(FrozenModel):
    """The content of ``report.json``.

    Attributes:
        facts: what was evaluated, on which data and when, as text.
        evaluation: every figure with its interval, the class table and the curve.
        operating_point: the limits chosen for the target escape rate; None if no target was given.
        stress: for each model, by name, one point for each disturbance and strength; the first is the clean one.
        unknown: how often pictures that are like nothing learned were given PASS; None if they were not judged.
    """

    facts: dict[str, str]
    evaluation: Evaluation
    operating_point: OperatingPoint | None
    stress: dict[str, tuple[StressPoint, ...]]
    unknown: UnknownReport | None = None


def write_report(
    folder: Path,
    document: EvaluationDocument,
    *,
    model: str,
    card: ModelCard,
    split: LabelledSplit,
    answers: Answers,
    look: Look | None,
    note: str,
    shown: int,
    unknown_sheets: Sequence[bytes] = (),
) -> None:
    """Write both files.

    Args:
        folder: an existing folder.
        document: what was found.
        model: the model's name, for the title.
        card: its classes.
        split: the joints that were judged.
        answers: the model's, of these joints.
        look: turns crops into activation maps, or None.
        note: what the page says about the maps.
        shown: joints in each gallery.
        unknown_sheets: one picture (PNG) for each row of ``document.unknown``; empty without one.
    """
    evaluation = document.evaluation
    limits = evaluation.thresholds
    judged = judge(
        answers.logits,
        split.labels,
        card.good_index,
        limit=limits.upper,
        temperature=evaluation.temperature or 1.0,
    )

    codes = verdicts(judged.scores, limits, answers.novelty)

    def tiles(chosen: NDArray[np.int64]) -> Sequence[Shown]:
        return show(
            chosen,
            split.crops,
            judged.scores,
            files=split.files,
            labels=[card.classes[label] for label in split.labels.tolist()],
            is_defect=judged.is_defect,
            codes=codes,
            look=look,
        )

    page = Page(
        title=f"{model} on {split.name}",
        facts=document.facts,
        words=() if document.operating_point is None else document.operating_point.words,
        evaluation=evaluation,
        pictures=report_pictures(judged, evaluation, document.stress),
        escapes=tiles(worst_defects(judged.scores, judged.is_defect, shown)),
        false_calls=tiles(worst_goods(judged.scores, judged.is_defect, shown)),
        attention=note,
        unknown=document.unknown,
        unknown_sheets=unknown_sheets,
    )
    write_page(folder / PAGE, page)
    write_json(folder / FIGURES, document.model_dump(mode="json"))

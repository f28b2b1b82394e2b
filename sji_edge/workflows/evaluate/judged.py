"""A model's answers on the splits of a dataset, and what makes its activation maps."""

from dataclasses import dataclass
from pathlib import Path

from sji_edge.core import run_files
from sji_edge.core.errors import DataError, UsageError
from sji_edge.core.verdict import defect_scores
from sji_edge.evaluation.gallery import Look
from sji_edge.evaluation.operating_point import OperatingPoint, solve_operating_point
from sji_edge.evaluation.report import Answers
from sji_edge.evaluation.split import LabelledSplit, has_split, read_split
from sji_edge.parity.run import predict
from sji_edge.workflows.compare.subjects import OpenSide
from sji_edge.workflows.evaluate.settings import EvaluationSettings

NO_MAPS_OF_ENGINES = (
    "No activation maps: they need the gradients of the trained run, and this is an engine or a graph. "
    "Name its run to add them."
)


@dataclass(frozen=True)
class Judged:
    """One split, with a model's answers."""

    split: LabelledSplit
    answers: Answers


@dataclass(frozen=True)
class Attention:
    """How activation maps are made, or None, and what the page says about them."""

    look: Look | None
    note: str


def judged_split(side: OpenSide, settings: EvaluationSettings, name: str) -> Judged:
    """Read a split, and judge it with the model."""
    split = read_split(settings.data, name, side.card, settings.bit_depth)
    output = predict(side.engine, split.crops)
    return Judged(split, Answers(output.logits, split.labels, split.groups, output.novelty))


def judged_validation(side: OpenSide, settings: EvaluationSettings) -> Judged | None:
    """Return the validation split, which temperature and limits are chosen on; None if there is none."""
    return judged_split(side, settings, "validation") if has_split(settings.data, "validation") else None


def operating_point_of(
    side: OpenSide, validation: Judged | None, max_escape: float | None
) -> OperatingPoint | None:
    """Choose limits on the validation split for an escape rate; None where no rate is given.

    Raises:
        DataError: there is no validation split.
    """
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


def attention_of(side: OpenSide, run: Path, kind: str) -> Attention:
    """Return how the activation maps of a model are made, or why there are none."""
    if kind == "none":
        return Attention(None, "")
    if not (run / run_files.CARD).is_file():
        return Attention(None, NO_MAPS_OF_ENGINES)
    from sji_edge.evaluation.explain import maps_of_run

    try:
        return Attention(*maps_of_run(run, side.card, kind))
    except UsageError as error:
        if run != side.path:
            raise
        return Attention(None, f"No activation maps: {error.message}.")

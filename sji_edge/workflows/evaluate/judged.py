"""A model's answers on the splits of a dataset, and what makes its activation maps."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sji_edge.core import run_files
from sji_edge.core.errors import DataError, UsageError
from sji_edge.core.verdict import defect_scores
from sji_edge.data.views import novelties_of, validation_views
from sji_edge.evaluation.gallery import Look
from sji_edge.evaluation.operating_point import OperatingPoint, budget_point, solve_operating_point
from sji_edge.evaluation.report import Answers
from sji_edge.evaluation.split import LabelledSplit, has_split, read_split
from sji_edge.metrics.review_budget import choose_for
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
    side: OpenSide, validation: Judged | None, settings: EvaluationSettings, step: Callable[[str], None]
) -> OperatingPoint | None:
    """Choose limits on the validation split for an escape rate or a review budget; None where neither is given.

    Raises:
        DataError: there is no validation split.
    """
    if settings.max_escape is None and settings.review_budget is None:
        return None
    if validation is None:
        raise DataError(
            "limits are chosen on a validation split, but the dataset has none",
            hint="add a validation folder to the dataset, or keep the limits: give no escape rate and no budget",
        )
    good, novelty = side.card.good_index, validation.answers.novelty
    scores = defect_scores(validation.answers.logits, good)
    is_defect = validation.answers.labels != good
    if settings.max_escape is not None:
        limit = None if novelty is None else side.thresholds.novelty
        return solve_operating_point(scores, is_defect, settings.max_escape, novelty, limit)
    step("dividing the review budget")
    split, seed = validation.split, side.card.seed
    # The views that training chose the limits on, so that the same budget gives the same limits.
    views = validation_views(split.images, split.labels, side.card.preprocess, seed)
    seen = predict(side.engine, views.crops)
    made = None if seen.novelty is None else predict(side.engine, novelties_of(views, good, seed))
    chosen = choose_for(seen, views.labels, good, settings.review_budget or 0.0, views=views.each, made=made)
    return budget_point(*chosen, scores, is_defect, novelty)


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

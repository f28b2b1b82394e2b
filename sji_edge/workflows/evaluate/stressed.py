"""The stress test of the evaluated model, and of those that it is compared with."""

from collections.abc import Callable

from sji_edge.core.verdict import Thresholds
from sji_edge.evaluation.gallery import Look
from sji_edge.evaluation.split import LabelledSplit, read_split
from sji_edge.evaluation.stress import StressPoint, stress_points
from sji_edge.parity.run import predict
from sji_edge.workflows.compare.subjects import OpenSide, open_side
from sji_edge.workflows.evaluate.judged import attention_of
from sji_edge.workflows.evaluate.settings import EvaluationSettings

Step = Callable[[str], None]


def stressed(
    side: OpenSide, split: LabelledSplit, thresholds: Thresholds, look: Look | None, step: Step
) -> tuple[StressPoint, ...]:
    """Judge every disturbed version of a split with one model."""
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


def stressed_others(
    settings: EvaluationSettings, first: str, step: Step
) -> dict[str, tuple[StressPoint, ...]]:
    """Do the same with the models to compare with; by name, each at its own limits."""
    points: dict[str, tuple[StressPoint, ...]] = {}
    for path in settings.against:
        with open_side(path, settings.threads) as side:
            split = read_split(settings.data, settings.split, side.card, settings.bit_depth)
            look = attention_of(side, path, settings.attention).look
            # Two models may have the same name; a path is unique.
            name = f"{side.name} ({path})" if side.name in (first, *points) else side.name
            points[name] = stressed(side, split, side.thresholds, look, step)
    return points

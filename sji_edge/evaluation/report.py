"""Everything measured of one model on one split, each figure with its interval or the reason why it has none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.errors import DataError
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.verdict import VERDICTS, Thresholds, decide
from sji_edge.evaluation.judged import FIGURES, Judged, judge
from sji_edge.metrics.bootstrap import percentile_interval, resamples
from sji_edge.metrics.calibration import fit_temperature
from sji_edge.metrics.intervals import clopper_pearson
from sji_edge.metrics.rates import defect_rates

BOOTSTRAP, EXACT = "bootstrap", "Clopper-Pearson"
NEEDS_DEFECTS = {
    "f1_defect",
    "average_precision",
    "auroc",
    "false_calls_at_0_escape",
    "false_calls_at_1_escape",
}
NEEDS_GOODS = {"auroc", "false_calls_at_0_escape", "false_calls_at_1_escape"}
MAX_CURVE = 200


class Figure(FrozenModel):
    """One figure with its 95 % interval; ``value`` None where it cannot be computed, and ``why``."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    interval: str = ""
    counts: str = ""
    why: str = ""


class ClassVerdicts(FrozenModel):
    """One class's joints: the most probable class of each, and the verdicts, by name."""

    name: str
    joints: int
    predicted: dict[str, int]
    verdicts: dict[str, int]


class CurvePoint(FrozenModel):
    """One limit on the score, and what it would do alone: call every joint from it on defective."""

    limit: float
    escape_rate: float | None
    false_call_rate: float | None


class Evaluation(FrozenModel):
    """A split judged; ``figures`` in the order of the table."""

    joints: int
    defects: int
    goods: int
    thresholds: Thresholds
    temperature: float | None
    figures: tuple[Figure, ...]
    classes: tuple[ClassVerdicts, ...]
    curve: tuple[CurvePoint, ...]

    def figure(self, name: str) -> Figure:
        """Return a figure by its name."""
        return next(figure for figure in self.figures if figure.name == name)


@dataclass(frozen=True)
class Answers:
    """A model's logits ``(n, classes)`` on labelled joints; ``groups`` ``(n,)`` where joints belong together."""

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    groups: NDArray[Any] | None = None


def evaluate(
    answers: Answers,
    *,
    classes: Sequence[str],
    good_index: int,
    thresholds: Thresholds,
    validation: Answers | None = None,
    replicates: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Measure a model.

    Rates have exact intervals; figures of ranking and calibration have bootstrap ones, over whole groups where
    groups are known.

    Args:
        answers: on the split that is reported.
        classes: names of the logits' columns.
        good_index: the good class's column.
        thresholds: the deployed limits.
        validation: for the temperature; without it there is no calibrated figure.
        replicates: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        DataError: no joint, or a logit that is not finite.
    """
    if not answers.labels.size:
        raise DataError("no joint to evaluate", hint="give a split that holds joints")
    if not np.isfinite(answers.logits).all():
        raise DataError("the model's logits are not finite: nothing can be measured")
    temperature = None if validation is None else fit_temperature(validation.logits, validation.labels)
    judged = judge(
        answers.logits, answers.labels, good_index, limit=thresholds.upper, temperature=temperature or 1.0
    )
    codes = decide(judged.scores, thresholds)
    reasons = _reasons(judged, classes, good_index, temperature)
    groups = np.arange(judged.labels.size) if answers.groups is None else answers.groups
    return Evaluation(
        joints=judged.labels.size,
        defects=int(judged.is_defect.sum()),
        goods=int((~judged.is_defect).sum()),
        thresholds=thresholds,
        temperature=temperature,
        figures=(*_rates(codes, judged), *_bootstrapped(judged, reasons, groups, replicates, seed)),
        classes=_class_rows(classes, judged, codes),
        curve=_curve(judged),
    )


def _reasons(
    judged: Judged, classes: Sequence[str], good_index: int, temperature: float | None
) -> dict[str, str]:
    """Why a figure cannot be computed, by name."""
    reasons: dict[str, str] = {}
    if temperature is None:
        reasons["ece_calibrated"] = "no validation split to fit the temperature on"
    absent = [name for index, name in enumerate(classes) if not (judged.labels == index).any()]
    if absent:
        reasons["macro_f1"] = f"no joint of class {', '.join(absent)} in this split"
    if judged.is_defect.all():
        reasons |= dict.fromkeys(NEEDS_GOODS, f"no good joint ({classes[good_index]}) in this split")
    if not judged.is_defect.any():
        reasons |= dict.fromkeys(NEEDS_DEFECTS, "no defective joint in this split")
    return reasons


def _rates(codes: NDArray[np.int8], judged: Judged) -> list[Figure]:
    rates = defect_rates(codes, judged.is_defect)
    no_defect, no_good = "no defective joint in this split", "no good joint in this split"
    return [
        _proportion("escape_rate", rates.escapes, rates.defects, no_defect),
        _proportion("false_call_rate", rates.false_calls, rates.goods, no_good),
        _proportion("review_rate_of_good", rates.good_reviews, rates.goods, no_good),
        _proportion("defects_failed", rates.caught, rates.defects, no_defect),
        _proportion("accuracy", int(judged.correct.sum()), judged.labels.size, ""),
    ]


def _proportion(name: str, part: int, whole: int, why: str) -> Figure:
    if not whole:
        return Figure(name=name, value=None, why=why)
    low, high = clopper_pearson(part, whole)
    return Figure(
        name=name, value=part / whole, low=low, high=high, interval=EXACT, counts=f"{part} of {whole}"
    )


def _bootstrapped(
    judged: Judged, reasons: Mapping[str, str], groups: NDArray[Any], replicates: int, seed: int
) -> list[Figure]:
    names = [name for name in FIGURES if name != "accuracy"]
    known = [name for name in names if name not in reasons]
    drawn: dict[str, list[float]] = {name: [] for name in known}
    for joints in resamples(groups, replicates, np.random.default_rng(seed)):
        part = judged.only(joints)
        for name in known:
            value = FIGURES[name](part)
            drawn[name].append(np.nan if value is None else value)
    figures = []
    for name in names:
        if name in reasons:
            figures.append(Figure(name=name, value=None, why=reasons[name]))
            continue
        between = percentile_interval(np.array(drawn[name]))
        low, high = between or (None, None)
        figures.append(Figure(name=name, value=FIGURES[name](judged), low=low, high=high, interval=BOOTSTRAP))
    return figures


def _class_rows(classes: Sequence[str], judged: Judged, codes: NDArray[np.int8]) -> tuple[ClassVerdicts, ...]:
    rows = []
    for index, name in enumerate(classes):
        own = judged.labels == index
        rows.append(
            ClassVerdicts(
                name=name,
                joints=int(own.sum()),
                predicted={
                    other: int((judged.predicted[own] == column).sum())
                    for column, other in enumerate(classes)
                },
                verdicts={
                    verdict.value: int((codes[own] == code).sum()) for code, verdict in enumerate(VERDICTS)
                },
            )
        )
    return tuple(rows)


def _curve(judged: Judged) -> tuple[CurvePoint, ...]:
    """Both rates at the distinct scores, thinned to ``MAX_CURVE``."""
    limits = np.unique(judged.scores)
    if limits.size > MAX_CURVE:
        limits = limits[np.linspace(0, limits.size - 1, MAX_CURVE).astype(np.int64)]
    defects, goods = judged.scores[judged.is_defect], judged.scores[~judged.is_defect]
    return tuple(
        CurvePoint(
            limit=float(limit),
            escape_rate=float((defects < limit).mean()) if defects.size else None,
            false_call_rate=float((goods >= limit).mean()) if goods.size else None,
        )
        for limit in limits
    )

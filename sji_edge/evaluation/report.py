"""Measures a model on one split: every figure with its 95 % interval, or the reason why it has none."""

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
    """One figure with its 95 % interval.

    Attributes:
        name: its key, as in ``page.TITLES``.
        value: None where it cannot be computed.
        low: lower end of the interval, or None.
        high: upper end of the interval, or None.
        interval: how the interval was computed.
        counts: numerator and denominator of a rate, as ``3 of 40``.
        why: why there is no value.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    interval: str = ""
    counts: str = ""
    why: str = ""


class ClassVerdicts(FrozenModel):
    """Joints of one class, counted by most probable class and by verdict."""

    name: str
    joints: int
    predicted: dict[str, int]
    verdicts: dict[str, int]


class CurvePoint(FrozenModel):
    """Both rates if every joint with a score of at least ``limit`` were called defective."""

    limit: float
    escape_rate: float | None
    false_call_rate: float | None


class Evaluation(FrozenModel):
    """Everything measured on one split.

    Attributes:
        joints: number of joints.
        defects: joints of a defect class.
        goods: joints of the good class.
        thresholds: the PASS and FAIL limits used.
        temperature: fitted on the validation split; None without one.
        figures: every figure, in the order of the table.
        classes: one row a class.
        curve: both rates over the limit on the score.
    """

    joints: int
    defects: int
    goods: int
    thresholds: Thresholds
    temperature: float | None
    figures: tuple[Figure, ...]
    classes: tuple[ClassVerdicts, ...]
    curve: tuple[CurvePoint, ...]

    def figure(self, name: str) -> Figure:
        """Return a figure by its name; raises ``StopIteration`` for an unknown one."""
        return next(figure for figure in self.figures if figure.name == name)


@dataclass(frozen=True)
class Answers:
    """A model's answers on labelled joints.

    Attributes:
        logits: float32 ``(n, classes)``.
        labels: class indices, int64 ``(n,)``.
        groups: group (board, panel) of each joint ``(n,)``; None where they are not known.
        novelty: the guard's, float32 ``(n,)``; None for a model without a guard.
    """

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    groups: NDArray[Any] | None = None
    novelty: NDArray[np.float32] | None = None


def verdicts(
    scores: NDArray[np.float64], thresholds: Thresholds, novelty: NDArray[np.float32] | None
) -> NDArray[np.int8]:
    """Return the verdict codes of scores; the guard's limit counts where there is a novelty."""
    return decide(scores, thresholds if novelty is not None else thresholds.without_guard, novelty)


def measure(
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

    Rates have exact intervals. Ranking and calibration figures have bootstrap intervals, which resample whole groups
    where groups are known.

    Args:
        answers: the model's answers on the reported split.
        classes: names of the columns of the logits.
        good_index: column of the good class.
        thresholds: the PASS and FAIL limits.
        validation: answers on the validation split, for the temperature; without them there is no calibrated figure.
        replicates: number of bootstrap resamples.
        seed: of the bootstrap.

    Raises:
        DataError: there is no joint, or a logit is not finite.
    """
    if not answers.labels.size:
        raise DataError("there is no joint to evaluate", hint="choose a split that has joints")
    if not np.isfinite(answers.logits).all():
        raise DataError("the model returned non-finite logits: nothing can be measured")
    temperature = None if validation is None else fit_temperature(validation.logits, validation.labels)
    judged = judge(
        answers.logits, answers.labels, good_index, limit=thresholds.upper, temperature=temperature or 1.0
    )
    codes = verdicts(judged.scores, thresholds, answers.novelty)
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
    """Return why figures cannot be computed, by name."""
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
    """Return both rates at the distinct scores, thinned to ``MAX_CURVE`` points."""
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

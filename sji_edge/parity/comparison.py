"""Compares two predictors on the same crops: how far their numbers differ, and which verdicts change."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.errors import GateError
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.protocols import EngineOutput
from sji_edge.core.verdict import FAIL, PASS, VERDICTS, Thresholds, decide, defect_scores, stopped_by_guard
from sji_edge.metrics.intervals import clopper_pearson
from sji_edge.metrics.rates import DefectRates, defect_rates

WORST = 8
UNLABELLED = "(unlabelled)"
NO_CROPS = "there is no crop to compare, and a comparison without evidence fails"

Logits = NDArray[np.float32]


class Difference(FrozenModel):
    """Maximum, mean and 99th percentile of an absolute difference."""

    max: float
    mean: float
    p99: float


class ClassDifference(FrozenModel):
    """The comparison for the crops of one class; ``max_score_error`` is None where no pair is finite."""

    name: str
    joints: int
    flips: int
    escape_flips: int
    false_call_flips: int
    max_score_error: float | None


class WorstJoint(FrozenModel):
    """One of the crops that differ most; ``index`` is its place among the crops, ``label`` is -1 if unknown."""

    index: int
    label: int
    reference_score: float
    candidate_score: float
    reference_verdict: str
    candidate_verdict: str
    reference_novelty: float | None = None
    candidate_novelty: float | None = None


class Comparison(FrozenModel):
    """A candidate compared with a reference on the same crops.

    Attributes:
        joints: number of crops, at least 1.
        labelled: number of crops whose class is known.
        reference_nonfinite: number of crops for which the reference returned a non-finite logit or novelty.
        candidate_nonfinite: the same for the candidate.
        logits: |Δlogit| over all classes where both sides are finite; None where no pair is.
        probabilities: |Δp| over all classes; None as above.
        scores: |Δscore|, score = 1 − p(good); None as above.
        top1_agreement: share of crops with the same most probable class; a non-finite pair counts as different.
        agreement: share of crops with the same verdict, each side at its own thresholds.
        flips: number of verdicts that differ.
        escape_flips: number of verdicts that changed to PASS.
        escape_flips_of: number of verdicts of the reference other than PASS: the denominator.
        escape_flip_upper: upper end of the two-sided 95 % Clopper-Pearson interval of their rate.
        false_call_flips: number of verdicts that changed to FAIL.
        thresholds: limits of the reference.
        candidate_thresholds: limits of the candidate.
        reference_rates: counts and rates of the reference against the labels; None without labels.
        candidate_rates: the same for the candidate.
        f1_change: F1 of the defect class, candidate − reference; None where either is undefined.
        novelty: |Δnovelty| where both sides are finite; None unless both have a guard.
        reference_stopped: number of crops whose score says PASS and that the reference's guard sends to REVIEW.
        candidate_stopped: the same for the candidate.
        silent_guard_flips: number of these of the reference that the candidate passes, because its guard fell silent;
            they are among ``escape_flips``.
        classes: one row a class, and one for crops without a label.
        worst: crops to look at: first verdicts that changed to PASS, then other changes, then the rest; within
            each, the largest |Δscore| first.
    """

    joints: int
    labelled: int
    reference_nonfinite: int
    candidate_nonfinite: int
    logits: Difference | None
    probabilities: Difference | None
    scores: Difference | None
    top1_agreement: float
    agreement: float
    flips: int
    escape_flips: int
    escape_flips_of: int
    escape_flip_upper: float
    false_call_flips: int
    thresholds: Thresholds
    candidate_thresholds: Thresholds
    reference_rates: dict[str, Any] | None
    candidate_rates: dict[str, Any] | None
    f1_change: float | None
    classes: tuple[ClassDifference, ...]
    worst: tuple[WorstJoint, ...]
    novelty: Difference | None = None
    reference_stopped: int = 0
    candidate_stopped: int = 0
    silent_guard_flips: int = 0


class _Side:
    """The answers of one predictor, with its scores and verdicts."""

    def __init__(self, output: EngineOutput, good_index: int, thresholds: Thresholds) -> None:
        self.logits = output.logits.astype(np.float64)
        self.scores = defect_scores(output.logits, good_index)
        self.novelty = None if output.novelty is None else output.novelty.astype(np.float64)
        self.finite: NDArray[np.bool_] = np.isfinite(self.scores)
        self.broken = ~self.finite if self.novelty is None else ~(self.finite & np.isfinite(self.novelty))
        self.codes = decide(self.scores, thresholds, self.novelty)
        self.stopped = stopped_by_guard(self.codes, self.scores, np.float64(thresholds.lower))

    def probabilities(self, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the softmax of the chosen rows."""
        chosen = self.logits[rows]
        exponentials = np.exp(chosen - chosen.max(axis=1, keepdims=True))
        softmax: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
        return softmax


def compare(
    reference: EngineOutput,
    candidate: EngineOutput,
    labels: NDArray[np.int64],
    *,
    classes: Sequence[str],
    good_index: int,
    thresholds: Thresholds,
    candidate_thresholds: Thresholds | None = None,
) -> Comparison:
    """Compare a candidate's answers with a reference's.

    Args:
        reference: logits float32 ``(n, classes)``, and novelty float32 ``(n,)`` from one with a guard.
        candidate: the same of the candidate.
        labels: class indices, int64 ``(n,)``; -1 where the class is not known.
        classes: names of the columns.
        good_index: column of the good class.
        thresholds: the reference's limits.
        candidate_thresholds: the candidate's limits; None: the same.

    Raises:
        GateError: there is nothing to compare, the shapes do not match, or a side has a limit for the novelty but
            no novelty.
    """
    own = candidate_thresholds or thresholds
    _check(reference.logits, candidate.logits, labels, len(classes))
    _check_novelty("the reference", reference, thresholds, len(labels))
    _check_novelty("the candidate", candidate, own, len(labels))
    ours, theirs = _Side(reference, good_index, thresholds), _Side(candidate, good_index, own)
    finite: NDArray[np.bool_] = ours.finite & theirs.finite
    flips = ours.codes != theirs.codes
    escapes = (ours.codes != PASS) & (theirs.codes == PASS)
    false_calls = (ours.codes != FAIL) & (theirs.codes == FAIL)
    top1 = finite & (ours.logits.argmax(axis=1) == theirs.logits.argmax(axis=1))
    not_pass = int((ours.codes != PASS).sum())
    score_gap = np.abs(ours.scores - theirs.scores)
    rates = _rates(ours, labels, good_index), _rates(theirs, labels, good_index)
    return Comparison(
        joints=len(labels),
        labelled=int((labels >= 0).sum()),
        reference_nonfinite=int(ours.broken.sum()),
        candidate_nonfinite=int(theirs.broken.sum()),
        logits=_difference(ours.logits[finite] - theirs.logits[finite]),
        probabilities=_difference(np.subtract(ours.probabilities(finite), theirs.probabilities(finite))),
        scores=_difference(score_gap[finite]),
        top1_agreement=float(top1.mean()),
        agreement=float((~flips).mean()),
        flips=int(flips.sum()),
        escape_flips=int(escapes.sum()),
        escape_flips_of=not_pass,
        escape_flip_upper=clopper_pearson(int(escapes.sum()), not_pass)[1],
        false_call_flips=int(false_calls.sum()),
        thresholds=thresholds,
        candidate_thresholds=own,
        reference_rates=rates[0] and rates[0].as_dict(),
        candidate_rates=rates[1] and rates[1].as_dict(),
        f1_change=_f1_change(*rates),
        classes=_class_rows(classes, labels, (flips, escapes, false_calls), score_gap),
        worst=_worst(ours, theirs, labels, np.where(escapes, 2, flips)),
        novelty=_novelty_difference(ours, theirs),
        reference_stopped=int(ours.stopped.sum()),
        candidate_stopped=int(theirs.stopped.sum()),
        silent_guard_flips=int((ours.stopped & (theirs.codes == PASS)).sum()),
    )


def _novelty_difference(ours: _Side, theirs: _Side) -> Difference | None:
    if ours.novelty is None or theirs.novelty is None:
        return None
    both = np.isfinite(ours.novelty) & np.isfinite(theirs.novelty)
    return _difference(ours.novelty[both] - theirs.novelty[both])


def _check_novelty(side: str, output: EngineOutput, thresholds: Thresholds, crops: int) -> None:
    if output.novelty is not None and output.novelty.shape != (crops,):
        raise GateError(
            f"{side} must have one novelty for each crop, {(crops,)} (got {output.novelty.shape})"
        )
    if thresholds.novelty is not None and output.novelty is None:
        raise GateError(
            f"{side} has a limit for the novelty ({thresholds.novelty:g}) but gives no novelty: "
            "its guard cannot be compared",
            hint="train and export the model again, so that its graph and its golden crops have the guard",
        )


def _check(reference: Logits, candidate: Logits, labels: NDArray[np.int64], columns: int) -> None:
    if len(labels) == 0:
        raise GateError(NO_CROPS, hint="choose a split that has crops")
    shape = (len(labels), columns)
    if reference.shape != shape or candidate.shape != shape:
        raise GateError(
            f"both sides must have logits of shape {shape} (got {reference.shape} and {candidate.shape})"
        )
    if labels.min() < -1 or labels.max() >= columns:
        raise GateError(f"labels must be between -1 and {columns - 1} (got {labels.min()} to {labels.max()})")


def _difference(signed: NDArray[np.float64]) -> Difference | None:
    if signed.size == 0:
        return None
    size = np.abs(signed)
    return Difference(max=float(size.max()), mean=float(size.mean()), p99=float(np.percentile(size, 99)))


def _rates(side: _Side, labels: NDArray[np.int64], good_index: int) -> DefectRates | None:
    known = labels >= 0
    return defect_rates(side.codes[known], labels[known] != good_index) if known.any() else None


def _f1_change(reference: DefectRates | None, candidate: DefectRates | None) -> float | None:
    if reference is None or candidate is None or reference.f1 is None or candidate.f1 is None:
        return None
    return candidate.f1 - reference.f1


def _class_rows(
    classes: Sequence[str],
    labels: NDArray[np.int64],
    flips: tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]],
    score_gap: NDArray[np.float64],
) -> tuple[ClassDifference, ...]:
    rows = []
    for index, name in [*enumerate(classes), (-1, UNLABELLED)]:
        members = labels == index
        if not members.any():
            continue
        gaps = score_gap[members & np.isfinite(score_gap)]
        counts = [int((members & flip).sum()) for flip in flips]
        rows.append(
            ClassDifference(
                name=name,
                joints=int(members.sum()),
                flips=counts[0],
                escape_flips=counts[1],
                false_call_flips=counts[2],
                max_score_error=float(gaps.max()) if gaps.size else None,
            )
        )
    return tuple(rows)


def _worst(
    ours: _Side, theirs: _Side, labels: NDArray[np.int64], severity: NDArray[np.int64]
) -> tuple[WorstJoint, ...]:
    gap = np.abs(ours.scores - theirs.scores)
    finite = np.flatnonzero(np.isfinite(gap))
    chosen = finite[np.lexsort((-gap[finite], -severity[finite]))][:WORST]
    return tuple(
        WorstJoint(
            index=int(index),
            label=int(labels[index]),
            reference_score=float(ours.scores[index]),
            candidate_score=float(theirs.scores[index]),
            reference_verdict=VERDICTS[ours.codes[index]],
            candidate_verdict=VERDICTS[theirs.codes[index]],
            reference_novelty=_finite_or_none(ours.novelty, index),
            candidate_novelty=_finite_or_none(theirs.novelty, index),
        )
        for index in chosen
    )


def _finite_or_none(values: NDArray[np.float64] | None, index: np.intp) -> float | None:
    return float(values[index]) if values is not None and np.isfinite(values[index]) else None

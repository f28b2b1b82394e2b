"""How often unknown pictures were given PASS: by the score alone, and by everything that decides."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.frozen import FrozenModel
from sji_edge.core.protocols import JointRecord
from sji_edge.core.verdict import PASS, VERDICTS, Thresholds, Verdict, decide, stopped_by_guard
from sji_edge.metrics.intervals import clopper_pearson

Source = Literal["crops", "frames"]
UNLIKE_TRAINING = "unlike-training"
"""The cause that the inspection loop gives for a PASS that the guard stopped."""
GOOD, DEFECTS = "good joints", "known defects"


class Share(FrozenModel):
    """How many of some joints were given PASS, with the exact (Clopper-Pearson) 95 % interval of the share."""

    passed: int
    share: float
    low: float
    high: float

    @classmethod
    def of(cls, passed: int, joints: int) -> "Share":
        """Compute the share of at least one joint."""
        low, high = clopper_pearson(passed, joints)
        return cls(passed=passed, share=passed / joints, low=low, high=high)


class UnknownRow(FrozenModel):
    """One kind of picture.

    Attributes:
        kind: ``GOOD``, ``DEFECTS``, or the name of a kind.
        shows: what the pictures show.
        source: ``crops`` of the dataset, judged alone, or joints of ``frames``, judged as the inspection loop does.
        joints: number of pictures.
        score_alone: given PASS by the PASS limit on the score.
        with_guard: given PASS by everything that decides; None for a model without a guard.
        decided: number of joints by verdict and cause, such as ``REVIEW unlike-training``.
    """

    kind: str
    shows: str
    source: Source
    joints: int
    score_alone: Share
    with_guard: Share | None
    decided: dict[str, int]


class UnknownReport(FrozenModel):
    """Every kind of picture, and what could not be made.

    Attributes:
        seed: of the pictures.
        guarded: whether the model has a guard.
        rows: good joints and known defects first, then the kinds; those of the crops before those of the frames.
        left_out: by kind, or by what else was left out, the reason.
        notes: how the pictures were made and judged, as sentences.
    """

    seed: int
    guarded: bool
    rows: tuple[UnknownRow, ...]
    left_out: dict[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What was decided of one joint: whether its score alone says PASS, its final verdict, and why."""

    alone: bool
    verdict: Verdict
    cause: str = ""

    @property
    def said(self) -> str:
        """Verdict and cause."""
        return f"{self.verdict} {self.cause}".rstrip()


def row_of(
    kind: str, shows: str, source: Source, outcomes: Sequence[Outcome], *, guarded: bool
) -> UnknownRow:
    """Count the outcomes of one kind, at least one."""
    joints = len(outcomes)
    passed = sum(outcome.verdict is Verdict.PASS for outcome in outcomes)
    return UnknownRow(
        kind=kind,
        shows=shows,
        source=source,
        joints=joints,
        score_alone=Share.of(sum(outcome.alone for outcome in outcomes), joints),
        with_guard=Share.of(passed, joints) if guarded else None,
        decided=dict(sorted(Counter(outcome.said for outcome in outcomes).items())),
    )


def outcomes_of_scores(
    scores: NDArray[np.float64], thresholds: Thresholds, novelty: NDArray[np.float32] | None
) -> list[Outcome]:
    """Decide crops that were judged alone; the guard's limit counts where there is a novelty.

    Args:
        scores: float64 ``(n,)``.
        thresholds: the PASS and FAIL limits, and the guard's.
        novelty: float32 ``(n,)``, or None.
    """
    limits = thresholds if novelty is not None else thresholds.without_guard
    alone, codes = decide(scores, limits.without_guard), decide(scores, limits, novelty)
    stopped = stopped_by_guard(codes, scores, np.float64(limits.lower))
    return [
        Outcome(bool(before == PASS), VERDICTS[code], UNLIKE_TRAINING if guard else "")
        for before, code, guard in zip(alone.tolist(), codes.tolist(), stopped.tolist(), strict=True)
    ]


def outcome_of_record(joint: JointRecord, plain: JointRecord | None = None) -> Outcome:
    """Read a joint's outcome from its record.

    Args:
        joint: the record.
        plain: the record of the same picture without the guard; needed where ``joint`` has no score, because the
            guard may have made the whole board ERROR.
    """
    told = joint if joint.score is not None or plain is None else plain
    alone = told.score is not None and told.score < told.lower
    return Outcome(alone, joint.verdict, joint.cause)

"""Makes a board's record from its joints' scores, or from a fault."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.clock import Clock
from sji_edge.core.protocols import BoardRecord, JointRecord
from sji_edge.core.verdict import (
    ERROR,
    VERDICTS,
    Verdict,
    decide_each,
    defect_scores,
    hold_back,
    stopped_by_guard,
    worst,
)
from sji_edge.inspection.faults import Cause, Fault
from sji_edge.inspection.judging.frame_job import Judgement, Logits, Model, Work
from sji_edge.inspection.judging.hidden_joints import Flags
from sji_edge.inspection.judging.layout import Layout, Placement

OUTSIDE, NOT_FINITE, HIDDEN, UNLIKE_TRAINING, UNLIKE_GOLDEN = range(5)
JOINT_CAUSES = (
    Cause.OUTSIDE_FRAME,
    Cause.NOT_FINITE,
    Cause.HIDDEN,
    Cause.UNLIKE_TRAINING,
    Cause.UNLIKE_GOLDEN,
)
"""Why a joint alone is ERROR, or REVIEW whatever its score, by code."""

LEAST_UNLIKE = 3
"""So many joints at least must be unlike their place before the whole board counts as a wrong one."""


class RecordMaker:
    """Makes the records of one run.

    Args:
        model: the meaning of the logits.
        layout: the joints of a frame.
        clock: for timestamps and latencies.
        run: prefix of every board's name, so that no two runs share a name.
    """

    def __init__(self, model: Model, layout: Layout, clock: Clock, run: str) -> None:
        self._model = model
        self._layout = layout
        self._clock = clock
        self._run = run

    def judged(self, work: Work, placement: Placement, hidden: Flags, logits: Logits) -> Judgement:
        """Decide each joint. One that left the frame, is hidden, or has an answer that is not finite is ERROR.

        One whose score says PASS is REVIEW where its novelty reaches the guard's limit, or where it is unlike its place
        on the enrolled boards; if too many joints are, the board is a wrong one.
        """
        limits, inside = self._layout.limits, placement.inside
        scores = np.full(len(inside), np.nan)
        scores[inside] = np.where(hidden, np.nan, defect_scores(logits, self._model.good_index))
        novelty = np.full(len(inside), np.nan)
        if work.novelty is not None:
            novelty[inside] = work.novelty
        codes = decide_each(scores, limits.lower, limits.upper, novelty, limits.novelty)
        deviation = self._deviation(work, inside, hidden)
        if fault := self._wrong_board(deviation):
            work.watch.lap("decide")
            return self.error(work, fault)
        labels = np.zeros(len(inside), np.intp)
        labels[inside] = logits.argmax(axis=1)
        causes = np.full(len(inside), OUTSIDE)
        causes[inside] = np.where(hidden, HIDDEN, NOT_FINITE)
        causes[stopped_by_guard(codes, scores, limits.lower)] = UNLIKE_TRAINING
        if self._layout.places is not None:
            causes[hold_back(codes, deviation)] = UNLIKE_GOLDEN
        joints = self._joints(work, codes, (scores, novelty, deviation), labels, causes)
        fault = _joint_fault([joint for joint in joints if joint.verdict is Verdict.ERROR])
        work.watch.lap("decide")
        record = self._record(work, worst(codes), joints, fault)
        return Judgement(record, placement, fault.cause if fault else None, features=work.features)

    def _deviation(self, work: Work, inside: NDArray[np.bool_], hidden: Flags) -> NDArray[np.float64]:
        """Return how far each joint is from its place; NaN where it is not known."""
        deviation = np.full(len(inside), np.nan)
        if self._layout.places is not None and work.features is not None:
            found = self._layout.places.deviations(work.features, inside)
            deviation[inside] = np.where(hidden, np.nan, found)
        return deviation

    def _wrong_board(self, deviation: NDArray[np.float64]) -> Fault | None:
        """Return the fault of a board of which too many joints are unlike their place."""
        known = np.isfinite(deviation)
        unlike, seen = int((deviation[known] >= 1.0).sum()), int(known.sum())
        if unlike < LEAST_UNLIKE or unlike <= self._layout.max_unlike_share * seen:
            return None
        return Fault(
            Cause.WRONG_BOARD,
            f"{unlike} of {seen} joints are unlike their place on the enrolled boards, "
            f"limit {self._layout.max_unlike_share:.0%}",
        )

    def _joints(
        self,
        work: Work,
        codes: NDArray[np.int8],
        figures: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
        labels: NDArray[np.intp],
        causes: NDArray[np.intp],
    ) -> tuple[JointRecord, ...]:
        classes, (scores, novelty, deviation) = self._model.classes, figures
        return tuple(
            replace(
                error,
                verdict=VERDICTS[code],
                score=score,
                label=classes[label],
                cause=JOINT_CAUSES[cause] if cause >= UNLIKE_TRAINING else "",
                novelty=strangeness if math.isfinite(strangeness) else None,
                deviation=distance if math.isfinite(distance) else None,
            )
            if code != ERROR
            else replace(error, cause=JOINT_CAUSES[cause])
            for error, code, score, strangeness, distance, label, cause in zip(
                self._errors(work, ""),
                codes.tolist(),
                scores.tolist(),
                novelty.tolist(),
                deviation.tolist(),
                labels.tolist(),
                causes.tolist(),
                strict=True,
            )
        )

    def _errors(self, work: Work, cause: str) -> Iterator[JointRecord]:
        """Yield a record for each joint of a frame that says ERROR, with the joint's limits."""
        limits = self._layout.limits
        names = self._layout.names(work.frame)
        strange: Sequence[float | None] = [None] * len(names)
        if limits.novelty is not None:
            strange = limits.novelty.tolist()
        for name, lower, upper, limit in zip(
            names, limits.lower.tolist(), limits.upper.tolist(), strange, strict=True
        ):
            yield JointRecord(name, Verdict.ERROR, None, lower, upper, cause=cause, novelty_limit=limit)

    def error(self, work: Work, fault: Fault) -> Judgement:
        """Make every joint ERROR with the fault's cause."""
        joints = tuple(self._errors(work, fault.cause))
        record = self._record(work, Verdict.ERROR, joints, fault)
        return Judgement(record, work.placement, fault.cause, work.failure)

    def _record(
        self, work: Work, verdict: Verdict, joints: tuple[JointRecord, ...], fault: Fault | None
    ) -> BoardRecord:
        frame = work.frame
        since_capture = self._clock.monotonic_ns() - frame.captured_ns
        return BoardRecord(
            board=f"{self._run}-{frame.index:06d}",
            frame_index=frame.index,
            frame_name=frame.name,
            utc=self._clock.utc(),
            verdict=verdict,
            joints=joints,
            engine_sha256=self._model.engine_sha256,
            recipe_sha256=self._layout.recipe_sha256,
            cause=str(fault) if fault else "",
            alignment_residual_px=work.placement.residual_px if work.placement else None,
            latency_ns={**work.watch.stages, "since_capture": since_capture},
        )


def as_error(record: BoardRecord, fault: Fault) -> BoardRecord:
    """Return a copy of a board's record with every joint ERROR."""
    joints = tuple(
        replace(
            joint,
            verdict=Verdict.ERROR,
            score=None,
            label="",
            cause=fault.cause,
            novelty=None,
            deviation=None,
        )
        for joint in record.joints
    )
    return replace(record, verdict=Verdict.ERROR, joints=joints, cause=str(fault))


def _joint_fault(errors: list[JointRecord]) -> Fault | None:
    """Return the first ERROR joint's cause as the board's fault, with the number of joints that share it."""
    if not errors:
        return None
    cause = Cause(errors[0].cause)
    shared = sum(joint.cause == cause for joint in errors)
    return Fault(cause, f"joint {errors[0].refdes}" + (f" and {shared - 1} more" if shared > 1 else ""))

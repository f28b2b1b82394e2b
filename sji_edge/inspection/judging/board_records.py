"""Makes a board's record from its joints' scores, or from a fault."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.clock import Clock
from sji_edge.core.joint_table import JointTable
from sji_edge.core.protocols import BoardRecord, JointRecord, UnitRecord
from sji_edge.core.verdict import (
    ERROR,
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
from sji_edge.inspection.judging.panel_verdicts import (
    unit_faults,
    unit_records,
    without_skipped,
    worst_of_units,
)

OUTSIDE, NOT_FINITE, HIDDEN, UNLIKE_TRAINING, UNLIKE_GOLDEN = range(5)
JOINT_CAUSES = (
    Cause.OUTSIDE_FRAME,
    Cause.NOT_FINITE,
    Cause.HIDDEN,
    Cause.UNLIKE_TRAINING,
    Cause.UNLIKE_GOLDEN,
    Cause.NO_SERIAL,
    Cause.SKIP_MARK,
)
"""Why a joint alone is ERROR, or REVIEW whatever its score, by code."""
NO_CAUSE = -1

LEAST_UNLIKE = 3
"""So many joints at least must be unlike their place before the whole board counts as a wrong one."""


class RecordMaker:
    """Makes the records of one run.

    Args:
        model: the meaning of the logits.
        layout: the joints of a frame.
        clock: for timestamps and latencies.
        run: prefix of every board's name, so that no two runs share a name.
        holds_back: make a board or a unit that passes REVIEW where its serial number is missing.
        stops: make a unit ERROR where its serial number is missing.
    """

    def __init__(
        self,
        model: Model,
        layout: Layout,
        clock: Clock,
        run: str,
        *,
        holds_back: bool = False,
        stops: bool = False,
    ) -> None:
        self._model = model
        self._layout = layout
        self._clock = clock
        self._run = run
        self._holds_back = holds_back
        self._stops = stops

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
        # Whatever is no ERROR has a cause only where the guard or the enrolled boards made it REVIEW.
        causes[(codes != ERROR) & (causes < UNLIKE_TRAINING)] = NO_CAUSE
        faults = unit_faults(work, placement, stops=self._stops)
        for unit, fault in faults.items():
            own = self._layout.unit_of == unit
            codes[own], causes[own] = ERROR, JOINT_CAUSES.index(fault.cause)
        joints = self._table(work, codes, labels, causes, scores=scores, novelty=novelty, deviation=deviation)
        units, skipped = self._units(work, codes, placement, faults), None
        if placement.skips is not None and placement.skips.skipped.any():
            skipped = placement.skips.skipped
            joints, placement = without_skipped(joints, placement, ~skipped[self._layout.unit_of])
        fault = next(iter(faults.values()), None) or _joint_fault(joints)
        work.watch.lap("decide")
        verdict = worst(joints.codes)
        held = self._holds_back and (work.serial.fault or any(one.fault for one in work.unit_serials))
        if held and verdict is Verdict.PASS:
            verdict = Verdict.REVIEW
        record = self._record(work, verdict, joints, fault, units)
        return Judgement(record, placement, fault.cause if fault else None, features=work.features)

    def _units(
        self, work: Work, codes: NDArray[np.int8], placement: Placement | None, faults: Mapping[int, Fault]
    ) -> tuple[UnitRecord, ...]:
        units = self._layout.units
        if not units:
            return ()
        skipped = placement.skips.skipped if placement is not None and placement.skips is not None else None
        by_unit = worst_of_units(codes, self._layout.unit_of, len(units))
        return unit_records(work, units, by_unit, skipped, faults, holds_back=self._holds_back)

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

    def _table(
        self,
        work: Work,
        codes: NDArray[np.int8],
        labels: NDArray[np.intp],
        causes: NDArray[np.intp],
        **figures: NDArray[np.float64],
    ) -> JointTable:
        limits = self._layout.limits
        unknown = np.full(len(codes), np.nan)
        finite = {name: np.where(np.isfinite(values), values, np.nan) for name, values in figures.items()}
        return JointTable(
            names=self._layout.names(work.frame),
            codes=codes,
            scores=finite.get("scores", unknown),
            lower=limits.lower,
            upper=limits.upper,
            labels=labels,
            classes=self._model.classes,
            causes=causes,
            cause_names=JOINT_CAUSES,
            novelty=finite.get("novelty", unknown),
            novelty_limits=unknown if limits.novelty is None else limits.novelty,
            deviation=finite.get("deviation", unknown),
        )

    def error(self, work: Work, fault: Fault) -> Judgement:
        """Make every joint ERROR with the fault's cause."""
        count = len(self._layout.limits.lower)
        shared = np.zeros(count, np.intp)
        table = self._table(work, np.full(count, ERROR, np.int8), shared, shared)
        joints = replace(table, cause_names=(fault.cause,))
        units = self._units(work, table.codes, None, dict.fromkeys(range(len(self._layout.units)), fault))
        record = self._record(work, Verdict.ERROR, joints, fault, units)
        return Judgement(record, work.placement, fault.cause, work.failure)

    def _record(
        self,
        work: Work,
        verdict: Verdict,
        joints: Sequence[JointRecord],
        fault: Fault | None,
        units: tuple[UnitRecord, ...],
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
            # A missing serial number is on record whatever becomes of the board.
            cause=str(fault or work.serial.fault or ""),
            serial=work.serial.text,
            product=self._layout.product,
            recipe_version=self._layout.recipe_version,
            units=units,
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
    units = tuple(
        unit if unit.verdict is None else replace(unit, verdict=Verdict.ERROR, cause=str(fault))
        for unit in record.units
    )
    return replace(record, verdict=Verdict.ERROR, joints=joints, units=units, cause=str(fault))


def _joint_fault(joints: JointTable) -> Fault | None:
    """Return the first ERROR joint's cause as the board's fault, with the number of joints that share it."""
    errors = np.flatnonzero(joints.codes == ERROR)
    if not errors.size:
        return None
    first = int(errors[0])
    shared = int((joints.causes[errors] == joints.causes[first]).sum())
    return Fault(
        JOINT_CAUSES[joints.causes[first]],
        f"joint {joints.names[first]}" + (f" and {shared - 1} more" if shared > 1 else ""),
    )

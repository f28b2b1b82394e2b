"""Counts a run: boards and joints by verdict, errors by cause, latencies by stage."""

import threading
from collections import Counter
from dataclasses import dataclass

from sji_edge.core.joint_table import count_causes, count_verdicts
from sji_edge.core.left_out import LeftOut
from sji_edge.core.protocols import BoardRecord, JointRecord
from sji_edge.core.verdict import VERDICTS, Verdict
from sji_edge.inspection.faults import Cause
from sji_edge.inspection.judging.frame_job import Judgement
from sji_edge.inspection.observe.histogram import LatencyHistogram, LatencySummary

KEPT_FAILS = 20
STAGES = (
    *("acquire", "wait", "check", "align", "code", "crop", "infer", "decide", "verdict"),
    *("record wait", "record", "end to end"),
)
"""In the order of the work. The first board may not pass them all, so its order cannot be used."""


@dataclass(frozen=True, slots=True)
class FailedJoint:
    """A joint that failed, and the frame that shows it."""

    frame_name: str
    joint: JointRecord


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The figures of a run. ``captured`` equals ``judged`` plus all ``errors`` plus the frames in flight.

    Attributes:
        captured: frames from the source, including those that the device lost.
        judged: boards with a verdict.
        boards: boards on record, by verdict.
        joints: joints on record, by verdict.
        errors: boards without a verdict, by cause.
        wall_s: duration of the run.
        joints_per_s: joints with a verdict other than ERROR, per second of the whole run, including reading frames.
        latency: by stage. Of a judged board, ``wait`` and the stages after it add up to ``verdict``, the time since the
            capture; ``verdict``, ``record wait`` and ``record`` add up to ``end to end``.
        first_fails: the first joints that failed.
        examples: the first finding of each cause on record.
        unrecorded: those of ``errors`` that have no record.
        unlike_training: those joints at REVIEW whose score says PASS: the guard found them unlike the training data.
        unlike_golden: those joints at REVIEW whose score says PASS: they are unlike their place on the enrolled boards.
        no_serial: boards on record, or units of a panel, whose serial number could not be read.
        retests: boards on record, or units of a panel, whose serial number was on record before.
        left_out: what the source found beside its frames and did not read, such as files of other formats.
    """

    captured: int
    judged: int
    boards: dict[Verdict, int]
    joints: dict[Verdict, int]
    errors: dict[Cause, int]
    wall_s: float
    joints_per_s: float
    latency: dict[str, LatencySummary]
    first_fails: tuple[FailedJoint, ...]
    examples: dict[Cause, str]
    unrecorded: dict[Cause, int]
    left_out: tuple[LeftOut, ...] = ()
    unlike_training: int = 0
    unlike_golden: int = 0
    no_serial: int = 0
    retests: int = 0

    @property
    def in_flight(self) -> int:
        """Frames between the source and the record; 0 when the run has ended."""
        return self.captured - self.judged - sum(self.errors.values())


class Tally:
    """Counts boards as they are recorded. Its size is bounded, and any thread may read it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._captured = 0
        self._judged = 0
        self._boards: Counter[Verdict] = Counter()
        self._joints: Counter[Verdict] = Counter()
        self._unlike: Counter[str] = Counter()
        self._no_serial = self._retests = 0
        self._errors: Counter[Cause] = Counter()
        self._unrecorded: Counter[Cause] = Counter()
        self._examples: dict[Cause, str] = {}
        self._latency: dict[str, LatencyHistogram] = {}
        self._first_fails: list[FailedJoint] = []

    def capture(self, frames: int = 1) -> None:
        """Count frames that the source delivered or reports as lost; -1 takes one back."""
        with self._lock:
            self._captured += frames

    def add(self, judgement: Judgement, record_ns: int, end_to_end_ns: int) -> None:
        """Count a board that all sinks have recorded."""
        record = judgement.record
        with self._lock:
            self._boards[record.verdict] += 1
            self._count_joints(record)
            for one in record.units or (record,):
                self._no_serial += one.cause.startswith(Cause.NO_SERIAL)
                self._retests += one.retest > 0
            if judgement.cause is None:
                self._judged += 1
            else:
                self._errors[judgement.cause] += 1
                found = record.cause.removeprefix(f"{judgement.cause}: ")
                self._examples.setdefault(judgement.cause, f"{record.frame_name}: {found}")
            self._keep_fails(record)
            stages = dict(record.latency_ns)
            stages["verdict"] = verdict_ns = stages.pop("since_capture", 0)
            stages["record wait"] = end_to_end_ns - verdict_ns - record_ns
            for stage, ns in {**stages, "record": record_ns, "end to end": end_to_end_ns}.items():
                self._latency.setdefault(stage, LatencyHistogram()).add(ns)

    def add_unrecorded(self, cause: Cause, frames: int = 1) -> None:
        """Count frames that have no record, by cause."""
        if frames:
            with self._lock:
                self._errors[cause] += frames
                self._unrecorded[cause] += frames

    def add_partly(self, cause: Cause, record: BoardRecord) -> None:
        """Count a board that only the first sinks have recorded."""
        with self._lock:
            self._errors[cause] += 1
            self._boards[record.verdict] += 1
            self._count_joints(record)

    def _count_joints(self, record: BoardRecord) -> None:
        self._joints.update(count_verdicts(record.joints))
        self._unlike.update(count_causes(record.joints, Verdict.REVIEW))

    def _keep_fails(self, record: BoardRecord) -> None:
        full = len(self._first_fails) >= KEPT_FAILS
        if full or (record.verdict is not Verdict.FAIL and record.verdict is not Verdict.ERROR):
            return
        for joint in record.joints:
            if joint.verdict is Verdict.FAIL and len(self._first_fails) < KEPT_FAILS:
                self._first_fails.append(FailedJoint(record.frame_name, joint))

    def summary(self, wall_s: float) -> RunSummary:
        """Return a copy of the counts."""
        with self._lock:
            judged = sum(self._joints[verdict] for verdict in VERDICTS if verdict is not Verdict.ERROR)
            return RunSummary(
                captured=self._captured,
                judged=self._judged,
                boards={verdict: self._boards[verdict] for verdict in VERDICTS},
                joints={verdict: self._joints[verdict] for verdict in VERDICTS},
                errors=dict(self._errors),
                wall_s=wall_s,
                joints_per_s=judged / wall_s if wall_s > 0 else 0.0,
                latency={
                    stage: self._latency[stage].summary() for stage in sorted(self._latency, key=_place)
                },
                first_fails=tuple(self._first_fails),
                examples=dict(self._examples),
                unrecorded=dict(self._unrecorded),
                unlike_training=self._unlike[Cause.UNLIKE_TRAINING],
                unlike_golden=self._unlike[Cause.UNLIKE_GOLDEN],
                no_serial=self._no_serial,
                retests=self._retests,
            )


def _place(stage: str) -> int:
    return STAGES.index(stage) if stage in STAGES else len(STAGES)

"""Counts of a run: boards and joints by verdict, errors by cause, latencies by stage."""

import threading
from collections import Counter
from dataclasses import dataclass

from sji_edge.core.protocols import BoardRecord, JointRecord
from sji_edge.core.verdict import VERDICTS, Verdict
from sji_edge.inspection.faults import Cause
from sji_edge.inspection.judging.frame_job import Judgement
from sji_edge.inspection.observe.histogram import LatencyHistogram, LatencySummary

KEPT_FAILS = 20
STAGES = (
    *("acquire", "wait", "check", "align", "crop", "infer", "decide", "verdict"),
    *("record wait", "record", "end to end"),
)
"""In the order in which a board goes through them, which the first board need not have done."""


@dataclass(frozen=True, slots=True)
class FailedJoint:
    """A joint that failed, and the frame it was seen in."""

    frame_name: str
    joint: JointRecord


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run in figures. ``captured`` equals ``judged`` plus all of ``errors``, and what is still in flight.

    ``boards`` and ``joints`` count by verdict what is on record, ``errors`` counts boards by cause, ``unrecorded``
    those of them that no record tells of, ``examples`` says of each
    cause on record what was found first; ``joints_per_s`` counts joints with a verdict other than ERROR over
    the whole run's wall time, reading frames included. In ``latency``, ``wait`` and the stages after it of
    a judged board add up to ``verdict``, from the capture on; that, ``record wait`` and ``record`` to ``end to end``.
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

    @property
    def in_flight(self) -> int:
        """Frames between the source and their record; 0 once the run has ended."""
        return self.captured - self.judged - sum(self.errors.values())


class Tally:
    """Counts boards as they are recorded; of bounded size however long the run, and read from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._captured = 0
        self._judged = 0
        self._boards: Counter[Verdict] = Counter()
        self._joints: Counter[Verdict] = Counter()
        self._errors: Counter[Cause] = Counter()
        self._unrecorded: Counter[Cause] = Counter()
        self._examples: dict[Cause, str] = {}
        self._latency: dict[str, LatencyHistogram] = {}
        self._first_fails: list[FailedJoint] = []

    def capture(self, frames: int = 1) -> None:
        """Count frames that the source gave or says it lost; or take one back with -1."""
        with self._lock:
            self._captured += frames

    def add(self, judgement: Judgement, record_ns: int, end_to_end_ns: int) -> None:
        """Count a board that every sink has recorded."""
        record = judgement.record
        with self._lock:
            self._boards[record.verdict] += 1
            self._joints.update(joint.verdict for joint in record.joints)
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
        """Count frames that nobody judged, or that no sink has: by cause alone."""
        if frames:
            with self._lock:
                self._errors[cause] += frames
                self._unrecorded[cause] += frames

    def add_partly(self, cause: Cause, record: BoardRecord) -> None:
        """Count a board that only the first sinks have, with the record that stands there."""
        with self._lock:
            self._errors[cause] += 1
            self._boards[record.verdict] += 1
            self._joints.update(joint.verdict for joint in record.joints)

    def _keep_fails(self, record: BoardRecord) -> None:
        if record.verdict is not Verdict.FAIL and record.verdict is not Verdict.ERROR:
            return
        for joint in record.joints:
            if joint.verdict is Verdict.FAIL and len(self._first_fails) < KEPT_FAILS:
                self._first_fails.append(FailedJoint(record.frame_name, joint))

    def summary(self, wall_s: float) -> RunSummary:
        """Freeze the counts."""
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
            )


def _place(stage: str) -> int:
    return STAGES.index(stage) if stage in STAGES else len(STAGES)

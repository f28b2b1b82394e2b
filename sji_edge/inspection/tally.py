"""Counting a run: verdicts, errors by cause, and latencies by stage."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from sji_edge.core.protocols import BoardRecord, JointRecord
from sji_edge.core.verdict import VERDICTS, Verdict
from sji_edge.inspection.faults import Cause
from sji_edge.inspection.judge import Judgement

KEPT_LATENCIES = 1 << 16
KEPT_FAILS = 20


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """Percentiles in milliseconds of the last ``KEPT_LATENCIES`` values, none left out."""

    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float


class LatencyLog:
    """The last ``KEPT_LATENCIES`` latencies of one stage, in an array of fixed size."""

    def __init__(self, kept: int = KEPT_LATENCIES) -> None:
        self._values = np.zeros(kept, np.int64)
        self.count = 0

    def add(self, latency_ns: int) -> None:
        """Keep one latency, in place of the oldest when full."""
        self._values[self.count % len(self._values)] = latency_ns
        self.count += 1

    def summary(self) -> LatencySummary:
        """Return percentiles that were measured, not interpolated; zeros when nothing was."""
        values = self._values[: min(self.count, len(self._values))] / 1e6
        if not values.size:
            return LatencySummary(0, 0.0, 0.0, 0.0)
        p50, p99 = np.percentile(values, [50, 99], method="higher").tolist()
        return LatencySummary(self.count, p50, p99, float(values.max()))


@dataclass(frozen=True, slots=True)
class FailedJoint:
    """A joint that failed, and the frame it was seen in."""

    frame_name: str
    joint: JointRecord


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run in figures. ``captured`` equals ``judged`` plus all of ``errors``.

    ``boards`` and ``joints`` count by verdict, ``errors`` counts boards by cause; ``joints_per_s`` counts
    joints with a verdict other than ERROR over the whole run's wall time, reading frames included.
    """

    captured: int
    boards: dict[Verdict, int]
    joints: dict[Verdict, int]
    errors: dict[Cause, int]
    wall_s: float
    joints_per_s: float
    latency: dict[str, LatencySummary]
    first_fails: tuple[FailedJoint, ...]

    @property
    def judged(self) -> int:
        """Boards with a verdict other than ERROR, on record."""
        return self.captured - sum(self.errors.values())


@dataclass
class Tally:
    """Counts boards as they are recorded; of bounded size however long the run."""

    captured: int = 0
    boards: Counter[Verdict] = field(default_factory=Counter)
    joints: Counter[Verdict] = field(default_factory=Counter)
    errors: Counter[Cause] = field(default_factory=Counter)
    latency: dict[str, LatencyLog] = field(default_factory=dict)
    first_fails: list[FailedJoint] = field(default_factory=list)

    def add(self, judgement: Judgement, record_ns: int, end_to_end_ns: int) -> None:
        """Count a board that every sink has recorded."""
        record = judgement.record
        self.captured += 1
        self.boards[record.verdict] += 1
        self.joints.update(joint.verdict for joint in record.joints)
        if judgement.cause is not None:
            self.errors[judgement.cause] += 1
        self._keep_fails(record)
        stages = {stage: ns for stage, ns in record.latency_ns.items() if stage != "since_capture"}
        for stage, ns in {**stages, "record": record_ns, "end to end": end_to_end_ns}.items():
            self.latency.setdefault(stage, LatencyLog()).add(ns)

    def add_unrecorded(self) -> None:
        """Count a frame whose record a sink refused."""
        self.captured += 1
        self.boards[Verdict.ERROR] += 1
        self.errors[Cause.NOT_RECORDED] += 1

    def _keep_fails(self, record: BoardRecord) -> None:
        if record.verdict is not Verdict.FAIL and record.verdict is not Verdict.ERROR:
            return
        for joint in record.joints:
            if joint.verdict is Verdict.FAIL and len(self.first_fails) < KEPT_FAILS:
                self.first_fails.append(FailedJoint(record.frame_name, joint))

    def summary(self, wall_s: float) -> RunSummary:
        """Freeze the counts."""
        judged = sum(self.joints[verdict] for verdict in VERDICTS if verdict is not Verdict.ERROR)
        return RunSummary(
            captured=self.captured,
            boards={verdict: self.boards[verdict] for verdict in VERDICTS},
            joints={verdict: self.joints[verdict] for verdict in VERDICTS},
            errors=dict(self.errors),
            wall_s=wall_s,
            joints_per_s=judged / wall_s if wall_s > 0 else 0.0,
            latency={stage: log.summary() for stage, log in self.latency.items()},
            first_fails=tuple(self.first_fails),
        )

"""Conditions of a latency gate: one metric, one comparison, one number; parsed, never evaluated as code."""

import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sji_edge.benchmark.report import BenchReport, BenchRow, SubjectFacts
from sji_edge.core.errors import UsageError
from sji_edge.core.registry import nearest

ROW_METRICS = (
    "mean_ms",
    "p50_ms",
    "p90_ms",
    "p99_ms",
    "p99_9_ms",
    "max_ms",
    "joints_per_s",
    "ratio",
)
SUBJECT_METRICS = ("file_mb", "peak_rss_mb")
METRICS = (*ROW_METRICS, *SUBJECT_METRICS)
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
FORM = re.compile(
    r"\s*([A-Za-z][A-Za-z0-9_.]{0,40})\s*(?:@\s*([0-9]{1,6}))?\s*(<=|>=|<|>)\s*"
    r"([0-9]{1,15}(?:\.[0-9]{1,15})?(?:e[+-]?[0-9]{1,2})?)\s*"
)
EXAMPLE = 'METRIC[@BATCH] COMPARISON NUMBER, for example "p99_ms@1>8"'


@dataclass(frozen=True)
class Condition:
    """The gate fails when this condition holds; ``batch`` None stands for every batch size."""

    text: str
    metric: str
    batch: int | None
    comparison: str
    limit: float

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Read a condition such as ``p99_ms>8`` or ``joints_per_s@64<1000``.

        Raises:
            UsageError: another form, an unknown metric, or a batch size for a metric that has none.
        """
        match = FORM.fullmatch(text)
        if match is None:
            raise UsageError(f"cannot read the condition {text[:80]!r}", hint=EXAMPLE)
        metric, batch, comparison, limit = match.groups()
        if metric not in METRICS:
            raise UsageError(f"unknown metric {metric!r}", hint=nearest(metric, list(METRICS)))
        if batch is not None and metric in SUBJECT_METRICS:
            raise UsageError(f"{metric} does not depend on the batch size", hint=f"leave @{batch} out")
        return cls(text.strip(), metric, int(batch) if batch else None, comparison, float(limit))

    def broken_by(self, value: float) -> bool:
        """Return whether a measured value makes the gate fail."""
        return COMPARISONS[self.comparison](value, self.limit)


def failures(conditions: list[Condition], report: BenchReport, exempt: str = "") -> list[str]:
    """Say which conditions hold, and where; a condition without any measured value fails as well.

    Args:
        conditions: conditions that must not hold.
        report: what was measured.
        exempt: a subject that is measured for comparison only.
    """
    found: list[str] = []
    for condition in conditions:
        measured = list(_values(condition, report, exempt))
        if not measured:
            found.append(f"{condition.text}: nothing was measured")
        found += [
            f"{condition.text}: {value:.4g} {where}"
            for where, value in measured
            if condition.broken_by(value)
        ]
    return found


def _values(condition: Condition, report: BenchReport, exempt: str) -> Iterator[tuple[str, float]]:
    if condition.metric in SUBJECT_METRICS:
        for subject in report.subjects:
            value = _subject_value(subject, condition.metric)
            if subject.name != exempt and value is not None:
                yield f"({subject.name})", value
        return
    for row in report.rows:
        if row.subject == exempt or condition.batch not in (None, row.batch):
            continue
        figure = _row_value(row, condition.metric)
        if figure is not None:
            yield f"({row.subject}, batch {row.batch}, {row.threads} threads)", figure


def _row_value(row: BenchRow, metric: str) -> float | None:
    value: float | None = getattr(row, metric)
    return value


def _subject_value(subject: SubjectFacts, metric: str) -> float | None:
    if metric == "file_mb":
        return subject.file_bytes / 1e6
    return None if subject.peak_rss_bytes is None else subject.peak_rss_bytes / 1e6

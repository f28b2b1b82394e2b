"""Runs a whole benchmark over thread counts, batch sizes and subjects, and reports it."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sji_edge.benchmark.alternate import BlockSettings, Predict, Timing, alternate, ratio
from sji_edge.benchmark.latency import Latency
from sji_edge.core.clock import Clock
from sji_edge.core.errors import UsageError
from sji_edge.core.frozen import FrozenModel

BATCHES = (1, 8, 32, 64, 100)
OpenPredictor = Callable[[int, Sequence[int]], AbstractContextManager[Predict]]


@dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes:
        facts: its entry in the report.
        max_batch: largest batch that it takes.
        crops: uint8 ``(n, h, w, c)``, repeated to fill the batch.
        open: prepares it for a number of threads and some batch sizes.
    """

    facts: "SubjectFacts"
    max_batch: int
    crops: NDArray[np.uint8]
    open: OpenPredictor


class SubjectFacts(FrozenModel):
    """One engine, or PyTorch.

    ``file_bytes`` is the size of the engine file or the weights. ``peak_rss_bytes`` is the peak resident memory of a
    process that holds this subject alone and judges the largest batch; None if it was not measured.
    """

    name: str
    backend: str
    precision: str
    file_bytes: int
    sha256: str
    released: bool
    peak_rss_bytes: int | None = None


class BenchRow(Latency):
    """One subject at one batch size and thread count.

    ``ratio`` is the speed relative to the baseline, over all calls; ``ratio_low`` and ``ratio_high`` are the lowest
    and highest ratio of a single round.
    """

    subject: str
    threads: int
    batch: int
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None


class BenchReport(FrozenModel):
    """Everything that was measured, and under which conditions; ``skipped`` says what was left out, and why."""

    schema_version: Literal[1] = 1
    created_utc: str
    environment: dict[str, str]
    settings: BlockSettings
    baseline: str
    subjects: tuple[SubjectFacts, ...]
    rows: tuple[BenchRow, ...]
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Thread counts and batch sizes; ``step`` receives each point that is being measured, in words."""

    threads: Sequence[int]
    batches: Sequence[int]
    settings: BlockSettings
    step: Callable[[str], None] = lambda _text: None


def bench(
    subjects: Sequence[Subject],
    plan: Plan,
    *,
    clock: Clock,
    environment: dict[str, str],
    baseline: str = "",
) -> BenchReport:
    """Measure subjects side by side.

    Args:
        subjects: one or more, with different names.
        plan: what to measure.
        clock: the clock.
        environment: versions and machine, for the report.
        baseline: the subject that ratios refer to; empty: no ratios.

    Raises:
        UsageError: no subject, two subjects with the same name, an unknown baseline, or no subject takes any of the
            batch sizes.
    """
    names = [subject.facts.name for subject in subjects]
    if not names or len(set(names)) != len(names) or (baseline and baseline not in names):
        raise UsageError(
            f"subjects must have different names, and the baseline must be one of them (got {names}, {baseline!r})"
        )
    skipped = tuple(
        f"{subject.facts.name}: batch {batch} exceeds its max batch {subject.max_batch}"
        for subject in subjects
        for batch in plan.batches
        if batch > subject.max_batch
    )
    rows: list[BenchRow] = []
    for threads in plan.threads:
        with ExitStack() as stack:
            predictors = []
            for subject in subjects:
                sizes = [batch for batch in plan.batches if batch <= subject.max_batch]
                predictors.append(stack.enter_context(subject.open(threads, sizes)))
            for batch in plan.batches:
                plan.step(f"{threads} thread{'s' * (threads != 1)}, batch {batch}")
                pairs = list(zip(subjects, predictors, strict=True))
                rows += _rows(pairs, _Point(threads, batch, baseline), plan.settings, clock)
    if not rows:
        raise UsageError("no engine takes any of these batch sizes", hint="; ".join(skipped))
    return BenchReport(
        created_utc=clock.utc(),
        environment=environment,
        settings=plan.settings,
        baseline=baseline,
        subjects=tuple(subject.facts for subject in subjects),
        rows=tuple(rows),
        skipped=skipped,
    )


@dataclass(frozen=True)
class _Point:
    threads: int
    batch: int
    baseline: str


def _rows(
    pairs: Sequence[tuple[Subject, Predict]], point: _Point, settings: BlockSettings, clock: Clock
) -> list[BenchRow]:
    taking = [(subject, predict) for subject, predict in pairs if point.batch <= subject.max_batch]
    if not taking:
        return []
    timings = alternate(
        [(predict, repeated(subject.crops, point.batch)) for subject, predict in taking], settings, clock
    )
    by_name = {subject.facts.name: timing for (subject, _), timing in zip(taking, timings, strict=True)}
    base = by_name.get(point.baseline)
    return [_row(name, timing, point, base) for name, timing in by_name.items()]


def _row(name: str, timing: Timing, point: _Point, base: Timing | None) -> BenchRow:
    compared = base is not None and name != point.baseline
    overall, low, high = ratio(base, timing) if base and compared else (None, None, None)
    return BenchRow(
        **Latency.of(timing.durations_ns, point.batch).model_dump(),
        subject=name,
        threads=point.threads,
        batch=point.batch,
        ratio=overall,
        ratio_low=low,
        ratio_high=high,
    )


def repeated(crops: NDArray[np.uint8], batch: int) -> NDArray[np.uint8]:
    """Return ``batch`` crops, C-contiguous: the given ones, repeated."""
    return np.ascontiguousarray(crops[np.arange(batch) % len(crops)])

"""One candidate of ``build-engine`` at a time: built, compared with PyTorch, timed against the others."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import ModelCard
from sji_edge.core.clock import Clock, SystemClock
from sji_edge.core.protocols import Backend, Engine
from sji_edge.core.verdict import Thresholds, defect_scores
from sji_edge.metrics.thresholds import match_thresholds
from sji_edge.parity.crops import Joints
from sji_edge.parity.gate import gate, gate_for
from sji_edge.parity.run import ParityReport, check_parity, predict, unproven
from sji_edge.quantization.ladder import Candidate
from sji_edge.runtime import BACKENDS
from sji_edge.runtime.bundle.golden import Golden

TIMED_BATCH = 64
TIMED_ROUNDS = 15
WARM_UP_ROUNDS = 2
SINGLES = 5
SAME_SPEED = 1.07


@dataclass(frozen=True)
class EngineTrial:
    """A candidate, built and compared. ``times_ms``: of the timed batch, and of one crop.

    ``pending`` says why the engine could not run here, and is empty where it did; then ``report`` is that of its
    graph on the CPU, which fails for this reason alone where the graph passes.
    """

    candidate: Candidate
    engine_file: Path
    facts: dict[str, Any]
    thresholds: Thresholds
    report: ParityReport
    times_ms: tuple[float, float] = (float("inf"), float("inf"))
    pending: str = ""

    @property
    def serves(self) -> bool:
        """Whether it passed its gate, or nothing is wrong with it but that it could not run here."""
        return bool(self.report) or self.report.result.failures == (self.pending,)

    @property
    def passes_well(self) -> bool:
        """Whether it would pass with half the flips that its gate allows: other joints are not these."""
        limits = self.report.limits
        strict = limits.model_copy(update={"min_agreement": (1.0 + limits.min_agreement) / 2})
        return self.serves and bool(gate(self.report.comparison, strict))


def best(trials: Sequence[EngineTrial]) -> EngineTrial:
    """Return the trial to keep: of those that serve, the fastest, or one as fast that changes fewer verdicts.

    Times within ``SAME_SPEED`` of the fastest are not told apart: the machine's own unrest is as large, and a flip
    less is worth more than that. Where none serves, the fastest is kept for inspection; where none could be
    timed, the first of the ladder that passes with flips to spare, or else the first.
    """
    serving = [trial for trial in trials if trial.serves] or list(trials)
    limit = min(trial.times_ms[0] for trial in serving) * SAME_SPEED
    if not math.isfinite(limit):
        return next((trial for trial in serving if trial.passes_well), serving[0])
    alike = [trial for trial in serving if trial.times_ms[0] <= limit]
    return min(alike, key=lambda trial: (trial.report.comparison.flips, trial.times_ms[0]))


@dataclass(frozen=True)
class Workbench:
    """What every trial of one build shares; ``step`` is told what is being done."""

    model: Path
    backend: Backend
    card: ModelCard
    golden: Golden
    folder: Path
    step: Callable[[str], None]
    max_batch: int
    threads: int

    @property
    def timed_batch(self) -> int:
        """Crops in the batch that is timed."""
        return min(TIMED_BATCH, self.max_batch)

    def open(self, engine_file: Path, precision: str) -> Engine:
        """Open an engine file as the bundle will."""
        return self.backend.open(
            engine_file, precision=precision, max_batch=self.max_batch, threads=self.threads
        )

    def judge(self, candidate: Candidate) -> EngineTrial:
        """Build a candidate, carry the thresholds over to its scores, and put it before the gate."""
        self.step(f"{candidate.label}: building and comparing with PyTorch")
        engine_file = self.folder / f"engine-{candidate.graph.stem}{self.backend.suffix}"
        facts = self.backend.build(
            candidate.graph, engine_file, precision=candidate.precision, max_batch=self.max_batch
        )
        return self.compare(candidate, engine_file, facts)

    def compare(self, candidate: Candidate, engine_file: Path, facts: Mapping[str, Any]) -> EngineTrial:
        """Put an engine that is built before the gate; see ``judge``."""
        pending = self._pending(candidate.precision)
        # What cannot run here is judged by its graph on the CPU, and never released for that.
        engine = self._on_cpu(candidate.graph) if pending else self.open(engine_file, candidate.precision)
        reference = BACKENDS.get("onnxruntime")().open(
            self.model, precision="fp32", max_batch=self.max_batch, threads=self.threads
        )
        try:
            thresholds = self._thresholds(engine)
            report = check_parity(
                engine,
                reference,
                Joints(self.golden.crops, self.golden.labels, self.golden.logits),
                self.card,
                thresholds=thresholds,
                reference_thresholds=self.card.thresholds,
                limits=gate_for(self.card, candidate.precision),
            )
        finally:
            engine.close()
            reference.close()
        if pending:
            report = unproven(report, pending)
        return EngineTrial(
            candidate, engine_file, {**candidate.facts, **facts}, thresholds, report, pending=pending
        )

    def _pending(self, precision: str) -> str:
        reason = self.backend.incompatibility(precision, self.backend.environment())
        return f"the engine has not run yet ({reason}): its parity waits for the device" if reason else ""

    def _on_cpu(self, graph: Path) -> Engine:
        cpu: Backend = BACKENDS.get("onnxruntime")()
        return cpu.open(graph, precision="fp32", max_batch=self.max_batch, threads=self.threads)

    def timed(self, trials: list[EngineTrial], clock: Clock | None = None) -> list[EngineTrial]:
        """Time all trials in turn, so that a busy moment of the machine hits each alike."""
        if any(trial.pending for trial in trials):
            return trials
        self.step("timing")
        timer = clock or SystemClock()
        shape = (self.timed_batch, *self.card.preprocess.shape)
        batch = np.ascontiguousarray(np.resize(self.golden.crops, shape))
        engines = [self.open(trial.engine_file, trial.candidate.precision) for trial in trials]
        try:
            samples = np.array(
                [[_times_ms(engine, batch, timer) for engine in engines] for _ in range(TIMED_ROUNDS)]
            )
        finally:
            for engine in engines:
                engine.close()
        medians = np.median(samples[WARM_UP_ROUNDS:], axis=0)
        return [
            replace(trial, times_ms=(float(full), float(single)))
            for trial, (full, single) in zip(trials, medians, strict=True)
        ]

    def _thresholds(self, engine: Engine) -> Thresholds:
        scores = defect_scores(predict(engine, self.golden.crops), self.card.good_index)
        if not np.isfinite(scores).all():
            return self.card.thresholds
        labels = self.golden.labels
        return match_thresholds(
            defect_scores(self.golden.logits, self.card.good_index),
            scores,
            (labels >= 0) & (labels != self.card.good_index),
            self.card.thresholds,
        )


def _times_ms(engine: Engine, batch: NDArray[np.uint8], clock: Clock) -> tuple[float, float]:
    marks = [clock.monotonic_ns()]
    engine.infer(batch)
    marks.append(clock.monotonic_ns())
    for _ in range(SINGLES):
        engine.infer(batch[:1])
    marks.append(clock.monotonic_ns())
    return (marks[1] - marks[0]) / 1e6, (marks[2] - marks[1]) / (SINGLES * 1e6)

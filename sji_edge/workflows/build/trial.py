"""Builds one candidate engine at a time, compares it with PyTorch, and times it against the others."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import ModelCard
from sji_edge.core.clock import Clock, SystemClock
from sji_edge.core.protocols import Backend, Engine
from sji_edge.core.verdict import Thresholds, defect_scores
from sji_edge.metrics.thresholds import match_novelty, match_thresholds
from sji_edge.parity.crops import Joints
from sji_edge.parity.gate import gate, gate_for
from sji_edge.parity.run import ParityReport, check_parity, predict, unproven
from sji_edge.quantization.ladder import Candidate
from sji_edge.runtime import BACKENDS
from sji_edge.runtime.bundle.golden import Golden
from sji_edge.runtime.bundle.manifest import BlankCrops
from sji_edge.workflows.build.blank_crops import passed_blank_crops

TIMED_BATCH = 64
TIMED_ROUNDS = 15
WARM_UP_ROUNDS = 2
SINGLES = 5
SAME_SPEED = 1.07


@dataclass(frozen=True)
class EngineTrial:
    """A candidate, built and compared.

    Attributes:
        candidate: the graph that was tried.
        engine_file: the engine.
        facts: facts for the manifest.
        thresholds: the limits for this engine's scores.
        report: the comparison with PyTorch; that of the graph on the CPU where the engine could not run.
        times_ms: time for the timed batch, and for one crop.
        pending: why the engine could not run here; empty where it did. The report then fails for this reason alone
            if the graph passes.
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
        """Whether it passed its gate, or would have but for not running here."""
        return bool(self.report) or self.report.result.failures == (self.pending,)

    @property
    def passes_well(self) -> bool:
        """Whether it would pass with half the flips that its gate allows, a margin for joints it has not seen."""
        limits = self.report.limits
        strict = limits.model_copy(update={"min_agreement": (1.0 + limits.min_agreement) / 2})
        return self.serves and bool(gate(self.report.comparison, strict))


def best(trials: Sequence[EngineTrial]) -> EngineTrial:
    """Return the trial to keep: the fastest of those that serve, or one as fast that changes fewer verdicts.

    Times within ``SAME_SPEED`` of the fastest count as equal: the machine's own noise is as large, and one flip
    fewer is worth more. If none serves, the fastest is kept for inspection. If none could be timed, the first of the
    ladder that passes with flips to spare is kept, or else the first.
    """
    serving = [trial for trial in trials if trial.serves] or list(trials)
    limit = min(trial.times_ms[0] for trial in serving) * SAME_SPEED
    if not math.isfinite(limit):
        return next((trial for trial in serving if trial.passes_well), serving[0])
    alike = [trial for trial in serving if trial.times_ms[0] <= limit]
    return min(alike, key=lambda trial: (trial.report.comparison.flips, trial.times_ms[0]))


@dataclass(frozen=True)
class Workbench:
    """The inputs that all trials of one build share; ``step`` receives each step in words."""

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
        """Build a candidate, carry the thresholds over to its scores, and gate it."""
        self.step(f"{candidate.label}: building and comparing with PyTorch")
        engine_file = self.folder / f"engine-{candidate.graph.stem}{self.backend.suffix}"
        facts = self.backend.build(
            candidate.graph, engine_file, precision=candidate.precision, max_batch=self.max_batch
        )
        return self.compare(candidate, engine_file, facts)

    def compare(self, candidate: Candidate, engine_file: Path, facts: Mapping[str, Any]) -> EngineTrial:
        """Gate an engine that is built already; see ``judge``."""
        pending = self._pending(candidate.precision)
        with ExitStack() as opened:
            # An engine that cannot run here is judged by its graph on the CPU, and is not released on that evidence.
            engine = self._on_cpu(candidate.graph) if pending else self.open(engine_file, candidate.precision)
            opened.callback(engine.close)
            reference = self._on_cpu(self.model)
            opened.callback(reference.close)
            thresholds = self._thresholds(engine)
            report = check_parity(
                engine,
                reference,
                Joints.of(self.golden),
                self.card,
                thresholds=thresholds,
                reference_thresholds=self.card.thresholds,
                limits=gate_for(self.card, candidate.precision),
            )
        if pending:
            report = unproven(report, pending)
        return EngineTrial(
            candidate, engine_file, {**candidate.facts, **facts}, thresholds, report, pending=pending
        )

    def _pending(self, precision: str) -> str:
        reason = self.backend.incompatibility(precision, self.backend.environment())
        return (
            f"the engine has not run yet ({reason}): its parity check is waiting for the device"
            if reason
            else ""
        )

    def _on_cpu(self, graph: Path) -> Engine:
        cpu: Backend = BACKENDS.get("onnxruntime")()
        return cpu.open(graph, precision="fp32", max_batch=self.max_batch, threads=self.threads)

    def timed(self, trials: list[EngineTrial], clock: Clock | None = None) -> list[EngineTrial]:
        """Time the trials that serve, each in turn with the first, so that a busy moment of the machine hits both.

        At most two engines are open at once: one of TensorRT may hold a gigabyte. Trials that failed their gate are not
        compared with the others; each is timed by itself.
        """
        if any(trial.pending for trial in trials):
            return trials
        self.step("timing")
        timer = clock or SystemClock()
        serving = [number for number, trial in enumerate(trials) if trial.serves]
        groups = [serving, *([number] for number in range(len(trials)) if number not in serving)]
        times = {
            number: found
            for group in groups
            if group
            for number, found in zip(
                group, self._medians([trials[number] for number in group], timer), strict=True
            )
        }
        return [replace(trial, times_ms=times[number]) for number, trial in enumerate(trials)]

    def _medians(self, trials: Sequence[EngineTrial], timer: Clock) -> list[tuple[float, float]]:
        """Time engines one at a time against the first; returns milliseconds for the batch and for one crop.

        The others' times are their ratio to the first's, measured in turn, times the first's own.
        """
        shape = (self.timed_batch, *self.card.preprocess.shape)
        batch = np.ascontiguousarray(np.resize(self.golden.crops, shape))

        def medians(*engines: Engine) -> NDArray[np.float64]:
            rounds = [[_times_ms(engine, batch, timer) for engine in engines] for _ in range(TIMED_ROUNDS)]
            found: NDArray[np.float64] = np.median(np.array(rounds)[WARM_UP_ROUNDS:], axis=0)
            return found

        with closing(self.open(trials[0].engine_file, trials[0].candidate.precision)) as first:
            times = [medians(first)[0]]
            for trial in trials[1:]:
                with closing(self.open(trial.engine_file, trial.candidate.precision)) as other:
                    beside, its = medians(first, other)
                times.append(its / beside * times[0])
        return [(float(full), float(single)) for full, single in times]

    def blank_crops(self, trial: EngineTrial) -> BlankCrops:
        """Count the crops without a joint that a trial's engine passes by itself."""
        with closing(self.open(trial.engine_file, trial.candidate.precision)) as engine:
            return passed_blank_crops(engine, self.golden, self.card, trial.thresholds)

    def _thresholds(self, engine: Engine) -> Thresholds:
        output = predict(engine, self.golden.crops)
        scores = defect_scores(output.logits, self.card.good_index)
        if not np.isfinite(scores).all():
            return self.card.thresholds
        labels = self.golden.labels
        matched = match_thresholds(
            defect_scores(self.golden.logits, self.card.good_index),
            scores,
            (labels >= 0) & (labels != self.card.good_index),
            self.card.thresholds,
        )
        limit = self.card.thresholds.novelty
        if limit is None or self.golden.novelty is None or output.novelty is None:
            return matched.model_copy(update={"novelty": limit})
        if np.isfinite(output.novelty).all():
            limit = match_novelty(self.golden.novelty, output.novelty, scores < matched.lower, limit)
        return matched.model_copy(update={"novelty": limit})


def _times_ms(engine: Engine, batch: NDArray[np.uint8], clock: Clock) -> tuple[float, float]:
    marks = [clock.monotonic_ns()]
    engine.infer(batch)
    marks.append(clock.monotonic_ns())
    for _ in range(SINGLES):
        engine.infer(batch[:1])
    marks.append(clock.monotonic_ns())
    return (marks[1] - marks[0]) / 1e6, (marks[2] - marks[1]) / (SINGLES * 1e6)

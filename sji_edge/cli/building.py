"""How ``build-engine`` puts the floor below together: candidates, the gate, the clock, the bundle."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from sji_edge.core.card import ModelCard
from sji_edge.core.clock import SystemClock
from sji_edge.core.errors import UsageError
from sji_edge.core.files import fresh_name, newest_folder
from sji_edge.core.protocols import Backend, Engine
from sji_edge.core.verdict import Thresholds, defect_scores
from sji_edge.metrics.thresholds import match_thresholds
from sji_edge.parity.joints import Joints
from sji_edge.parity.run import ParityReport, check_parity, predict, record_of
from sji_edge.quantization.calibration_set import MANIFEST, read_calibration_set
from sji_edge.quantization.candidates import Candidate, candidates
from sji_edge.quantization.qdq import Scheme
from sji_edge.runtime import BACKENDS
from sji_edge.runtime.bundle import Bundle, write_bundle
from sji_edge.runtime.cpu import INT8_WEIGHT_BITS, cpu_facts, saturates_int8
from sji_edge.runtime.golden import Golden, read_golden
from sji_edge.runtime.manifest import GOLDEN, Attempt, BundleFacts
from sji_edge.runtime.onnxruntime import read_card

TIMED_BATCH = 64
TIMED_ROUNDS = 15
Step = Callable[[str], None]


class BuildSettings(BaseModel):
    """Every option of ``build-engine``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Path
    calibration: Path | None
    calibrations: Path
    precision: Literal["auto", "int8", "fp16", "bf16", "fp32"]
    backend: str
    method: str
    weight_bits: Literal[0, 7, 8]
    max_batch: int
    name: str
    threads: int
    engines: Path


@dataclass(frozen=True)
class Built:
    """A finished bundle and the comparison that decided on its release."""

    bundle: Bundle
    report: ParityReport


@dataclass(frozen=True)
class Trial:
    """A candidate, built and compared."""

    candidate: Candidate
    engine_file: Path
    facts: dict[str, Any]
    thresholds: Thresholds
    report: ParityReport
    times_ms: tuple[float, float] = (float("inf"), float("inf"))


def build(settings: BuildSettings, step: Step) -> Built:
    """Build candidates, gate each, keep the fastest that passes, and write the bundle.

    Args:
        settings: the command's options.
        step: told what is being done.

    Raises:
        UsageError: a name that is not known, or INT8 without a calibration set.
        GateError: the calibration set cannot serve.
        OutputError: the bundle exists.
    """
    backend: Backend = BACKENDS.get(settings.backend)()
    card = read_card(settings.model)
    golden = read_golden(settings.model.parent / GOLDEN, card)
    with tempfile.TemporaryDirectory(prefix="sji-edge-build-") as folder:
        bench = _Bench(settings, backend, card, golden, Path(folder), step)
        trials = bench.try_all()
        kept = min(trials, key=_rank)
        return Built(_bundle(settings, bench, trials, kept), kept.report)


def _rank(trial: Trial) -> tuple[bool, float]:
    """Order trials: those that pass first, then by time at the timed batch."""
    return (not trial.report, trial.times_ms[0])


class _Bench:
    """What every trial of one build shares."""

    def __init__(
        self,
        settings: BuildSettings,
        backend: Backend,
        card: ModelCard,
        golden: Golden,
        folder: Path,
        step: Step,
    ) -> None:
        self.settings, self.backend, self.card, self.folder, self.step = settings, backend, card, folder, step
        self.joints = Joints(golden.crops, golden.labels, golden.logits)
        self.scores = defect_scores(golden.logits, card.good_index)
        self.calibration: dict[str, Any] = {}
        self.weight_bits = settings.weight_bits or (7 if saturates_int8() else 8)

    def try_all(self) -> list[Trial]:
        """Build and compare candidates until the ladder ends, then time them against each other."""
        trials: list[Trial] = []
        ladder = self._candidates()
        try:
            candidate = next(ladder, None)
            while candidate is not None:
                trial = self._try(candidate)
                trials.append(trial)
                candidate = self._next(ladder, trial)
        finally:
            ladder.close()
        return self._timed(trials)

    @staticmethod
    def _next(ladder: Iterator[Candidate], trial: Trial) -> Candidate | None:
        try:
            return ladder.send(bool(trial.report))  # type: ignore[attr-defined,no-any-return]
        except StopIteration:
            return None

    def _candidates(self) -> Any:
        wanted = self.settings.precision
        crops = self._calibration_crops() if wanted in ("auto", "int8") else np.empty((0,), np.uint8)
        return candidates(
            self.settings.model,
            wanted,
            crops=crops,
            scheme=Scheme(symmetric=self.settings.backend != "onnxruntime", weight_bits=self.weight_bits),
            method=self.settings.method,
            bf16=not self.backend.incompatibility("bf16", {}),
            folder=self.folder,
            step=self.step,
        )

    def _calibration_crops(self) -> NDArray[np.uint8]:
        settings = self.settings
        chosen = settings.calibration or newest_folder(settings.calibrations, MANIFEST)
        if chosen is None:
            raise UsageError(
                f"INT8 needs a calibration set, and {settings.calibrations} holds none",
                hint="make one with sji-edge calibrate DATA, or build with --precision fp32",
            )
        crops, manifest = read_calibration_set(chosen, self.card.preprocess)
        self.calibration = {
            "set": chosen.name,
            "crops": len(manifest.crops),
            "method": manifest.method,
            "dataset_sha256": manifest.dataset_sha256,
            "ranges": settings.method,
            "weight_bits": self.weight_bits,
        }
        return crops

    def _try(self, candidate: Candidate) -> Trial:
        self.step(f"{candidate.label}: building and comparing with PyTorch")
        engine_file = self.folder / f"engine-{candidate.graph.stem}.onnx"
        facts = self.backend.build(
            candidate.graph, engine_file, precision=candidate.precision, max_batch=self.settings.max_batch
        )
        engine = self.open(engine_file, candidate.precision)
        reference = BACKENDS.get("onnxruntime")().open(
            self.settings.model,
            precision="fp32",
            max_batch=self.settings.max_batch,
            threads=self.settings.threads,
        )
        try:
            scores = defect_scores(predict(engine, self.joints.crops), self.card.good_index)
            thresholds = self.card.thresholds
            if np.isfinite(scores).all():
                thresholds = match_thresholds(self.scores, scores, self._is_defect(), thresholds)
            report = check_parity(
                engine,
                reference,
                self.joints,
                self.card,
                thresholds=thresholds,
                reference_thresholds=self.card.thresholds,
            )
        finally:
            engine.close()
            reference.close()
        return Trial(candidate, engine_file, {**facts, **candidate.facts}, thresholds, report)

    def _is_defect(self) -> NDArray[np.bool_]:
        labels = self.joints.labels
        defect: NDArray[np.bool_] = (labels >= 0) & (labels != self.card.good_index)
        return defect

    def open(self, engine_file: Path, precision: str) -> Engine:
        """Open an engine file as the bundle will."""
        return self.backend.open(
            engine_file, precision=precision, max_batch=self.settings.max_batch, threads=self.settings.threads
        )

    def _timed(self, trials: list[Trial]) -> list[Trial]:
        """Time all trials in turn, so that a busy moment of the machine hits each alike."""
        self.step("timing")
        batch = np.ascontiguousarray(
            np.resize(self.joints.crops, (self._batch(), *self.card.preprocess.shape))
        )
        engines = [self.open(trial.engine_file, trial.candidate.precision) for trial in trials]
        try:
            samples = np.array(
                [[_times_ms(engine, batch) for engine in engines] for _ in range(TIMED_ROUNDS)]
            )
        finally:
            for engine in engines:
                engine.close()
        medians = np.median(samples[2:], axis=0)
        return [
            replace(trial, times_ms=(float(full), float(single)))
            for trial, (full, single) in zip(trials, medians, strict=True)
        ]

    def _batch(self) -> int:
        return min(TIMED_BATCH, self.settings.max_batch)

    def attempt(self, trial: Trial, kept: Trial) -> Attempt:
        """One row of the manifest's table."""
        judged = trial.report.comparison
        f1 = [
            None if rates is None else rates["f1"]
            for rates in (judged.reference_rates, judged.candidate_rates)
        ]
        return Attempt(
            label=trial.candidate.label,
            precision=trial.candidate.precision,
            passed=bool(trial.report),
            kept=trial is kept,
            failures=trial.report.result.failures,
            agreement=judged.agreement,
            flips=judged.flips,
            escape_flips=judged.escape_flips,
            max_score_error=judged.scores.max if judged.scores else None,
            f1_change=None if f1[0] is None or f1[1] is None else f1[1] - f1[0],
            batch=self._batch(),
            batch_ms=round(trial.times_ms[0], 4),
            single_ms=round(trial.times_ms[1], 4),
            file_bytes=trial.engine_file.stat().st_size,
        )


def _times_ms(engine: Engine, batch: NDArray[np.uint8]) -> tuple[float, float]:
    clock = SystemClock()
    marks = [clock.monotonic_ns()]
    engine.infer(batch)
    marks.append(clock.monotonic_ns())
    for _ in range(5):
        engine.infer(batch[:1])
    marks.append(clock.monotonic_ns())
    return (marks[1] - marks[0]) / 1e6, (marks[2] - marks[1]) / 5e6


def _bundle(settings: BuildSettings, bench: _Bench, trials: list[Trial], kept: Trial) -> Bundle:
    bench.step("writing the bundle")
    stem = f"{bench.card.name}-{settings.backend}-{kept.candidate.precision}"
    name = settings.name or fresh_name(settings.engines, stem)
    environment = dict(bench.backend.environment())
    if kept.candidate.precision == "int8":
        environment[INT8_WEIGHT_BITS] = str(bench.weight_bits)
    facts = BundleFacts(
        name=name,
        backend=settings.backend,
        precision=kept.candidate.precision,
        max_batch=settings.max_batch,
        card=bench.card,
        thresholds=kept.thresholds,
        reference_thresholds=bench.card.thresholds,
        environment={**cpu_facts(), **environment},
        build=kept.facts,
        calibration=bench.calibration,
        tried=tuple(bench.attempt(trial, kept) for trial in trials),
    )
    golden = settings.model.parent / GOLDEN
    return write_bundle(
        settings.engines / name,
        facts,
        reference=settings.model,
        engine=kept.engine_file.rename(bench.folder / "engine.onnx"),
        golden=golden,
        parity=record_of(
            kept.report, engine=bench.folder / "engine.onnx", reference=settings.model, golden=golden
        ),
    )

"""Writes the bundle of the trial that was kept, with a table of everything that was tried."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sji_edge.core.errors import GateError
from sji_edge.core.files import fresh_name
from sji_edge.parity.gate import GateResult
from sji_edge.parity.run import ParityReport, record_of
from sji_edge.runtime.bundle.bundle import Bundle, write_bundle
from sji_edge.runtime.bundle.manifest import (
    BUILD_LOG,
    GOLDEN,
    GRAPH,
    LAYERS,
    Attempt,
    BundleFacts,
)
from sji_edge.runtime.host_cpu import INT8_WEIGHT_BITS
from sji_edge.runtime.onnx_graph import LAYERS_SUFFIX, LOG_SUFFIX
from sji_edge.workflows.build.trial import EngineTrial, Workbench


@dataclass(frozen=True)
class Built:
    """A finished bundle and the comparison that decided on its release.

    Attributes:
        bundle: the bundle, released or not (``bundle.manifest.released``).
        report: the parity report of the engine in it.
        pending: why the engine could not run here, if so; its graph passed the gate, and the device must prove the
            rest.
    """

    bundle: Bundle
    report: ParityReport
    pending: str = ""

    @property
    def folder(self) -> Path:
        """``engines/NAME``."""
        return self.bundle.folder

    @property
    def released(self) -> bool:
        """Whether the engine passed its gate on this machine."""
        return self.bundle.manifest.released

    def require_release(self) -> None:
        """Raise ``GateError`` if the engine failed its gate; an engine that waits for its device has not failed."""
        if not self.released and not self.pending:
            raise GateError(
                f"{self.folder} is not released: {'; '.join(self.report.result.failures)}",
                hint="build with precision auto, which falls back to the next wider precision that passes",
            )

    def __bool__(self) -> bool:
        return self.released

    def __fspath__(self) -> str:
        return str(self.bundle.folder)


def release(
    bench: Workbench,
    trials: Sequence[EngineTrial],
    kept: EngineTrial,
    *,
    engines: Path,
    name: str,
    calibration: dict[str, Any],
    weight_bits: int,
    extras: dict[str, Path] | None = None,
) -> Built:
    """Write ``ENGINES/NAME``; the bundle is released when the kept trial passed its gate.

    A trial that would PASS crops without a joint, which the loop's check misses too, is not released either.

    Args:
        bench: the workbench of the trials.
        trials: all trials, timed.
        kept: the one to release.
        engines: folder of all bundles.
        name: name of the bundle; empty: model, backend and precision.
        calibration: what the manifest says about the calibration crops.
        weight_bits: bits of INT8 weights.
        extras: other files to keep; None: ``extras_of`` the kept trial.

    Raises:
        OutputError: the bundle exists, or cannot be written.
    """
    precision, backend = kept.candidate.precision, bench.backend.name
    blank = None if kept.pending else bench.blank_crops(kept)
    report = kept.report if blank is None else also_failing(kept.report, blank.failures)
    chosen = name or fresh_name(engines, f"{bench.card.name}-{backend}-{precision}")
    environment = dict(bench.backend.environment())
    if precision == "int8":
        environment[INT8_WEIGHT_BITS] = str(weight_bits)
    facts = BundleFacts(
        name=chosen,
        backend=backend,
        precision=precision,
        max_batch=bench.max_batch,
        card=bench.card,
        thresholds=kept.thresholds,
        reference_thresholds=bench.card.thresholds,
        environment=environment,
        build=kept.facts,
        calibration=calibration,
        tried=tuple(attempt(bench, trial, kept) for trial in trials),
        blank_crops=blank,
    )
    golden = bench.model.parent / GOLDEN
    bundle = write_bundle(
        engines / chosen,
        facts,
        reference=bench.model,
        engine=kept.engine_file,
        golden=golden,
        parity=record_of(report, engine=kept.engine_file, reference=bench.model, golden=golden),
        extras=extras_of(kept.engine_file, kept.candidate.graph) if extras is None else extras,
    )
    return Built(bundle, report, kept.pending if kept.serves else "")


def also_failing(report: ParityReport, failures: tuple[str, ...]) -> ParityReport:
    """Return a report that fails for these reasons, too."""
    result = GateResult(failures=(*report.result.failures, *failures))
    return report.model_copy(update={"result": result}) if failures else report


def extras_of(engine_file: Path, graph: Path) -> dict[str, Path]:
    """Return the files that a bundle keeps beside an engine that is not a graph: the graph, the log, the layers."""
    if engine_file.suffix == graph.suffix:
        return {}
    beside = {
        BUILD_LOG: engine_file.with_suffix(LOG_SUFFIX),
        LAYERS: engine_file.with_suffix(LAYERS_SUFFIX),
    }
    return {GRAPH: graph, **{name: path for name, path in beside.items() if path.is_file()}}


def attempt(bench: Workbench, trial: EngineTrial, kept: EngineTrial) -> Attempt:
    """Return one row of the manifest's table."""
    judged = trial.report.comparison
    return Attempt(
        label=trial.candidate.label,
        precision=trial.candidate.precision,
        passed=bool(trial.report),
        kept=trial is kept,
        pending=bool(trial.pending),
        failures=trial.report.result.failures,
        agreement=judged.agreement,
        flips=judged.flips,
        escape_flips=judged.escape_flips,
        silent_guard_flips=judged.silent_guard_flips if judged.thresholds.novelty is not None else None,
        max_score_error=judged.scores.max if judged.scores else None,
        f1_change=judged.f1_change,
        batch=bench.timed_batch,
        batch_ms=None if trial.pending else round(trial.times_ms[0], 4),
        single_ms=None if trial.pending else round(trial.times_ms[1], 4),
        file_bytes=trial.engine_file.stat().st_size,
        note=trial.candidate.note,
    )

"""From an exported model to a released engine: tries the ladder of precisions and writes the bundle."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from sji_edge.core.errors import BundleError, UsageError
from sji_edge.core.files import check_new_folder, fresh_name
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.protocols import Backend
from sji_edge.quantization.calibration.dataset import read_calibration_set
from sji_edge.quantization.int8.qdq_nodes import scheme_for
from sji_edge.quantization.ladder import Candidate, Ladder, candidates
from sji_edge.runtime import BACKENDS
from sji_edge.runtime.bundle.golden import read_golden
from sji_edge.runtime.bundle.manifest import GOLDEN
from sji_edge.runtime.host_cpu import saturates_int8
from sji_edge.runtime.onnxruntime import card_in_graph
from sji_edge.runtime.tensorrt.options import DEFAULTS, TensorRtOptions
from sji_edge.workflows.artifacts import fitting_calibration
from sji_edge.workflows.build.fine_tune import QatJob, QatSettings, with_fine_tuning
from sji_edge.workflows.build.trial import EngineTrial, Workbench, best
from sji_edge.workflows.build.write_bundle import Built, release

TENSORRT_BACKENDS = ("tensorrt", "tensorrt-rtx")
CPU_HALVES = {"openvino": ("bf16",), "onnxruntime": ()}
"""CPU backends compute FP16 graphs in float32; FP16 only stores weights there, and ``auto`` leaves it out."""

Step = Callable[[str], None]


class BuildSettings(FrozenModel):
    """What to build; see ``workflows.build.build_engine``."""

    model: Path
    calibration: Path | None
    calibrations: Path
    precision: Literal["auto", "int8", "fp16", "bf16", "fp32"]
    backend: str
    method: str
    weight_bits: Literal[0, 7, 8]
    max_batch: int = Field(ge=1)
    name: str
    threads: int = Field(ge=0)
    engines: Path
    tensorrt: TensorRtOptions | None = None
    qat: QatSettings | None = None

    @model_validator(mode="after")
    def _qat_is_int8(self) -> Self:
        if self.qat is not None and self.precision not in ("auto", "int8"):
            raise ValueError(
                f"fine-tuning makes INT8 engines; precision must be auto or int8 (got {self.precision})"
            )
        return self


def build(settings: BuildSettings, step: Step) -> Built:
    """Build from parsed settings; see ``workflows.build.build_engine``."""
    backend = _backend(settings, step)
    card = card_in_graph(settings.model)
    golden = read_golden(settings.model.parent / GOLDEN, card)
    # Checked before minutes of work; the default name is always free.
    check_new_folder(settings.engines / (settings.name or fresh_name(settings.engines, card.name)))
    saturates = saturates_int8() and settings.backend not in TENSORRT_BACKENDS
    weight_bits = settings.weight_bits or (7 if saturates else 8)
    with tempfile.TemporaryDirectory(prefix="sji-edge-build-") as folder:
        bench = Workbench(
            model=settings.model,
            backend=backend,
            card=card,
            golden=golden,
            folder=Path(folder),
            step=step,
            max_batch=settings.max_batch,
            threads=settings.threads,
        )
        calibration, ladder = _ladder(settings, bench, weight_bits)
        trials = bench.timed(_climb(ladder, bench))
        kept = best(trials)
        for trial in trials:
            calibration.update(trial.candidate.measured)
        step("writing the bundle")
        return release(
            bench,
            trials,
            kept,
            engines=settings.engines,
            name=settings.name,
            calibration=calibration,
            weight_bits=weight_bits,
        )


def _backend(settings: BuildSettings, step: Step) -> Backend:
    kind = BACKENDS.get(settings.backend)
    if settings.backend not in TENSORRT_BACKENDS:
        if settings.tensorrt not in (None, DEFAULTS):
            raise UsageError(
                f"TensorRT options were given, but the backend is {settings.backend}",
                hint="choose the backend tensorrt or tensorrt-rtx, or leave the options out",
            )
        plain: Backend = kind()
        return plain
    options = settings.tensorrt or DEFAULTS
    # Beside the bundles, so that the next build on this device does not time the same kernels again.
    caches = settings.engines / ".timing"
    tensorrt: Backend = kind(options.model_copy(update={"timing_caches": caches}), step)
    return tensorrt


def _climb(ladder: Ladder, bench: Workbench) -> list[EngineTrial]:
    """Try candidates until the ladder ends; the ladder learns whether each of them passed with a margin."""
    trials: list[EngineTrial] = []
    try:
        candidate = next(ladder, None)
        while candidate is not None:
            trial = _judged(candidate, bench)
            trials.extend([] if trial is None else [trial])
            candidate = _next(ladder, passed=trial is not None and trial.passes_well)
    finally:
        ladder.close()
    return trials


def _judged(candidate: Candidate, bench: Workbench) -> EngineTrial | None:
    """Build and gate a candidate; None for an optional one that this backend cannot build."""
    try:
        return bench.judge(candidate)
    except BundleError as error:
        if not candidate.optional:
            raise
        bench.step(f"{candidate.label}: left out, {error.message}")
        return None


def _next(ladder: Ladder, *, passed: bool) -> Candidate | None:
    try:
        return ladder.send(passed)
    except StopIteration:
        return None


def _ladder(settings: BuildSettings, bench: Workbench, weight_bits: int) -> tuple[dict[str, Any], Ladder]:
    """Return the manifest's facts about the calibration, and the candidates to try."""
    calibration: dict[str, Any] = {}
    crops = np.empty((0, *bench.card.preprocess.shape), np.uint8)
    if settings.precision in ("auto", "int8"):
        crops, calibration = _calibration_crops(settings, bench)
        calibration["weight_bits"] = weight_bits
    scheme = scheme_for(settings.backend, weight_bits)
    ladder = candidates(
        settings.model,
        settings.precision,
        crops=crops,
        card=bench.card,
        scheme=scheme,
        method=settings.method,
        halves=_halves(bench.backend),
        # Elsewhere INT8 and FP16 do not meet in one graph.
        mixed=settings.backend in TENSORRT_BACKENDS,
        folder=bench.folder,
        step=bench.step,
    )
    if settings.qat is not None:
        job = QatJob(
            settings=settings.qat,
            model=settings.model,
            card=bench.card,
            crops=crops,
            scheme=scheme,
            folder=bench.folder,
            step=bench.step,
            bit_depth=calibration.get("bit_depth"),
        )
        ladder = with_fine_tuning(job, ladder)
    return calibration, ladder


def _halves(backend: Backend) -> tuple[str, ...]:
    """Return the 16-bit types that a backend computes in on this device."""
    halves = CPU_HALVES.get(backend.name, ("fp16",))
    return tuple(name for name in halves if name == "fp16" or not backend.incompatibility(name, {}))


def _calibration_crops(settings: BuildSettings, bench: Workbench) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    chosen = settings.calibration or fitting_calibration(settings.calibrations, bench.card)
    crops, manifest = read_calibration_set(chosen, bench.card.preprocess)
    forced = {"forced": list(manifest.audit.findings)} if manifest.forced else {}
    reason = manifest.unfit_for(bench.card)
    return crops, {
        **forced,
        **({"does_not_fit": reason} if reason else {}),
        **({"bit_depth": manifest.bit_depth} if manifest.bit_depth else {}),
        "set": chosen.name,
        "crops": len(manifest.crops),
        "method": manifest.method,
        "dataset_sha256": manifest.dataset_sha256,
    }

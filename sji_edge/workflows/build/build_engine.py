"""Builds an engine from an exported model; importing this module loads none of the packages for building."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sji_edge.core.extras import require
from sji_edge.core.files import StrPath
from sji_edge.core.findings import parse_settings
from sji_edge.runtime.tensorrt.options import TensorRtOptions
from sji_edge.workflows.artifacts import exported_model

if TYPE_CHECKING:
    from sji_edge.workflows.build.write_bundle import Built


def build_engine(
    model: StrPath | None = None,
    *,
    runs: StrPath = "runs",
    engines: StrPath = "engines",
    calibration: StrPath | None = None,
    calibrations: StrPath = "calibration",
    precision: str = "auto",
    backend: str = "openvino",
    method: str = "auto",
    weight_bits: int = 0,
    max_batch: int = 128,
    name: str = "",
    threads: int = 0,
    tensorrt: TensorRtOptions | None = None,
    qat: StrPath | None = None,
    qat_epochs: int = 4,
    progress: Callable[[str], None] | None = None,
) -> "Built":
    """Build an engine, prove that it decides like PyTorch, and write it as a bundle.

    Candidates are built from INT8 to FP32 and compared with PyTorch on the golden crops. The fastest one that passes
    its parity gate is released. If none passes, the fastest is kept for inspection and not released.

    Args:
        model: a run, or its ``model.onnx``; None: the most recently exported run.
        runs: folder of all runs.
        engines: folder of all engines; the bundle is written there.
        calibration: calibration set for INT8; None: the newest in ``calibrations`` that fits the run.
        calibrations: folder of all calibration sets.
        precision: ``auto``, ``int8``, ``fp16``, ``bf16`` or ``fp32``.
        backend: ``openvino``, ``onnxruntime``, ``tensorrt``, ``tensorrt-rtx``, or an installed one.
        method: how INT8 ranges are chosen: ``minmax``, ``percentile``, ``entropy``, ``mse``, or ``auto``.
        weight_bits: bits of INT8 weights, 7 or 8; 0: what this CPU needs.
        max_batch: largest number of crops in one batch.
        name: name of the bundle; empty: model, backend and precision.
        threads: CPU threads while measuring; 0 leaves the choice to the backend.
        tensorrt: options for the TensorRT builder.
        qat: dataset on whose training split an INT8 graph is fine-tuned; None: no fine-tuning.
        qat_epochs: number of passes over that split.
        progress: receives each step in words.

    Returns:
        The bundle; false in a condition when it was not released.

    Raises:
        UsageError: a name or a value that is not known, or INT8 without a calibration set that fits.
        GateError: the calibration set is unsuitable.
        OutputError: the bundle exists, or its folder cannot be written.
        MissingExtraError: a package is not installed.
    """
    require("onnx", purpose="building an engine")
    from sji_edge.workflows.build.pipeline import BuildSettings, build

    settings = parse_settings(
        BuildSettings,
        {
            "model": exported_model(None if model is None else Path(model), Path(runs)),
            "calibration": calibration,
            "calibrations": calibrations,
            "precision": precision,
            "backend": backend,
            "method": method,
            "weight_bits": weight_bits,
            "max_batch": max_batch,
            "name": name,
            "threads": threads,
            "engines": engines,
            "tensorrt": tensorrt,
            "qat": None if qat is None else {"data": qat, "epochs": qat_epochs},
        },
    )
    return build(settings, progress or (lambda _: None))

"""Exports a run to ONNX."""

from collections.abc import Callable
from pathlib import Path

from sji_edge.core import run_files
from sji_edge.core.extras import require
from sji_edge.core.files import StrPath, check_writable_file
from sji_edge.workflows.artifacts import newest_run


def export(
    run: StrPath | None = None,
    *,
    runs: StrPath = "runs",
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Export a run to ``RUN/model.onnx`` and compare the graph with PyTorch on the golden crops.

    The graph takes crops uint8 ``(n, height, width, channels)`` and gives logits float32 ``(n, classes)``; the model
    card is in its metadata.

    Args:
        run: the run; None: the newest.
        runs: folder of all runs.
        progress: receives each step in words.

    Returns:
        The ONNX file.

    Raises:
        UsageError: no such run.
        GateError: the graph gives other logits than PyTorch did; nothing is written.
        OutputError: the run's folder cannot be written.
        MissingExtraError: PyTorch or an exporting package is not installed.
    """
    require("torch", "torchvision", "safetensors", "onnx", "onnxscript", purpose="exporting a run")
    from sji_edge.exporting.onnx import export_run

    folder = newest_run(Path(runs)) if run is None else Path(run)
    if folder.is_dir():
        check_writable_file(folder / run_files.MODEL)
    (progress or (lambda _: None))("exporting and comparing with PyTorch")
    return export_run(folder)

"""``sji-edge export``."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[Path | None, typer.Argument(help="Run to export; default: the newest one.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs"),
) -> None:
    """Export a run to ONNX: uint8 crops in, logits out, the model card inside.

    Example: `sji-edge export runs/efficientnet_lite0-alpha-js`
    """
    from sji_edge.cli.render.common import console
    from sji_edge.core.extras import require

    require("torch", "torchvision", "safetensors", "onnx", "onnxscript", purpose="sji-edge export")
    from sji_edge.exporting.onnx import export_run
    from sji_edge.workflows.artifacts import newest_run

    model = export_run(run or newest_run(runs))
    console().print(f"{model} ({model.stat().st_size / 1e6:.1f} MB) agrees with PyTorch on the golden crops")
    console().print("next: sji-edge calibrate DATA, then sji-edge build-engine")

"""``sji-edge export``."""

from pathlib import Path
from typing import Annotated

import typer

from sji_edge.cli.options import RUNS, Runs


def export(
    run: Annotated[
        Path | None,
        typer.Argument(metavar="RUN", help="Run folder to export; default: the newest run."),
    ] = None,
    runs: Runs = RUNS,
) -> None:
    """Export a run to ONNX: uint8 crops in, logits out, the model card inside.

    Exit 3 if the ONNX graph's logits differ from PyTorch's on the golden crops.

    Example: `sji-edge export runs/efficientnet_lite0-alpha-js`
    """
    from sji_edge.cli.render.console import console
    from sji_edge.workflows.export import export as export_run

    with console().status("exporting") as status:
        model = export_run(run, runs=runs, progress=status.update)
    console().print(
        f"{model} ({model.stat().st_size / 1e6:.1f} MB) agrees with PyTorch on the golden crops", markup=False
    )
    console().print("next: sji-edge calibrate DATA, then sji-edge build-engine")

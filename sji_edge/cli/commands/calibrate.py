"""``sji-edge calibrate``."""

from pathlib import Path
from typing import Annotated

import typer

from sji_edge.cli.options import CALIBRATIONS, RUNS, BitDepth, Calibrations, Dataset, Runs


def calibrate(
    data: Dataset,
    run: Annotated[
        Path | None,
        typer.Option(
            help="Run whose model is quantized, or its model.onnx; default: the most recently exported run."
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Number of crops; at least one for each class.")] = 256,
    name: Annotated[str, typer.Option(help="Name of the calibration set; default: the run's name.")] = "",
    seed: Annotated[
        int, typer.Option(min=0, help="Seed for the half of the crops that is chosen at random.")
    ] = 0,
    bit_depth: BitDepth = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write the set even if the audit finds it unsuitable.")
    ] = False,
    runs: Runs = RUNS,
    calibrations: Calibrations = CALIBRATIONS,
) -> None:
    """Choose calibration crops from the training split; INT8 ranges are computed from them.

    The crops cover every class, every group and the model's feature space. Groups (photographs that belong together)
    are read from the columns file and group of DATA/labels.csv, if it exists. Exit 3 if the audit finds the crops
    unsuitable.

    Example: `sji-edge calibrate data/solder-joints --count 256`
    """
    from sji_edge.cli.render.calibration import print_audit
    from sji_edge.cli.render.console import console
    from sji_edge.workflows.calibrate import calibrate as choose_crops

    with console().status("choosing crops") as status:
        made = choose_crops(
            data,
            run=run,
            runs=runs,
            calibration=calibrations,
            count=count,
            name=name,
            seed=seed,
            bit_depth=bit_depth,
            force=force,
            progress=status.update,
        )
    print_audit(made)
    console().print("next: sji-edge build-engine")

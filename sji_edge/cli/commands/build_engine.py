"""``sji-edge build-engine``."""

from pathlib import Path
from typing import Annotated

import typer

from sji_edge.cli.options import (
    CALIBRATIONS,
    CALIBRATIONS_HELP,
    ENGINES,
    ENGINES_HELP,
    RUNS,
    RUNS_HELP,
    THREADS_HELP,
)

FOLDERS, INT8, TENSORRT = "Folders", "INT8", "TensorRT"


def build_engine(
    model: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN", help="Run folder, or its model.onnx; default: the most recently exported run."
        ),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            help="auto (the fastest that passes the parity gate), int8 (sensitive layers stay in float), "
            "fp16, bf16 or fp32."
        ),
    ] = "auto",
    backend: Annotated[
        str, typer.Option(help="openvino, onnxruntime, tensorrt, tensorrt-rtx, or an installed backend.")
    ] = "openvino",
    max_batch: Annotated[int, typer.Option(min=1, help="Largest number of crops in one batch.")] = 128,
    name: Annotated[
        str, typer.Option(help="Name of the engine's folder; default: model, backend and precision.")
    ] = "",
    threads: Annotated[int, typer.Option(min=0, help=THREADS_HELP)] = 0,
    calibration: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=INT8,
            help="Calibration set folder; default: the newest one that fits the run (same dataset, same crop size).",
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            rich_help_panel=INT8,
            help="How INT8 ranges are chosen: minmax, percentile, entropy, mse, or auto (the one with "
            "the fewest flips).",
        ),
    ] = "auto",
    weight_bits: Annotated[
        int,
        typer.Option(
            rich_help_panel=INT8,
            help="Bits of the weights: 8, or 7 for CPUs that saturate; 0 chooses for this CPU.",
        ),
    ] = 0,
    qat: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=INT8,
            metavar="DATA",
            help="Dataset whose training split fine-tunes the INT8 engine first (needs PyTorch, takes minutes).",
        ),
    ] = None,
    qat_epochs: Annotated[
        int, typer.Option(rich_help_panel=INT8, min=1, help="Number of passes over that split, with --qat.")
    ] = 4,
    batch: Annotated[
        str,
        typer.Option(
            rich_help_panel=TENSORRT,
            metavar="OPT,MAX",
            help="Batch size to tune for and the largest batch size; default: 64,128.",
        ),
    ] = "",
    recipe: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=TENSORRT,
            help="Recipe folder; TensorRT tunes for its number of joints, which is the batch of every board.",
        ),
    ] = None,
    compute_capability: Annotated[
        list[str] | None,
        typer.Option(
            rich_help_panel=TENSORRT,
            help="tensorrt-rtx: build ahead of time for a card such as 8.6; repeat the option for each card. "
            "Default: the GPU of this machine, or without one 8.6, 8.9 and 12.0.",
        ),
    ] = None,
    optimization_level: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=TENSORRT,
            min=0,
            max=5,
            help="How long TensorRT searches for fast kernels: 0 is shortest, 5 longest.",
        ),
    ] = None,
    workspace_mb: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=TENSORRT,
            min=1,
            help="Limit in MB of the device memory that layers use as scratch space.",
        ),
    ] = None,
    version_compatible: Annotated[
        bool,
        typer.Option(
            "--version-compatible",
            rich_help_panel=TENSORRT,
            help="Build a plan that later versions with the same major number can load.",
        ),
    ] = False,
    hardware_compatible: Annotated[
        bool,
        typer.Option(
            "--hardware-compatible",
            rich_help_panel=TENSORRT,
            help="Build a plan that runs on Ampere and every later GPU.",
        ),
    ] = False,
    dla: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=TENSORRT,
            min=0,
            help="DLA core to use on a Jetson; layers that fall back to the GPU are listed.",
        ),
    ] = None,
    runs: Annotated[Path, typer.Option("--runs", rich_help_panel=FOLDERS, help=RUNS_HELP)] = RUNS,
    engines: Annotated[Path, typer.Option("--engines", rich_help_panel=FOLDERS, help=ENGINES_HELP)] = ENGINES,
    calibrations: Annotated[
        Path, typer.Option("--calibrations", rich_help_panel=FOLDERS, help=CALIBRATIONS_HELP)
    ] = CALIBRATIONS,
) -> None:
    """Build an engine, prove that it decides like PyTorch, and release it; exit 3 if it does not.

    An engine for a card that is not in this machine is kept but not released: run sji-edge engine release on the
    machine with the card.

    Example: `sji-edge build-engine runs/demo --precision auto`

    Example: `sji-edge build-engine runs/demo --precision int8 --qat data/solder-joints`
    """
    from sji_edge.cli.render.build import print_built
    from sji_edge.cli.render.console import console
    from sji_edge.cli.render.tensorrt import say_targets
    from sji_edge.cli.settings import settings_or_usage_error
    from sji_edge.runtime.tensorrt.options import TensorRtOptions
    from sji_edge.workflows.build.build_engine import build_engine as build
    from sji_edge.workflows.build.tensorrt import ahead_of_time, tuned_batches

    tuned, greatest = tuned_batches(batch, max_batch, recipe)
    tensorrt = settings_or_usage_error(
        TensorRtOptions,
        compute_capabilities=tuple(compute_capability or ()),
        opt_batch=tuned,
        optimization_level=optimization_level,
        workspace_mb=workspace_mb,
        version_compatible=version_compatible,
        hardware_compatible=hardware_compatible,
        dla=dla,
    )
    targets = ahead_of_time(backend, tensorrt)
    if targets is not None:
        say_targets(targets)
    with console().status("building") as status:
        built = build(
            model,
            runs=runs,
            engines=engines,
            calibration=calibration,
            calibrations=calibrations,
            precision=precision,
            backend=backend,
            method=method,
            weight_bits=weight_bits,
            max_batch=greatest,
            name=name,
            threads=threads,
            tensorrt=tensorrt,
            qat=qat,
            qat_epochs=qat_epochs,
            progress=status.update,
        )
    print_built(built)
    built.require_release()

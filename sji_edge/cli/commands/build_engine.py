"""``sji-edge build-engine``."""

from pathlib import Path
from typing import Annotated

import typer


def build_engine(
    model: Annotated[
        Path | None, typer.Argument(help="Run, or its model.onnx; default: the newest exported run.")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Calibration set for INT8; default: the newest one.")
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            help="auto (the fastest that passes the gate), int8 (layers that it harms stay in float), "
            "fp16, bf16 or fp32."
        ),
    ] = "auto",
    backend: Annotated[
        str, typer.Option(help="openvino, onnxruntime, tensorrt or tensorrt-rtx.")
    ] = "openvino",
    method: Annotated[
        str, typer.Option(help="Ranges by minmax, percentile, entropy or mse; auto: by what decides best.")
    ] = "auto",
    weight_bits: Annotated[
        int, typer.Option(help="8, or 7 for CPUs that saturate; 0: as this CPU needs.")
    ] = 0,
    qat: Annotated[
        Path | None,
        typer.Option(help="Dataset: fine-tune INT8 on its training split first (PyTorch, minutes)."),
    ] = None,
    qat_epochs: Annotated[int, typer.Option(min=1, help="Passes over the split, with --qat.")] = 4,
    max_batch: Annotated[int, typer.Option(min=1, help="Most crops at once.")] = 128,
    name: Annotated[
        str, typer.Option(help="Name of the bundle; default: model, backend and precision.")
    ] = "",
    threads: Annotated[
        int, typer.Option(min=0, help="CPU threads while measuring; 0: the backend chooses.")
    ] = 0,
    batch: Annotated[
        str, typer.Option(help="TensorRT: OPT,MAX: the batch to tune for and the greatest; default: 64,128.")
    ] = "",
    compute_capability: Annotated[
        list[str] | None,
        typer.Option(
            help="tensorrt-rtx: build ahead of time for this card, such as 8.6; once for each card. "
            "Default: the GPU here, or without one 8.6, 8.9 and 12.0."
        ),
    ] = None,
    optimization_level: Annotated[
        int | None, typer.Option(min=0, max=5, help="TensorRT: how long to look for kernels.")
    ] = None,
    workspace_mb: Annotated[
        int | None, typer.Option(min=1, help="TensorRT: most device memory for the layers' scratch.")
    ] = None,
    version_compatible: Annotated[
        bool,
        typer.Option("--version-compatible", help="TensorRT: a plan for later versions of this major one."),
    ] = False,
    hardware_compatible: Annotated[
        bool, typer.Option("--hardware-compatible", help="TensorRT: a plan for Ampere and all later GPUs.")
    ] = False,
    dla: Annotated[
        int | None, typer.Option(min=0, help="TensorRT on a Jetson: DLA core; says which layers fall back.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs"),
    engines: Annotated[Path, typer.Option(help="Folder of all engines.")] = Path("engines"),
    calibrations: Annotated[Path, typer.Option(help="Folder of all calibration sets.")] = Path("calibration"),
) -> None:
    """Build an engine, prove that it decides as PyTorch does, and release it as a bundle; exit 3 if it does not.

    An engine for a card that is not here is kept but not released: sji-edge engine release proves it there.

    Example: `sji-edge build-engine runs/demo --precision auto`

    Example: `sji-edge build-engine runs/demo --precision int8 --qat data/solder-joints`
    """
    from sji_edge.core.extras import require

    require("onnx", purpose="sji-edge build-engine")
    from sji_edge.cli.render.build import print_tried
    from sji_edge.cli.render.common import console, settings_or_usage_error
    from sji_edge.cli.render.parity import print_parity
    from sji_edge.cli.render.tensorrt import (
        RTX,
        batches_of,
        say_build,
        say_pending,
        say_targets,
        tensorrt_options,
    )
    from sji_edge.core.errors import GateError
    from sji_edge.workflows.artifacts import exported_model
    from sji_edge.workflows.build.pipeline import BuildSettings, build

    tuned, greatest = batches_of(batch, max_batch)
    tensorrt = tensorrt_options(
        compute_capabilities=tuple(compute_capability or ()),
        opt_batch=tuned,
        optimization_level=optimization_level,
        workspace_mb=workspace_mb,
        version_compatible=version_compatible,
        hardware_compatible=hardware_compatible,
        dla=dla,
    )
    settings = settings_or_usage_error(
        BuildSettings,
        model=exported_model(model, runs),
        calibration=calibration,
        calibrations=calibrations,
        precision=precision,
        backend=backend,
        method=method,
        weight_bits=weight_bits,
        max_batch=greatest,
        name=name,
        threads=threads,
        engines=engines,
        tensorrt=tensorrt,
        qat=None if qat is None else {"data": qat, "epochs": qat_epochs},
    )
    if backend == RTX:
        say_targets(tensorrt)
    with console().status("building") as status:
        built = build(settings, lambda step: status.update(step))
    print_tried(built.bundle.manifest)
    say_build(built.bundle.manifest.build)
    print_parity(built.report, built.bundle.manifest.name, pending=built.pending)
    if built.pending:
        say_pending(built.bundle, built.pending)
        return
    if not built.bundle.manifest.released:
        raise GateError(
            f"{built.bundle.folder} is not released: {'; '.join(built.report.result.failures)}",
            hint="build with --precision auto, which falls back to the next wider precision that passes",
        )
    console().print(f"released: {built.bundle.folder}")
    console().print(f"next: sji-edge infer --stream camera0 --engine {built.bundle.folder}")

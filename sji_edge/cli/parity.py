"""``sji-edge parity``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sji_edge.parity.joints import Joints
    from sji_edge.runtime.bundle import Bundle


def parity(
    engine: Annotated[
        Path | None, typer.Argument(help="Engine bundle; default: the newest released one.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Dataset to compare on: DATA/SPLIT/CLASS/IMAGE.")] = None,
    split: Annotated[str, typer.Option(help="train, validation or test; with --data.")] = "test",
    golden: Annotated[
        bool,
        typer.Option("--golden", help="Compare on the bundle's golden crops; the default without --data."),
    ] = False,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: the backend chooses.")] = 0,
    worst: Annotated[
        Path | None, typer.Option(help="Write the crops that part the most into this folder, as a picture.")
    ] = None,
    bisect: Annotated[
        bool, typer.Option("--bisect", help="Name the first and the worst layer where the graphs part.")
    ] = False,
    tolerance: Annotated[
        float | None, typer.Option(help="Relative RMS error of --bisect; default: by precision.")
    ] = None,
    engines: Annotated[Path, typer.Option(help="Folder of all engines.")] = Path("engines"),
) -> None:
    """Prove that an engine decides as the trained model does, on this machine; exit 3 where it does not.

    The golden crops carry PyTorch's own logits, so that no PyTorch is needed. On a dataset the engine is
    held against the reference ONNX graph.

    Example: `sji-edge parity engines/demo --data data/solder-joints --split test --worst worst/ --bisect`
    """
    from sji_edge.cli.show import console
    from sji_edge.cli.show_parity import print_parity
    from sji_edge.core.errors import GateError
    from sji_edge.parity.joints import Joints, folder_joints, golden_joints
    from sji_edge.parity.pictures import save_worst
    from sji_edge.parity.run import run_parity
    from sji_edge.runtime.bundle import newest_released, open_bundle

    # An engine that was refused may be looked at; only infer must not use it.
    bundle = open_bundle(engine or newest_released(engines), require_released=False)
    chosen: dict[str, Joints] = {}
    if golden or data is None:
        chosen["golden crops"] = golden_joints(bundle)
    if data is not None:
        chosen[f"{data} {split}"] = folder_joints(data, split, bundle.card)
    failures: list[str] = []
    for name, joints in chosen.items():
        report = run_parity(bundle, joints, threads)
        print_parity(report, f"{bundle.manifest.name} on {name}")
        failures += [f"{name}: {failure}" for failure in report.result.failures]
        if worst is not None:
            what = f"{bundle.manifest.name}-{name}"
            picture = save_worst(worst, what, report.comparison, joints.crops, bundle.card.classes)
            console().print(f"worst crops: {picture}", markup=False)
        if bisect:
            _bisect(bundle, joints, f"{bundle.manifest.name} on {name}", threads, tolerance)
    if failures:
        raise GateError(f"{bundle.folder} fails its parity gate: {'; '.join(failures)}")


def _bisect(bundle: "Bundle", joints: "Joints", title: str, threads: int, tolerance: float | None) -> None:
    from contextlib import closing

    from sji_edge.cli.show_bisect import print_bisection
    from sji_edge.parity.bisect import bisect
    from sji_edge.runtime.bundle import open_engine

    with closing(open_engine(bundle, threads)) as engine:
        paths = bundle.reference_path, bundle.engine_path
        print_bisection(bisect(*paths, joints.crops, engine=engine, tolerance=tolerance), title)

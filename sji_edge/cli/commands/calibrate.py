"""``sji-edge calibrate``."""

from pathlib import Path
from typing import Annotated

import typer


def calibrate(
    data: Annotated[Path, typer.Argument(help="Dataset: DATA/{train,validation,test}/CLASS/IMAGE.")],
    run: Annotated[
        Path | None, typer.Option(help="Run whose model is quantised; default: the newest.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many crops.")] = 256,
    name: Annotated[str, typer.Option(help="Name of the set; default: the run's.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="Of the random half of the choice.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Write the set although its audit fails.")] = False,
    runs: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs"),
    calibration: Annotated[Path, typer.Option(help="Folder of all sets.")] = Path("calibration"),
) -> None:
    """Choose calibration crops from the training split: its classes, groups and the model's feature space.

    Groups (photographs that belong together) are read from DATA/labels.csv, columns file and group, where it exists.

    Example: `sji-edge calibrate data/solder-joints --count 256`
    """
    from sji_edge.cli.render.common import console
    from sji_edge.core.extras import require

    require("onnx", purpose="sji-edge calibrate")
    import onnx

    from sji_edge.cli.render.calibration import print_audit
    from sji_edge.core.files import fresh_name
    from sji_edge.data.folder import SPLIT_FOLDERS, FolderDataset
    from sji_edge.quantization.calibration.dataset import make_calibration_set
    from sji_edge.runtime.onnxruntime import card_in_graph
    from sji_edge.workflows.artifacts import exported_model

    model = exported_model(run, runs)
    card = card_in_graph(model)
    held_out = [
        split for split in ("validation", "test") if any((data / n).is_dir() for n in SPLIT_FOLDERS[split])
    ]
    dataset = FolderDataset.open(data, card.good_class, ("train", *held_out))
    folder = calibration / (name or fresh_name(calibration, card.name))
    with console().status("comparing splits, choosing crops, auditing them"):
        made = make_calibration_set(
            folder, dataset, onnx.load(model), card.preprocess, count=count, seed=seed, force=force
        )
    print_audit(folder, made)
    console().print("next: sji-edge build-engine")

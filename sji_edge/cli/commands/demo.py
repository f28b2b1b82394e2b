"""``sji-edge demo``."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    data: Annotated[
        Path | None, typer.Option(help="A dataset of yours; default: synthetic joints and boards.")
    ] = None,
    good_class: Annotated[str, typer.Option(help="The class that means: no defect.")] = "normal",
    boards: Annotated[
        Path | None, typer.Option(help="Folder of frames with their recipe; with --data.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="At most so many epochs.")] = 12,
    output: Annotated[Path, typer.Option(help="Folder for all that the demo makes.")] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Of the synthetic images and the training.")] = 0,
) -> None:
    """Run the whole way: data, train, export, calibrate, build-engine, parity, infer, and one closing table.

    Example: `sji-edge demo --data data/solder-joints`
    """
    from sji_edge.core.extras import require
    from sji_edge.core.files import fresh_name
    from sji_edge.workflows.demo import Rehearsal

    require("torch", "lightning", "onnx", "onnxscript", "matplotlib", purpose="sji-edge demo")
    folder = output.parent / fresh_name(output.parent, output.name)
    rehearsal = Rehearsal(folder, good_class=good_class, epochs=epochs, seed=seed)
    rehearsal.run(data, boards)

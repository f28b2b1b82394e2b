"""``sji-edge parity``."""

from pathlib import Path
from typing import Annotated

import typer

from sji_edge.cli.options import ENGINES, SPLIT, BitDepth, Engines, JsonFile, Split, Threads

CROPS = "Crops"
OUTPUT = "Output"
LAYERS = "Layers"


def parity(
    subjects: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[ENGINE]...",
            help="Engines, runs or model.onnx files to judge; default: the newest released engine.",
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            help="Run, model.onnx or engine to compare with; default: PyTorch's recorded logits, or with --data "
            "the engine's reference graph."
        ),
    ] = None,
    threads: Threads = 0,
    engines: Engines = ENGINES,
    data: Annotated[
        Path | None,
        typer.Option(help="Dataset folder to compare on: DATA/SPLIT/CLASS/IMAGE.", rich_help_panel=CROPS),
    ] = None,
    split: Split = SPLIT,
    bit_depth: BitDepth = None,
    golden: Annotated[
        bool,
        typer.Option(
            "--golden",
            help="Compare on the golden crops; the default without --data.",
            rich_help_panel=CROPS,
        ),
    ] = False,
    json_file: JsonFile = None,
    worst: Annotated[
        Path | None,
        typer.Option(help="Folder for a picture of the crops that differ most.", rich_help_panel=OUTPUT),
    ] = None,
    bisect: Annotated[
        bool,
        typer.Option(
            "--bisect",
            help="Find the first and the worst layer at which the two graphs differ.",
            rich_help_panel=LAYERS,
        ),
    ] = False,
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="Relative RMS error above which two layers count as different; default: by precision.",
            rich_help_panel=LAYERS,
        ),
    ] = None,
) -> None:
    """Check that an engine decides like the trained model on this machine; exit 3 if it does not.

    The golden crops carry PyTorch's own logits, so PyTorch is needed only if you name a run. The gate's limits come
    from the model card, for the coarser of the two precisions.

    Example: `sji-edge parity engines/demo --data data/solder-joints --split test --worst worst/ --bisect`

    Example: `sji-edge parity engines/demo --against runs/demo --data data/solder-joints --json-file parity.json`
    """
    from sji_edge.cli.render.parity import print_proof
    from sji_edge.core.errors import GateError
    from sji_edge.workflows.compare.compare import compare

    result = compare(
        subjects,
        against,
        data=data,
        split=split,
        bit_depth=bit_depth,
        golden=golden,
        engines=engines,
        threads=threads,
        worst=worst,
        bisect=bisect,
        tolerance=tolerance,
        json_file=json_file,
        found=print_proof,
    )
    if not result:
        raise GateError(" | ".join(result.failures))

"""Options and arguments that several commands share: one name, one default and one help text each.

A command writes ``runs: Runs = RUNS``: Typer takes the default from the command's signature. A command that groups its
options in panels of its own declares the option itself, with the default and the help text from here.
"""

from pathlib import Path
from typing import Annotated

import typer

RUNS = Path("runs")
ENGINES = Path("engines")
CALIBRATIONS = Path("calibration")
INSPECTIONS = Path("inspections")
DATABASE = INSPECTIONS / "inspections.db"
GOOD_CLASS = "normal"
SPLIT = "test"

Dataset = Annotated[
    Path,
    typer.Argument(metavar="DATA", help="Dataset folder: DATA/{train,validation,test}/CLASS/IMAGE."),
]
GoodClass = Annotated[str, typer.Option("--good-class", help="Name of the class without a defect.")]
Split = Annotated[str, typer.Option("--split", help="Split of the dataset: train, validation or test.")]

BIT_DEPTH_HELP = (
    "Bits that the samples of 16-bit images use, such as 12 for Mono12; "
    "default: 16, and images that leave the upper bits unused are refused."
)
BitDepth = Annotated[
    int | None, typer.Option("--bit-depth", min=9, max=16, help=BIT_DEPTH_HELP, show_default=False)
]

RUNS_HELP = "Folder that holds all training runs."
ENGINES_HELP = "Folder that holds all engines."
CALIBRATIONS_HELP = "Folder that holds all calibration sets."
THREADS_HELP = "Number of CPU threads; 0 lets the backend choose."
SIGNATURE_HELP = "Public key (PEM file); refuse an engine that this key did not sign."

SOURCE = "Source"
"""Panel of what ``infer`` and ``collect`` read frames from."""
IgnoreExisting = Annotated[
    bool,
    typer.Option(
        "--ignore-existing",
        help="Skip the files that a watched folder already holds.",
        rich_help_panel=SOURCE,
    ),
]
StreamBitDepth = Annotated[
    int | None,
    typer.Option(
        "--bit-depth", min=9, max=16, help=BIT_DEPTH_HELP, show_default=False, rich_help_panel=SOURCE
    ),
]
StrictStream = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Exit 3 if the stream leaves files out, such as other formats or sub-folders.",
        rich_help_panel=SOURCE,
    ),
]
MaxFrames = Annotated[
    int | None,
    typer.Option("--max-frames", min=1, help="Stop after this number of frames.", rich_help_panel=SOURCE),
]

Runs = Annotated[Path, typer.Option("--runs", help=RUNS_HELP)]
Engines = Annotated[Path, typer.Option("--engines", help=ENGINES_HELP)]
Calibrations = Annotated[Path, typer.Option("--calibrations", help=CALIBRATIONS_HELP)]
Database = Annotated[Path, typer.Option("--database", help="Database that infer wrote its records to.")]

EngineBundle = Annotated[
    Path | None, typer.Argument(metavar="ENGINE", help="Engine folder; default: the newest released engine.")
]
PublicKey = Annotated[
    Path | None,
    typer.Option("--require-signature", help=SIGNATURE_HELP),
]
RecipeFolder = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="Recipe folder with board.json and joints.csv.")
]

Threads = Annotated[int, typer.Option("--threads", min=0, help=THREADS_HELP)]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed for everything that is chosen at random.")]

PrintJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
JsonFile = Annotated[
    Path | None,
    typer.Option("--json-file", help="File to write all figures to, as JSON; replaced if it exists."),
]


def typed_options(context: typer.Context) -> set[str]:
    """Return the names of the parameters that the user typed, as opposed to those at their default."""
    return {
        name
        for name in context.params
        if (source := context.get_parameter_source(name)) is not None and source.name != "DEFAULT"
    }

"""``sji-edge challenge``."""

from pathlib import Path
from typing import Annotated

import typer

from sji_edge.cli.options import ENGINES, SPLIT, BitDepth, Engines, JsonFile, Split, Threads

LINE = "What the sentences say of the line"
INSTALLING = "Installing"


def challenge(
    new: Annotated[
        Path,
        typer.Argument(metavar="NEW", help="New engine, run or model.onnx; only an engine can be installed."),
    ],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Dataset that sji-edge dataset build wrote.")],
    against: Annotated[
        Path | None,
        typer.Option(
            help="Deployed engine; default: the newest released engine, which infer takes.",
            show_default=False,
        ),
    ] = None,
    split: Split = SPLIT,
    bit_depth: BitDepth = None,
    threads: Threads = 0,
    json_file: JsonFile = None,
    joints_per_board: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Joints of one board; default: the number of places in the dataset.",
            show_default=False,
            rich_help_panel=LINE,
        ),
    ] = None,
    defect_share: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Share of the line's joints that are defects; default: that of the dataset.",
            show_default=False,
            rich_help_panel=LINE,
        ),
    ] = None,
    engines: Engines = ENGINES,
    trust: Annotated[
        str,
        typer.Option(
            help="What a passed challenge does. show-only: it reports. semi-automatic: it installs the engine if you "
            "pass --accept. automatic: it installs the engine. Default: trust in sji-edge.toml, or show-only.",
            show_default=False,
            rich_help_panel=INSTALLING,
        ),
    ] = "",
    accept: Annotated[
        bool,
        typer.Option(
            "--accept",
            help="Install the engine if it passes, at the level semi-automatic.",
            rich_help_panel=INSTALLING,
        ),
    ] = False,
) -> None:
    """Compare a new engine with the deployed one on joints that people answered; exit 3 if it must not replace it.

    It passes if it calls every defect ever confirmed that the deployed engine calls, lets no more held-out defects
    pass, and does not call significantly more good held-out joints (exact McNemar test, 5 %). An installed engine is
    copied into --engines, and infer takes it if you name none.

    Example: `sji-edge challenge candidates/new joints-2/ --against engines/amplifier`
    """
    from sji_edge.cli.render.challenge import print_challenge
    from sji_edge.cli.render.console import console
    from sji_edge.core.config import load_config
    from sji_edge.core.errors import GateError
    from sji_edge.workflows.challenge.challenge import challenge as run_challenge

    terminal = console()
    with terminal.status("opening the engines") as status:
        result = run_challenge(
            new, data, against,
            split=split, bit_depth=bit_depth, joints_per_board=joints_per_board, defect_share=defect_share,
            trust=trust or load_config().trust, accept=accept, engines=engines, threads=threads, json_file=json_file,
            progress=lambda step: status.update(step),
        )  # fmt: skip
    print_challenge(terminal, result)
    if not result:
        raise GateError(
            f"{result.new} must not replace {result.old}: {'; '.join(result.outcome.failures)}",
            hint="label more joints like these, train again, and challenge again",
        )

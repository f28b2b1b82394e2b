"""``sji-edge demo``."""

from pathlib import Path
from typing import Annotated

import typer

from sji_edge.cli.options import GOOD_CLASS, GoodClass, Seed


def demo(
    data: Annotated[
        Path | None, typer.Option(help="Your own dataset; default: synthetic joints and boards.")
    ] = None,
    good_class: GoodClass = GOOD_CLASS,
    boards: Annotated[
        Path | None, typer.Option(help="Folder of frames to judge, with their recipe; only with --data.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Maximum number of epochs.")] = 12,
    output: Annotated[
        Path, typer.Option(help="Folder for the demo's results; a number is appended if it exists.")
    ] = Path("demo"),
    seed: Seed = 0,
) -> None:
    """Run every step once: data, train, export, calibrate, build-engine and infer, with one closing table.

    Each step prints the equivalent command.

    Example: `sji-edge demo --data data/solder-joints`
    """
    from sji_edge.core.extras import require
    from sji_edge.workflows.demo import EXTRAS
    from sji_edge.workflows.demo import demo as run_demo

    require(*EXTRAS, purpose="sji-edge demo")
    from sji_edge.cli.render.demo import DemoScreen

    screen = DemoScreen()
    screen.close(
        run_demo(
            output,
            data=data,
            boards=boards,
            good_class=good_class,
            epochs=epochs,
            seed=seed,
            listener=screen,
        )
    )

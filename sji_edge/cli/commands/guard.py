"""``sji-edge guard``."""

from pathlib import Path
from typing import Annotated

import typer

from sji_edge.cli.options import RUNS, BitDepth, Dataset, Runs
from sji_edge.cli.training_options import REVIEW_BUDGET_HELP


def guard(
    data: Dataset,
    run: Annotated[
        Path | None,
        typer.Argument(metavar="RUN", help="Run folder to give a guard; default: the newest run."),
    ] = None,
    recipe: Annotated[
        list[Path] | None,
        typer.Option(
            help="Recipe with enrolled boards, which the guard shall know; may be repeated.",
            show_default=False,
        ),
    ] = None,
    runs: Runs = RUNS,
    name: Annotated[
        str,
        typer.Option(help="Name of the new run; default: the run's name with -guard.", show_default=False),
    ] = "",
    review_budget: Annotated[
        str,
        typer.Option(help=REVIEW_BUDGET_HELP),
    ] = "1%",
    bit_depth: BitDepth = None,
) -> None:
    """Fit a guard to a trained run, and write both as a new run; the classifier is not trained again.

    With --recipe the guard also learns the good joints of the recipe's enrolled boards. Crops that a person framed
    differ from those that a recipe cuts, and a guard that knows only the former sends many good joints to REVIEW.

    Example: `sji-edge guard joints/ --recipe boards/amplifier`
    """
    from sji_edge.cli.render.console import console
    from sji_edge.cli.render.training import print_run
    from sji_edge.core.review_budget import parse_budget
    from sji_edge.workflows.guard import fit_guard

    made = fit_guard(
        data,
        run,
        recipes=recipe or (),
        runs=runs,
        name=name,
        review_budget=parse_budget(review_budget),
        bit_depth=bit_depth,
        progress=lambda line: console().print(line, markup=False),
    )
    print_run(made.folder, made.card)
    console().print(f"next: sji-edge export {made.folder}, then sji-edge build-engine", markup=False)

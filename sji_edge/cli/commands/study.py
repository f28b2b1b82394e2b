"""``sji-edge study``."""

from pathlib import Path
from typing import Annotated

import typer

from sji_edge.cli.options import GOOD_CLASS, Dataset, GoodClass

COMPARED, BUDGET, MACHINES = "Comparison", "Budget of each method", "Machines"


def study(
    data: Dataset,
    good_class: GoodClass = GOOD_CLASS,
    preset: Annotated[
        str,
        typer.Option(
            help="quick: last blocks only, 8 methods, two backbones, 3 seeds, about ten minutes on two CPU cores; "
            "full: whole networks, all methods, the paper's backbones, 5 seeds.",
        ),
    ] = "quick",
    output: Annotated[
        Path, typer.Option(help="Folder for the study; an existing study in it is continued.")
    ] = Path("studies/study"),
    methods: Annotated[
        str,
        typer.Option(help="Methods, separated by commas; default: the preset's.", rich_help_panel=COMPARED),
    ] = "",
    backbones: Annotated[
        str,
        typer.Option(
            help="Models, separated by commas; resnet18+cbam adds attention. Default: the preset's.",
            rich_help_panel=COMPARED,
        ),
    ] = "",
    replicates: Annotated[
        int | None, typer.Option(min=100, help="Number of bootstrap resamples.", rich_help_panel=COMPARED)
    ] = None,
    guard: Annotated[
        bool,
        typer.Option(
            "--guard",
            help="Fit a guard to each trained model, and compare what it passes that was never learned; preset full.",
            rich_help_panel=COMPARED,
        ),
    ] = False,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of seeds with which each method's best settings are trained.",
            rich_help_panel=BUDGET,
        ),
    ] = None,
    tries: Annotated[
        int | None,
        typer.Option(min=1, help="Number of settings tried for each method.", rich_help_panel=BUDGET),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Number of epochs of each training.", rich_help_panel=BUDGET)
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(min=16, max=1024, help="Side of the crop in pixels.", rich_help_panel=BUDGET),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            min=0,
            help="Number of processes; 0 starts one per GPU, or one per CPU core.",
            rich_help_panel=MACHINES,
        ),
    ] = 0,
    threads: Annotated[
        int, typer.Option(min=1, help="Number of CPU threads of each process.", rich_help_panel=MACHINES)
    ] = 1,
    storage: Annotated[
        str,
        typer.Option(
            help="Optuna storage that several machines share: a journal file or the URL of a database.",
            rich_help_panel=MACHINES,
        ),
    ] = "",
) -> None:
    """Compare training methods on one dataset: the same budget for each, settings chosen on validation.

    Writes a table (mean ± sd over seeds, bootstrap intervals, a paired test against the best), figures and every
    trial into OUTPUT. An interrupted study continues where it stopped; machines that share OUTPUT share the work.

    Example: `sji-edge study data/solder-joints --methods ce,alpha-js-0.5,focal`
    """
    from sji_edge.cli.render.console import console
    from sji_edge.core.extras import require
    from sji_edge.workflows.study import EXTRAS
    from sji_edge.workflows.study import study as run_study

    require(*EXTRAS, purpose="sji-edge study")
    screen = console()
    result = run_study(
        data,
        preset=preset,
        methods=_words(methods),
        backbones=_words(backbones),
        seeds=seeds,
        tries=tries,
        epochs=epochs,
        image_size=image_size,
        replicates=replicates,
        guard=guard,
        good_class=good_class,
        workers=workers,
        threads=threads,
        storage=storage,
        output=output,
        progress=lambda line: screen.print(line, markup=False),
    )
    screen.print(result.table.read_text(), markup=False)
    screen.print(f"table, figures and trials: {result.folder}", markup=False)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")] if text else []

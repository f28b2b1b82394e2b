"""``sji-edge study``."""

from pathlib import Path
from typing import Annotated

import typer


def study(
    data: Annotated[Path, typer.Argument(help="Dataset: DATA/{train,validation,test}/CLASS/IMAGE.")],
    preset: Annotated[
        str,
        typer.Option(
            help="quick: last blocks only, 8 methods, two backbones, 3 seeds, about ten minutes on two CPU cores; "
            "full: whole networks, all methods, the paper's backbones, 5 seeds."
        ),
    ] = "quick",
    methods: Annotated[str, typer.Option(help="Comma-separated; default: the preset's.")] = "",
    backbones: Annotated[
        str, typer.Option(help="Comma-separated models; resnet18+cbam adds attention.")
    ] = "",
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Trainings of each method's best settings.")
    ] = None,
    tries: Annotated[int | None, typer.Option(min=1, help="Settings tried for each method.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of every training.")] = None,
    image_size: Annotated[int | None, typer.Option(min=16, max=1024, help="Side of the crop.")] = None,
    replicates: Annotated[int | None, typer.Option(min=100, help="Of the bootstrap.")] = None,
    good_class: Annotated[str, typer.Option(help="The class that means: no defect.")] = "normal",
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one a GPU, or one a core.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each process.")] = 1,
    storage: Annotated[
        str, typer.Option(help="Optuna's, for several machines: a journal file or a database's URL.")
    ] = "",
    out: Annotated[Path, typer.Option(help="Folder of the study; one that is there goes on.")] = Path(
        "studies/study"
    ),
) -> None:
    """Compare ways to train on one dataset: the same budget for each, settings chosen on validation.

    Writes a table (mean ± sd over seeds, bootstrap intervals, a paired test against the best), figures and every
    trial into OUT. An interrupted study goes on where it stopped; machines that share OUT share the work.

    Example: `sji-edge study data/solder-joints --methods ce,alpha-js-0.5,focal`
    """
    from sji_edge.cli.render.console import console
    from sji_edge.cli.settings import settings_or_usage_error
    from sji_edge.core.errors import UsageError
    from sji_edge.core.extras import require
    from sji_edge.core.registry import nearest

    require("torch", "torchvision", "lightning", "optuna", "matplotlib", purpose="sji-edge study")
    from sji_edge.studies.report import report
    from sji_edge.studies.run import run_study
    from sji_edge.studies.settings import PRESETS, Budget, StudySettings, default_workers

    if preset not in PRESETS:
        raise UsageError(f"unknown preset {preset!r}", hint=nearest(preset, [*PRESETS]))
    given = {"seeds": seeds, "tries": tries, "replicates": replicates}
    own: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    own |= {
        name: tuple(word.strip() for word in text.split(","))
        for name, text in (("methods", methods), ("backbones", backbones))
        if text
    }
    changes = {"epochs": epochs, "image_size": image_size}
    budget = PRESETS[preset]["budget"]
    assert isinstance(budget, Budget)
    settings = settings_or_usage_error(
        StudySettings,
        **{
            **PRESETS[preset],
            "budget": budget.model_copy(update={k: v for k, v in changes.items() if v is not None}),
            **own,
            "data": data,
            "out": out,
            "good_class": good_class,
            "workers": workers or default_workers(threads),
            "threads": threads,
            "storage": storage,
        },
    )
    screen = console()
    cells = run_study(settings, screen.print)
    report(settings, cells)
    screen.print((out / "table.md").read_text(), markup=False)
    screen.print(f"table, figures and trials: {out}")

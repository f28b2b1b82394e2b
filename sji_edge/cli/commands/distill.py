"""``sji-edge distill``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sji_edge.cli.options import RUNS, Runs, Seed, typed_options
from sji_edge.cli.training_options import (
    MODEL,
    RUN,
    SCHEDULE,
    Accelerator,
    BatchSize,
    Devices,
    Guard,
    LearningRate,
    NoTest,
    Resume,
    Strict,
    WeightDecay,
    Workers,
)

TEACHERS = "Teachers"


def distill(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RUN... DATA",
            help="One teacher or several, and then the dataset folder; optional with --resume.",
            show_default=False,
        ),
    ] = None,
    no_test: NoTest = False,
    strict: Strict = False,
    name: Annotated[
        str,
        typer.Option(
            help="Name of the run; default: that of the teacher, and -student.", rich_help_panel=RUN
        ),
    ] = "",
    runs: Runs = RUNS,
    resume: Resume = False,
    seed: Seed = 0,
    model: Annotated[
        str,
        typer.Option(
            help="Architecture of the student: joint_net_s, joint_net_m, or any that train takes.",
            rich_help_panel=MODEL,
        ),
    ] = "joint_net_s",
    weights: Annotated[
        str,
        typer.Option(
            help="Initial weights of the student: none, imagenet, a weights file or a run's folder.",
            rich_help_panel=MODEL,
        ),
    ] = "none",
    guard: Guard = True,
    teacher_views: Annotated[
        int,
        typer.Option(
            min=1,
            help="Number of jittered views of each training joint that the teachers judge.",
            rich_help_panel=TEACHERS,
        ),
    ] = 12,
    temperature: Annotated[
        float,
        typer.Option(
            help="Softens the answers of teachers and student; more than 0.", rich_help_panel=TEACHERS
        ),
    ] = 2.0,
    teacher_share: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Weight of the teachers' answers in the loss; the labels have the rest.",
            rich_help_panel=TEACHERS,
        ),
    ] = 0.8,
    epochs: Annotated[int, typer.Option(min=1, help="Number of epochs.", rich_help_panel=SCHEDULE)] = 45,
    batch_size: BatchSize = 32,
    learning_rate: LearningRate = 4e-3,
    weight_decay: WeightDecay = 1e-2,
    workers: Workers = 0,
    accelerator: Accelerator = "auto",
    devices: Devices = "auto",
) -> None:
    """Teach a small, fast network what trained runs answer.

    The teachers judge jittered views of every training joint once; the student learns from their answers and the
    labels. Classes and crops are the teachers'.

    Example: `sji-edge distill runs/efficientnet_lite0-alpha-js data/solder-joints`

    Example: `sji-edge distill runs/seed0 runs/seed1 runs/seed2 data/solder-joints --model joint_net_m`

    Example: `sji-edge distill --resume`
    """
    from sji_edge.cli.render.audit import print_finding
    from sji_edge.cli.render.console import console
    from sji_edge.cli.render.training import print_run, training_progress
    from sji_edge.cli.settings import option_name
    from sji_edge.core.extras import require
    from sji_edge.workflows.distill import distill_settings
    from sji_edge.workflows.train import EXTRAS, run_training

    require(*EXTRAS, purpose="sji-edge distill")
    values = {
        "runs": runs,
        "name": name,
        "model": model,
        "weights": weights,
        "guard": guard,
        "teacher_views": teacher_views,
        "temperature": temperature,
        "teacher_share": teacher_share,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "seed": seed,
        "no_test": no_test,
        "workers": workers,
        "accelerator": accelerator,
        "devices": devices,
        "resume": resume,
    }
    # Only what was typed counts as given: a resumed run takes the rest from its own record.
    typed = typed_options(context)
    given: dict[str, Any] = {key: value for key, value in values.items() if key in typed}
    if paths:
        given["data"] = paths[-1]
    settings = distill_settings(paths[:-1] if paths else [], given, option_name)
    with training_progress() as (progress, steps):
        run = run_training(settings, strict=strict, progress=progress, steps=steps, on_finding=print_finding)
    print_run(run.folder, run.card)
    console().print(f"next: sji-edge export {run.folder}", markup=False)

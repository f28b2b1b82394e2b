"""Options that ``train`` and ``distill`` share, each in the panel that both show it in."""

from typing import Annotated

import typer

MODEL, LOSS, SCHEDULE, HARDWARE, RUN = "Model", "Loss", "Schedule", "Hardware", "Run"

REVIEW_BUDGET_HELP = (
    "Share of the good joints that may go to REVIEW, such as 1%; the limits of the score and of the guard are chosen "
    "for it."
)

NoTest = Annotated[bool, typer.Option("--no-test", help="The dataset has no test split.")]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict", help="Exit 3 before training when the dataset has a serious fault or files are left out."
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Continue an interrupted run with its own options; an option that differs is refused.",
        rich_help_panel=RUN,
    ),
]
Guard = Annotated[
    bool,
    typer.Option(
        "--guard/--no-guard",
        help="Fit a guard: what is unlike the good training joints becomes REVIEW instead of PASS.",
        rich_help_panel=MODEL,
    ),
]
BatchSize = Annotated[
    int, typer.Option("--batch-size", min=2, help="Number of crops per step.", rich_help_panel=SCHEDULE)
]
LearningRate = Annotated[
    float,
    typer.Option(
        "--learning-rate", help="Peak learning rate of the one-cycle schedule.", rich_help_panel=SCHEDULE
    ),
]
WeightDecay = Annotated[
    float,
    typer.Option(
        "--weight-decay", min=0.0, help="Weight decay of the AdamW optimizer.", rich_help_panel=SCHEDULE
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        "--workers", min=0, help="Number of processes that prepare crops.", rich_help_panel=HARDWARE
    ),
]
Accelerator = Annotated[
    str,
    typer.Option(
        "--accelerator", help="Lightning's accelerator: auto, cpu or gpu.", rich_help_panel=HARDWARE
    ),
]
Devices = Annotated[
    str, typer.Option("--devices", help="Number of devices, or auto.", rich_help_panel=HARDWARE)
]

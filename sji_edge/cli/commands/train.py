"""``sji-edge train``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sji_edge.cli.options import GOOD_CLASS, RUNS, BitDepth, GoodClass, Runs, Seed, typed_options
from sji_edge.cli.training_options import (
    HARDWARE,
    LOSS,
    MODEL,
    REVIEW_BUDGET_HELP,
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


def train(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="DATA",
            help="Dataset folder: DATA/{train,validation,test}/CLASS/IMAGE; optional with --resume.",
            show_default=False,
        ),
    ] = None,
    good_class: GoodClass = GOOD_CLASS,
    bit_depth: BitDepth = None,
    no_test: NoTest = False,
    strict: Strict = False,
    name: Annotated[
        str, typer.Option(help="Name of the run; default: model and loss.", rich_help_panel=RUN)
    ] = "",
    runs: Runs = RUNS,
    resume: Resume = False,
    seed: Seed = 0,
    model: Annotated[
        str,
        typer.Option(
            help="Architecture: efficientnet_lite0, 1 or 2, joint_net_s or joint_net_m, or any torchvision "
            "classifier (resnet18, googlenet, swin_t, …).",
            rich_help_panel=MODEL,
        ),
    ] = "efficientnet_lite0",
    weights: Annotated[
        str,
        typer.Option(
            help="Initial weights: imagenet, none, a weights file or a run's folder; "
            "auto uses ImageNet's if they are on this machine.",
            rich_help_panel=MODEL,
        ),
    ] = "auto",
    image_size: Annotated[
        int, typer.Option(min=16, max=1024, help="Side of the crop in pixels.", rich_help_panel=MODEL)
    ] = 84,
    channels: Annotated[
        str, typer.Option(help="1 (grey), 3 (BGR), or auto to follow the images.", rich_help_panel=MODEL)
    ] = "auto",
    guard: Guard = True,
    review_budget: Annotated[
        str,
        typer.Option(help=REVIEW_BUDGET_HELP, rich_help_panel=MODEL),
    ] = "1%",
    attention: Annotated[
        str,
        typer.Option(help="Attention after each stage of a ResNet: none, cbam or se.", rich_help_panel=MODEL),
    ] = "none",
    student: Annotated[
        str,
        typer.Option(
            help="Architecture of a small, fast network that the finished run teaches, as sji-edge distill does: "
            "joint_net_s, joint_net_m or any other; none trains this run alone.",
            rich_help_panel=MODEL,
        ),
    ] = "none",
    loss: Annotated[
        str,
        typer.Option(
            help="Loss function: alpha-js, ce, label-smoothing, confidence-penalty, focal, "
            "margin-label-smoothing, poly1, "
            "logit-norm, mutual-channel or pairwise-confusion.",
            rich_help_panel=LOSS,
        ),
    ] = "alpha-js",
    loss_option: Annotated[
        list[str] | None,
        typer.Option(
            help="Option of the loss as key=value, such as gamma=3 for focal; repeat it for several.",
            rich_help_panel=LOSS,
        ),
    ] = None,
    alpha: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Skew of J_α: 0 is the confidence penalty, 1 label smoothing.",
            rich_help_panel=LOSS,
        ),
    ] = 0.1,
    beta: Annotated[float, typer.Option(min=0.0, help="Weight of J_α.", rich_help_panel=LOSS)] = 0.3,
    legacy_double_softmax: Annotated[
        bool,
        typer.Option(
            "--legacy-double-softmax",
            help="Use the penalty as the authors' published script computes it, for comparison.",
            rich_help_panel=LOSS,
        ),
    ] = False,
    class_weights: Annotated[
        str,
        typer.Option(
            help="Weights of the classes: none, balanced, or one number per class, such as 1,8.",
            rich_help_panel=LOSS,
        ),
    ] = "none",
    sampler: Annotated[
        str,
        typer.Option(
            help="How crops are drawn: none (each once per epoch), or balanced (every class equally often).",
            rich_help_panel=LOSS,
        ),
    ] = "none",
    views: Annotated[
        str,
        typer.Option(
            help="Second view of each joint, weighted with half of the loss: attention-crop (after "
            "WS-DAN), jigsaw (after PMG and DCL) or none.",
            rich_help_panel=LOSS,
        ),
    ] = "none",
    epochs: Annotated[
        int, typer.Option(min=1, help="Maximum number of epochs.", rich_help_panel=SCHEDULE)
    ] = 12,
    batch_size: BatchSize = 32,
    learning_rate: LearningRate = 1e-3,
    weight_decay: WeightDecay = 1e-2,
    patience: Annotated[
        int,
        typer.Option(
            min=1, help="Epochs without improvement before training stops.", rich_help_panel=SCHEDULE
        ),
    ] = 6,
    workers: Workers = 0,
    accelerator: Accelerator = "auto",
    devices: Devices = "auto",
    nodes: Annotated[int, typer.Option(min=1, help="Number of machines.", rich_help_panel=HARDWARE)] = 1,
    strategy: Annotated[
        str, typer.Option(help="Lightning's strategy: auto, ddp, …", rich_help_panel=HARDWARE)
    ] = "auto",
) -> None:
    """Train a classifier on labelled crops, with the α-skew Jensen-Shannon penalty on over-confidence.

    Example: `sji-edge train data/solder-joints --beta 0.3`

    Example: `sji-edge train data/solder-joints --loss focal --loss-option gamma=3`

    Example: `sji-edge train data/solder-joints --student joint_net_s`

    Example: `sji-edge train --resume --name demo`
    """
    from sji_edge.cli.render.audit import print_finding
    from sji_edge.cli.render.console import console
    from sji_edge.cli.render.training import print_run, training_progress
    from sji_edge.cli.settings import settings_or_usage_error
    from sji_edge.core.extras import require
    from sji_edge.core.review_budget import parse_budget
    from sji_edge.workflows.train import EXTRAS, loss_card, run_training

    require(*EXTRAS, purpose="sji-edge train")
    from sji_edge.losses.build import parse_options
    from sji_edge.training.settings import TrainSettings

    values = {
        "data": data,
        "runs": runs,
        "name": name,
        "good_class": good_class,
        "bit_depth": bit_depth,
        "model": model,
        "weights": weights,
        "image_size": image_size,
        "channels": channels,
        "attention": attention,
        "guard": guard,
        "student": student,
        "review_budget": parse_budget(review_budget),
        "class_weights": class_weights,
        "sampler": sampler,
        "views": views,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "patience": patience,
        "seed": seed,
        "no_test": no_test,
        "workers": workers,
        "accelerator": accelerator,
        "devices": devices,
        "nodes": nodes,
        "strategy": strategy,
        "resume": resume,
    }
    typed = typed_options(context)
    # Only what was typed counts as given: a resumed run takes the rest from its own record.
    given: dict[str, Any] = {key: value for key, value in values.items() if key in typed}
    if typed & {"loss", "loss_option", "alpha", "beta", "legacy_double_softmax"}:
        options = parse_options(loss_option or [])
        given["loss"] = loss_card(loss, options, alpha=alpha, beta=beta, legacy=legacy_double_softmax)
    settings = settings_or_usage_error(TrainSettings, **given)
    with training_progress() as (progress, steps):
        run = run_training(settings, strict=strict, progress=progress, steps=steps, on_finding=print_finding)
    if run.teacher is not None:
        print_run(run.teacher.folder, run.teacher.card)
    print_run(run.folder, run.card)
    console().print(f"next: sji-edge export {run.folder}", markup=False)

"""``sji-edge train``."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    data: Annotated[Path, typer.Argument(help="Dataset: DATA/{train,validation,test}/CLASS/IMAGE.")],
    name: Annotated[str, typer.Option(help="Name of the run; default: model and loss.")] = "",
    good_class: Annotated[str, typer.Option(help="The class that means: no defect.")] = "normal",
    model: Annotated[
        str,
        typer.Option(
            help="efficientnet_lite0, 1 or 2, or any torchvision classifier (resnet18, googlenet, swin_t, …)."
        ),
    ] = "efficientnet_lite0",
    weights: Annotated[
        str,
        typer.Option(
            help="Start from: imagenet, none, a weights file, a run's folder; "
            "auto takes ImageNet's where they are on this machine."
        ),
    ] = "auto",
    image_size: Annotated[int, typer.Option(min=16, max=1024, help="Side of the crop in pixels.")] = 84,
    channels: Annotated[str, typer.Option(help="1 (grey), 3 (BGR) or auto: as the images are.")] = "auto",
    attention: Annotated[
        str, typer.Option(help="none, cbam or se: attention behind each stage of a ResNet.")
    ] = "none",
    loss: Annotated[
        str,
        typer.Option(
            help="alpha-js, ce, label-smoothing, confidence-penalty, focal, margin-label-smoothing, poly1, "
            "logit-norm, mutual-channel or pairwise-confusion."
        ),
    ] = "alpha-js",
    loss_option: Annotated[
        list[str] | None,
        typer.Option(help="An option of the loss, key=value: gamma=3 for focal; repeat it for more."),
    ] = None,
    alpha: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Skew of J_α: 0 confidence penalty, 1 label smoothing.")
    ] = 0.1,
    beta: Annotated[float, typer.Option(min=0.0, help="Weight of J_α.")] = 0.3,
    legacy_double_softmax: Annotated[
        bool, typer.Option("--legacy-double-softmax", help="The authors' published penalty, for comparison.")
    ] = False,
    class_weights: Annotated[
        str, typer.Option(help="Weights in the loss: none, balanced, or one number a class: 1,8.")
    ] = "none",
    sampler: Annotated[str, typer.Option(help="none, or balanced: every class equally often.")] = "none",
    views: Annotated[
        str,
        typer.Option(
            help="Half of the loss on a second view of each joint: attention-crop (after WS-DAN), "
            "jigsaw (after PMG and DCL) or none."
        ),
    ] = "none",
    epochs: Annotated[int, typer.Option(min=1, help="At most so many epochs.")] = 12,
    batch_size: Annotated[int, typer.Option(min=2, help="Crops at once.")] = 32,
    learning_rate: Annotated[float, typer.Option(help="Peak of the one-cycle schedule.")] = 1e-3,
    weight_decay: Annotated[float, typer.Option(min=0.0, help="AdamW's weight decay.")] = 1e-2,
    patience: Annotated[int, typer.Option(min=1, help="Stop after so many epochs without a better one.")] = 6,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same machine: same weights.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare crops.")] = 0,
    accelerator: Annotated[str, typer.Option(help="Lightning's: auto, cpu, gpu.")] = "auto",
    devices: Annotated[str, typer.Option(help="How many devices, or auto.")] = "auto",
    nodes: Annotated[int, typer.Option(min=1, help="How many machines.")] = 1,
    strategy: Annotated[str, typer.Option(help="Lightning's: auto, ddp, …")] = "auto",
    no_test: Annotated[bool, typer.Option("--no-test", help="The dataset has no test split.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted run of this name.")
    ] = False,
    runs: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs"),
) -> None:
    """Train a classifier on labelled crops, with the α-skew Jensen-Shannon penalty on over-confidence.

    Example: `sji-edge train data/solder-joints --beta 0.3`, or with another loss:
    `sji-edge train data/solder-joints --loss focal --loss-option gamma=3`
    """
    from sji_edge.cli.commands.audit import print_findings
    from sji_edge.cli.render.common import console, print_run, settings_or_usage_error
    from sji_edge.core.extras import require

    require(
        "torch",
        "torchvision",
        "lightning",
        "torchmetrics",
        "safetensors",
        "matplotlib",
        purpose="sji-edge train",
    )
    from sji_edge.core.card import LossCard
    from sji_edge.data.audit import short_audit
    from sji_edge.data.folder import FolderDataset
    from sji_edge.losses.build import parse_options
    from sji_edge.training import train as fit
    from sji_edge.training.settings import TrainSettings

    options = parse_options(loss_option or [])
    if loss == "alpha-js":
        options = {
            "alpha": alpha,
            "beta": beta,
            "legacy_double_softmax": legacy_double_softmax,
            **options,
        }
    settings = settings_or_usage_error(
        TrainSettings,
        data=data,
        runs=runs,
        name=name,
        good_class=good_class,
        model=model,
        weights=weights,
        image_size=image_size,
        channels=channels,
        attention=attention,
        loss=LossCard(name=loss, settings=options),
        class_weights=class_weights,
        sampler=sampler,
        views=views,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        patience=patience,
        seed=seed,
        workers=workers,
        accelerator=accelerator,
        devices=devices,
        nodes=nodes,
        strategy=strategy,
        resume=resume,
    )
    splits = ("train", "validation") if no_test else ("train", "validation", "test")
    dataset = FolderDataset.open(data, good_class, splits)
    print_findings(short_audit(dataset))
    run = fit.train(settings, dataset)
    print_run(run.folder, run.card)
    console().print(f"next: sji-edge export {run.folder}")

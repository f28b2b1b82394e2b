"""Trains a classifier: checks the dataset, fits the model, and writes the run."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sji_edge.core.card import LossCard
from sji_edge.core.errors import GateError, UsageError
from sji_edge.core.extras import require
from sji_edge.core.files import StrPath, check_writable_folder
from sji_edge.core.findings import parse_settings
from sji_edge.core.review_budget import DEFAULT_BUDGET
from sji_edge.data.audit import Finding, short_audit
from sji_edge.data.folder import FolderDataset
from sji_edge.training.resume import resumed
from sji_edge.training.run_folder import check_names, check_new_run, run_name, student_name, work_folder
from sji_edge.training.settings import TrainSettings

EXTRAS = ("torch", "torchvision", "lightning", "torchmetrics", "safetensors", "matplotlib")

if TYPE_CHECKING:
    from sji_edge.losses.build import Option
    from sji_edge.training.train import Run


def train(
    data: StrPath | None = None,
    *,
    runs: StrPath = "runs",
    name: str = "",
    good_class: str = "normal",
    bit_depth: int | None = None,
    model: str = "efficientnet_lite0",
    weights: StrPath = "auto",
    image_size: int = 84,
    channels: str = "auto",
    attention: str = "none",
    guard: bool = True,
    review_budget: float = DEFAULT_BUDGET,
    loss: str = "alpha-js",
    alpha: float = 0.1,
    beta: float = 0.3,
    legacy_double_softmax: bool = False,
    loss_options: "Mapping[str, Option] | None" = None,
    class_weights: str = "none",
    sampler: str = "none",
    views: str = "none",
    epochs: int = 12,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    weight_decay: float = 1e-2,
    patience: int = 6,
    student: str = "none",
    seed: int = 0,
    no_test: bool = False,
    workers: int = 0,
    accelerator: str = "auto",
    devices: str = "auto",
    nodes: int = 1,
    strategy: str = "auto",
    resume: bool = False,
    strict: bool = False,
    progress: Callable[[str], None] | None = None,
    steps: Callable[[int, int], None] | None = None,
    on_finding: Callable[[Finding], None] | None = None,
) -> "Run":
    """Train a classifier on labelled crops and write ``runs/NAME/``.

    Args:
        data: dataset folder, ``DATA/{train,validation,test}/CLASS/IMAGE``; optional when a run is resumed.
        runs: folder of all runs.
        name: folder of this run inside ``runs``; empty for a name made of model and loss.
        good_class: class that means *no defect*; every other class is a defect.
        bit_depth: bits that the samples of 16-bit images use, 9 to 16; None: all 16, and images that leave the upper
            ones unused are refused.
        model: ``efficientnet_lite0`` to 2, ``joint_net_s``, ``joint_net_m``, or any torchvision classifier.
        weights: initial weights: ``imagenet``, ``none``, ``auto`` (ImageNet's if they are on this machine), a
            weights file or a run's folder.
        image_size: side of the square crop, 16 to 1024 pixels.
        channels: ``1`` (grey), ``3`` (BGR), or ``auto`` to follow the images.
        attention: attention after each stage of a ResNet: ``none``, ``cbam`` or ``se``.
        guard: fit a guard: what is unlike the good training joints becomes REVIEW instead of PASS.
        review_budget: share of the good joints that may go to REVIEW, above 0 and at most 0.5; the limits of the score
            and of the guard are chosen for it.
        loss: registered loss.
        alpha: skew of J_α in [0, 1], for ``alpha-js``.
        beta: weight of J_α, at least 0, for ``alpha-js``.
        legacy_double_softmax: use the published script's penalty instead of J_α, for comparison.
        loss_options: options of the loss by name; they override ``alpha`` and ``beta``.
        class_weights: ``none``, ``balanced``, or one number per class, separated by commas.
        sampler: ``none``, or ``balanced`` to draw every class equally often.
        views: second view of each joint for half of the loss: ``none``, ``attention-crop`` or ``jigsaw``.
        epochs: maximum number of epochs.
        batch_size: crops per step, at least 2.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: AdamW's weight decay.
        patience: epochs without improvement after which training stops.
        student: architecture of a small network that the finished run teaches, as ``distill`` does; its run is called
            ``NAME-student`` and has the guard. ``none``: train this run alone.
        seed: seed of all randomness; the same seed on the same machine gives the same weights.
        no_test: the dataset has no test split.
        workers: processes that prepare crops.
        accelerator: Lightning's accelerator: ``auto``, ``cpu`` or ``gpu``.
        devices: number of devices, or ``auto``.
        nodes: number of machines.
        strategy: Lightning's strategy: ``auto``, ``ddp``, …
        resume: continue an interrupted run with its own settings. A setting that is not at its default must
            equal the run's own.
        strict: raise an error if the dataset has a serious fault or unused files, instead of only reporting them.
        progress: given one line an epoch.
        steps: given the batches done and their number over all epochs.
        on_finding: given each fault that a quick look at the dataset finds, before training.

    Returns:
        The finished run: ``.folder`` and ``.card``. With a student it is the student's, and ``.teacher`` the other.

    Raises:
        UsageError: a setting is wrong, contradicts the data, or differs from the run to resume.
        DataError: the dataset or one of its images cannot be used.
        GateError: ``strict``, and the dataset has a serious fault.
        OutputError: the run already exists, or ``runs`` cannot be written.
        EnvironmentMismatchError: the ImageNet weights are not on this machine and cannot be downloaded.
        MissingExtraError: PyTorch or another package of the train extra is not installed.
    """
    values: dict[str, Any] = {
        "data": None if data is None else Path(data),
        "runs": Path(runs),
        "name": name,
        "good_class": good_class,
        "bit_depth": bit_depth,
        "model": model,
        "weights": str(weights),
        "image_size": image_size,
        "channels": channels,
        "attention": attention,
        "guard": guard,
        "review_budget": review_budget,
        "loss": loss_card(loss, loss_options, alpha=alpha, beta=beta, legacy=legacy_double_softmax),
        "class_weights": class_weights,
        "sampler": sampler,
        "views": views,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "patience": patience,
        "student": student,
        "seed": seed,
        "no_test": no_test,
        "workers": workers,
        "accelerator": accelerator,
        "devices": devices,
        "nodes": nodes,
        "strategy": strategy,
        "resume": resume,
    }
    defaults = TrainSettings()
    given = {key: value for key, value in values.items() if value != getattr(defaults, key)}
    settings = parse_settings(TrainSettings, given)
    return run_training(settings, strict=strict, progress=progress, steps=steps, on_finding=on_finding)


def loss_card(
    loss: str,
    options: "Mapping[str, Option] | None" = None,
    *,
    alpha: float = 0.1,
    beta: float = 0.3,
    legacy: bool = False,
) -> LossCard:
    """Return a loss with its options; ``alpha``, ``beta`` and ``legacy`` belong to ``alpha-js`` only."""
    own: dict[str, float | bool | str] = {}
    if loss == "alpha-js":
        own |= {"alpha": alpha, "beta": beta}
        own |= {"legacy_double_softmax": True} if legacy else {}
    return LossCard(name=loss, settings=own | dict(options or {}))


def run_training(
    settings: TrainSettings,
    *,
    strict: bool = False,
    progress: Callable[[str], None] | None = None,
    steps: Callable[[int, int], None] | None = None,
    on_finding: Callable[[Finding], None] | None = None,
) -> "Run":
    """Train with settings that are already checked; see ``train``.

    Args:
        settings: ``model_fields_set`` must hold exactly what the user gave: when a run is resumed, only that is
            compared with the run's own settings.
        strict: raise when the dataset has a serious fault.
        progress: given one line an epoch.
        steps: given the batches done and their number over all epochs.
        on_finding: given each fault that a quick look at the dataset finds, before training.
    """
    require(*EXTRAS, purpose="training")
    from sji_edge.models.backbones import check_known
    from sji_edge.training.distillation.settings import student_of
    from sji_edge.training.train import train as fit

    name = run_name(settings)
    work = work_folder(settings.runs, name)
    check_names(settings, work, settings.runs / name)
    check_writable_folder(settings.runs, create=False)
    if settings.resume:
        settings = resumed(settings.model_copy(update={"name": name}), work)
    if settings.student != "none":
        check_known(settings.student)
        check_new_run(settings.runs / student_name(name))
    if settings.data is None:
        raise UsageError(
            "a dataset is required unless a run is resumed",
            hint="name the folder that holds train/ and validation/",
        )
    splits = ("train", "validation") if settings.no_test else ("train", "validation", "test")
    dataset = FolderDataset.open(settings.data, settings.good_class, splits, bit_depth=settings.bit_depth)
    findings = short_audit(dataset)
    for finding in findings:
        (on_finding or _ignore)(finding)
    serious = [finding.text for finding in findings if finding.serious]
    if strict and serious:
        raise GateError(f"the dataset {settings.data} has faults: {'; '.join(serious)}")
    run = fit(settings, dataset, strict=strict, progress=progress or _ignore, steps=steps or _ignore)
    if settings.student == "none":
        return run
    taught = fit(
        student_of(run.folder, settings), dataset, progress=progress or _ignore, steps=steps or _ignore
    )
    return replace(taught, teacher=run)


def _ignore(*_: object) -> None:
    """Report nothing."""

"""Teaches a small network what trained runs answer."""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sji_edge.core.errors import UsageError
from sji_edge.core.extras import require
from sji_edge.core.files import StrPath
from sji_edge.core.findings import Spell, parse_settings, plain_name
from sji_edge.data.audit import Finding
from sji_edge.training.settings import TrainSettings
from sji_edge.workflows.train import EXTRAS, run_training

if TYPE_CHECKING:
    from sji_edge.training.train import Run


def distill(
    teachers: StrPath | Sequence[StrPath] = (),
    data: StrPath | None = None,
    *,
    runs: StrPath = "runs",
    name: str = "",
    model: str = "joint_net_s",
    weights: StrPath = "none",
    guard: bool = True,
    teacher_views: int = 12,
    temperature: float = 2.0,
    teacher_share: float = 0.8,
    epochs: int = 45,
    batch_size: int = 32,
    learning_rate: float = 4e-3,
    weight_decay: float = 1e-2,
    seed: int = 0,
    no_test: bool = False,
    workers: int = 0,
    accelerator: str = "auto",
    devices: str = "auto",
    resume: bool = False,
    strict: bool = False,
    progress: Callable[[str], None] | None = None,
    steps: Callable[[int, int], None] | None = None,
    on_finding: Callable[[Finding], None] | None = None,
) -> "Run":
    """Train a small network, the student, on labels and on the answers of trained runs, and write ``runs/NAME/``.

    Every teacher judges jittered views of every training joint once; the student learns from the mean of their
    probabilities (Hinton, Vinyals and Dean 2015, arXiv 1503.02531). Classes, crops and bit depth are the teachers'.

    Args:
        teachers: one run or several; optional when a run is resumed.
        data: dataset folder, ``DATA/{train,validation,test}/CLASS/IMAGE``; optional when a run is resumed.
        runs: folder of all runs.
        name: folder of this run inside ``runs``; empty for a name made of the teachers'.
        model: the student's architecture, any that ``train`` takes.
        weights: the student's initial weights, as of ``train``.
        guard: fit a guard: what is unlike the good training joints becomes REVIEW instead of PASS.
        teacher_views: jittered views of each training joint that the teachers judge, at least 1.
        temperature: softens the answers of teachers and student, above 0.
        teacher_share: weight of the teachers in the loss, in [0, 1]; the labels have the rest.
        epochs: number of epochs.
        batch_size: crops per step, at least 2.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: AdamW's weight decay.
        seed: seed of all randomness; the same seed on the same machine gives the same weights.
        no_test: the dataset has no test split.
        workers: processes that prepare crops.
        accelerator: Lightning's accelerator: ``auto``, ``cpu`` or ``gpu``.
        devices: number of devices, or ``auto``.
        resume: continue an interrupted run with its own settings, without its teachers. A setting that is not at its
            default must equal the run's own.
        strict: raise an error if the dataset has a serious fault or unused files, instead of only reporting them.
        progress: given one line for each quarter of the teachers' work, and one an epoch.
        steps: given the batches done and their number over all epochs.
        on_finding: given each fault that a quick look at the dataset finds, before training.

    Returns:
        The finished run: ``.folder`` and ``.card``, which names its teachers with the hash of their weights.

    Raises:
        UsageError: a teacher is not a run, has other classes or crops, or is named twice; a setting is wrong, or
            differs from the run to resume.
        DataError: the dataset or one of its images cannot be used.
        GateError: ``strict``, and the dataset has a serious fault.
        OutputError: the run already exists, or ``runs`` cannot be written.
        MissingExtraError: PyTorch or another package of the train extra is not installed.
    """
    values: dict[str, Any] = {
        "data": None if data is None else Path(data),
        "runs": Path(runs),
        "name": name,
        "model": model,
        "weights": str(weights),
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
    require(*EXTRAS, purpose="distilling")
    from sji_edge.training.distillation.settings import DEFAULTS

    usual = TrainSettings(**DEFAULTS)
    given = {key: value for key, value in values.items() if value != getattr(usual, key)}
    named = [teachers] if isinstance(teachers, str | PathLike) else teachers
    settings = distill_settings([Path(teacher) for teacher in named], given)
    return run_training(settings, strict=strict, progress=progress, steps=steps, on_finding=on_finding)


def distill_settings(
    teachers: Sequence[Path], given: Mapping[str, Any], spell: Spell = plain_name
) -> TrainSettings:
    """Return the checked settings of ``distill``.

    Args:
        teachers: runs; may be empty when a run is resumed.
        given: exactly what the user gave: when a run is resumed, only that is compared with the run's own settings.
        spell: how the caller's user knows a setting, given the field's name.

    Raises:
        UsageError: there is no teacher, one is not a run, or a setting is wrong.
    """
    from sji_edge.training.distillation.settings import student_settings

    if given.get("resume"):
        named = {"teachers": tuple(teachers)} if teachers else {}
        return parse_settings(TrainSettings, {**given, **named}, spell)
    if not teachers:
        raise UsageError(
            "at least one teacher is required unless a run is resumed",
            hint="name a trained run, such as runs/efficientnet_lite0-alpha-js, and then the dataset",
        )
    return student_settings(teachers, given, spell)

"""Compares training methods on one dataset with the same budget for each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sji_edge.core.errors import UsageError
from sji_edge.core.extras import require
from sji_edge.core.files import StrPath, check_writable_folder
from sji_edge.core.findings import parse_settings
from sji_edge.core.registry import nearest

if TYPE_CHECKING:
    from sji_edge.studies.compare import Compared

EXTRAS = ("torch", "torchvision", "lightning", "optuna", "matplotlib")


@dataclass(frozen=True)
class StudyResult:
    """A finished study.

    Attributes:
        folder: holds the table, the figures and every trial.
        table: ``table.md``.
        compared: the figures of each method on each backbone.
    """

    folder: Path
    table: Path
    compared: "tuple[Compared, ...]"


def study(
    data: StrPath,
    *,
    preset: str = "quick",
    methods: Sequence[str] = (),
    backbones: Sequence[str] = (),
    seeds: int | None = None,
    tries: int | None = None,
    epochs: int | None = None,
    image_size: int | None = None,
    replicates: int | None = None,
    guard: bool = False,
    good_class: str = "normal",
    workers: int = 0,
    threads: int = 1,
    storage: str = "",
    output: StrPath = "studies/study",
    progress: Callable[[str], None] | None = None,
) -> StudyResult:
    """Search the settings of each method on validation, train the best with several seeds, and compare on test.

    An interrupted study continues where it stopped, and machines that share ``output`` share the work.

    Args:
        data: dataset folder, ``DATA/{train,validation,test}/CLASS/IMAGE``.
        preset: ``quick`` (last blocks only) or ``full`` (whole networks); it supplies every value that is not given.
        methods: names of methods, such as ``ce`` and ``alpha-js-0.5``.
        backbones: names of models; ``resnet18+cbam`` adds attention.
        seeds: number of trainings of each method's best settings.
        tries: number of settings tried for each method.
        epochs: epochs of every training.
        image_size: side of the crop, in pixels.
        replicates: number of bootstrap resamples.
        guard: fit a guard to each method's best settings with every seed, and compare what share of unknown pictures is
            given PASS; for ``full`` only.
        good_class: class that means *no defect*.
        workers: number of processes; 0 for one per GPU, or as many as the CPU cores allow.
        threads: CPU threads of each process.
        storage: Optuna's storage, for several machines: a journal file or the URL of a database. Its credentials are
            never written or shown.
        output: folder for the study.
        progress: given one line at a time.

    Raises:
        UsageError: an unknown name, a setting out of range, a storage that cannot be opened, or every try of a method
            diverged.
        DataError: the dataset cannot be used; see ``studies.dataset.open_dataset``.
        OutputError: ``output`` cannot be written; checked first.
        EnvironmentMismatchError: a frozen backbone's ImageNet weights are not on this machine.
        MissingExtraError: PyTorch or another package of the train extra is not installed.
    """
    require(*EXTRAS, purpose="a study")
    from sji_edge.studies.report import TABLE, report
    from sji_edge.studies.run import run_study
    from sji_edge.studies.settings import PRESETS, StudySettings, default_workers

    if preset not in PRESETS:
        raise UsageError(f"unknown preset {preset!r}", hint=nearest(preset, [*PRESETS]))
    own: dict[str, object] = {"seeds": seeds, "tries": tries, "replicates": replicates}
    own |= {"methods": tuple(methods) or None, "backbones": tuple(backbones) or None}
    budget = PRESETS[preset]["budget"].model_dump() | _given(epochs=epochs, image_size=image_size)
    settings = parse_settings(
        StudySettings,
        {
            **PRESETS[preset],
            **_given(**own),
            "budget": budget,
            "data": Path(data),
            "out": Path(output),
            "guard": guard,
            "good_class": good_class,
            "workers": workers or default_workers(threads),
            "threads": threads,
            "storage": storage,
        },
    )
    check_writable_folder(settings.out, create=False)
    compared = report(settings, run_study(settings, progress or (lambda _: None)))
    return StudyResult(settings.out, settings.out / TABLE, tuple(compared))


def _given(**values: object) -> dict[str, object]:
    """Return the values that are not None."""
    return {name: value for name, value in values.items() if value is not None}

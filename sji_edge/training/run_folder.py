"""Where a run's checkpoints lie until it is finished, and which names are taken."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sji_edge.core.errors import OutputError, UsageError
from sji_edge.training.settings import TrainSettings

LAST_CHECKPOINT = "last.ckpt"


def default_name(settings: TrainSettings) -> str:
    """Model and loss, numbered; with ``resume`` the first interrupted one."""
    stem = f"{settings.architecture}-{settings.loss.name}"
    names = [stem, *(f"{stem}-{number}" for number in range(2, 10_000))]
    interrupted = [name for name in names if (work_folder(settings, name) / LAST_CHECKPOINT).is_file()]
    if settings.resume:
        return interrupted[0] if interrupted else stem
    return next(name for name in names if name not in interrupted and not (settings.runs / name).exists())


def work_folder(settings: TrainSettings, name: str) -> Path:
    """Return the hidden folder of an unfinished run's checkpoints."""
    return settings.runs / f".{name}.training"


def check_names(settings: TrainSettings, work: Path, target: Path) -> None:
    """Refuse to overwrite a run, or to resume none.

    Raises:
        OutputError: the run exists already, finished or interrupted.
        UsageError: nothing to resume.
    """
    if target.exists():
        raise OutputError(
            f"run {target} exists already, and no run is overwritten", hint="choose another --name"
        )
    if settings.resume and not (work / LAST_CHECKPOINT).is_file():
        raise UsageError(
            f"nothing to resume: {work / LAST_CHECKPOINT} is not there", hint="leave out --resume"
        )
    if not settings.resume and (work / LAST_CHECKPOINT).is_file():
        raise OutputError(
            f"an interrupted run lies in {work}, and no run is overwritten",
            hint="continue it with --resume, remove it, or choose another --name",
        )


@contextmanager
def working_folder(work: Path) -> Iterator[None]:
    """Make the folder of the checkpoints; a failure before the first one leaves nothing behind."""
    work.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if not (work / LAST_CHECKPOINT).is_file():
            shutil.rmtree(work, ignore_errors=True)
        raise

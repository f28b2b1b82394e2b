"""Manages the folder of an unfinished run's checkpoints, and checks which run names are taken."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sji_edge.core.errors import OutputError, UsageError
from sji_edge.training.settings import TrainSettings

LAST_CHECKPOINT = "last.ckpt"
SUFFIX = ".training"


def run_name(settings: TrainSettings) -> str:
    """Return the run's name: the given one, or one made of model and loss or of its teachers, numbered.

    With ``resume`` and no name it is the only interrupted run.

    Raises:
        UsageError: nothing to resume, or several interrupted runs and no name.
    """
    if settings.name:
        return settings.name
    interrupted = interrupted_runs(settings.runs)
    if settings.resume:
        if not interrupted:
            raise UsageError(
                f"nothing to resume: {settings.runs} holds no interrupted run", hint="start a new run"
            )
        if len(interrupted) > 1:
            raise UsageError(
                f"{settings.runs} holds {len(interrupted)} interrupted runs: {', '.join(interrupted)}",
                hint="give the name of the one to resume",
            )
        return interrupted[0]
    stem = _stem(settings)
    names = [stem, *(f"{stem}-{number}" for number in range(2, 10_000))]
    return next(name for name in names if name not in interrupted and not (settings.runs / name).exists())


def student_name(teacher: str) -> str:
    """Return the name of the student of a run, unless another one is given."""
    return f"{teacher}-student"


def _stem(settings: TrainSettings) -> str:
    if len(settings.teachers) > 1:
        return f"{settings.architecture}-of-{len(settings.teachers)}-teachers"
    if settings.teachers:
        return student_name(settings.teachers[0].resolve().name)
    return f"{settings.architecture}-{settings.loss.name}"


def interrupted_runs(runs: Path) -> list[str]:
    """Return the names of the interrupted runs that can be resumed."""
    marks = runs.glob(f".*{SUFFIX}/{LAST_CHECKPOINT}")
    return sorted(mark.parent.name.removeprefix(".").removesuffix(SUFFIX) for mark in marks)


def work_folder(runs: Path, name: str) -> Path:
    """Return the hidden folder of an unfinished run's checkpoints."""
    return runs / f".{name}{SUFFIX}"


def check_names(settings: TrainSettings, work: Path, target: Path) -> None:
    """Refuse to overwrite a run, a teacher above all, or to resume one that was not interrupted.

    Raises:
        OutputError: the run already exists, finished or interrupted.
        UsageError: there is nothing to resume.
    """
    if any(teacher.resolve() == target.resolve() for teacher in settings.teachers):
        raise OutputError(f"{target} is a teacher; its student cannot replace it", hint="choose another name")
    if not settings.resume:
        check_new_run(target)
    elif target.exists():
        raise _exists(target)
    elif not (work / LAST_CHECKPOINT).is_file():
        raise UsageError(
            f"nothing to resume: {work / LAST_CHECKPOINT} does not exist", hint="start the run without resume"
        )


def check_new_run(target: Path) -> None:
    """Check that a new run can be written to a folder.

    Raises:
        OutputError: the run already exists, finished or interrupted.
    """
    work = work_folder(target.parent, target.name)
    if target.exists():
        raise _exists(target)
    if (work / LAST_CHECKPOINT).is_file():
        raise OutputError(
            f"run {target} was interrupted; its checkpoints are in {work}",
            hint="resume it, remove that folder, or choose another name",
        )


def _exists(target: Path) -> OutputError:
    return OutputError(f"run {target} already exists; runs are never overwritten", hint="choose another name")


@contextmanager
def working_folder(work: Path) -> Iterator[None]:
    """Make the folder of the checkpoints, and remove it if training fails before the first checkpoint."""
    work.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if not (work / LAST_CHECKPOINT).is_file():
            shutil.rmtree(work, ignore_errors=True)
        raise

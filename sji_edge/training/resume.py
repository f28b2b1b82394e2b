"""Record what a run was started with, and check that a resumed run continues the same one."""

import zipfile
import zlib
from pathlib import Path

from pydantic import ValidationError

from sji_edge.core.card import TeacherCard, in_one_line
from sji_edge.core.errors import UsageError
from sji_edge.core.files import read_json, write_atomic
from sji_edge.core.frozen import FrozenModel
from sji_edge.data.folder import FolderDataset
from sji_edge.training.settings import TrainSettings

RECORD = "started.json"

FREE = frozenset({"data", "runs", "name", "resume", "workers", "accelerator", "devices", "nodes", "strategy"})
"""Settings that may differ when a run is resumed: they determine where it runs, not what it learns. The dataset may
have moved; its hash may not differ."""


class Started(FrozenModel):
    """Record of a run's start, kept beside its checkpoints.

    Attributes:
        settings: the complete settings.
        classes: class names in the order of the logits.
        dataset_sha256: hash of the dataset.
        weights: origin of the initial weights, as recorded in the card.
        teachers: the runs that teach it, as recorded in the card.
    """

    settings: TrainSettings
    classes: tuple[str, ...]
    dataset_sha256: str
    weights: str
    teachers: tuple[TeacherCard, ...] = ()


def write_started(work: Path, started: Started) -> None:
    """Write the record into the folder of the checkpoints."""
    write_atomic(work / RECORD, started.model_dump_json(indent=2) + "\n")


def read_started(work: Path) -> Started:
    """Read the record of an interrupted run.

    Raises:
        UsageError: it is missing or altered, so that nothing says what the checkpoint was trained with.
    """
    path = work / RECORD
    try:
        return Started.model_validate(read_json(path))
    except UsageError as error:
        found = error.message
        cause: Exception = error
    except ValidationError as error:
        found = f"{path} is not a valid record: {in_one_line(error)}"
        cause = error
    raise UsageError(
        f"the run cannot be resumed: {found}", hint=f"remove {work} and start the run again"
    ) from cause


def check_checkpoint(path: Path) -> None:
    """Refuse a checkpoint that was cut or damaged, as a full disk or a power cut leaves it.

    Raises:
        UsageError: it is not a whole archive, or a checksum in it is wrong.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            whole = archive.testzip() is None
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error):
        whole = False
    if not whole:
        raise UsageError(
            f"the run cannot be resumed: {path} is damaged",
            hint=f"remove {path.parent} and start the run again",
        )


def resumed(settings: TrainSettings, work: Path) -> TrainSettings:
    """Return the settings with which an interrupted run continues: its own, on the hardware requested now.

    Args:
        settings: as given now; ``model_fields_set`` holds what the user gave.
        work: the folder of the checkpoints.

    Raises:
        UsageError: a given setting differs from the run's own; every one of them is named.
    """
    own = read_started(work).settings
    differing = sorted(
        name for name in settings.model_fields_set - FREE if getattr(settings, name) != getattr(own, name)
    )
    if differing:
        listed = "; ".join(
            f"{name.replace('_', ' ')} is {_said(getattr(settings, name))}, was {_said(getattr(own, name))}"
            for name in differing
        )
        raise UsageError(
            f"the interrupted run was started with other settings: {listed}",
            hint="leave these settings out to resume with the run's own, or start a run with another name",
        )
    now = {name: getattr(settings, name) for name in settings.model_fields_set & FREE}
    if now.get("data") is None:
        now.pop("data", None)
    return own.model_copy(update={**now, "resume": True})


def check_dataset(started: Started, dataset: FolderDataset, sha256: str) -> None:
    """Refuse to resume on other data than the run was started with.

    Raises:
        UsageError: other classes, or other images.
    """
    if dataset.classes != started.classes:
        raise UsageError(
            f"the dataset {dataset.root} has the classes {', '.join(dataset.classes)}; "
            f"the interrupted run was started with {', '.join(started.classes)}",
            hint="resume with the dataset that the run was started with",
        )
    if sha256 != started.dataset_sha256:
        raise UsageError(
            f"the dataset {dataset.root} is not the one that the interrupted run was started with: "
            f"its hash is {sha256[:12]}, was {started.dataset_sha256[:12]}",
            hint="restore the dataset, or start a run with another name",
        )


def _said(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    settings = getattr(value, "settings", None)
    if settings is not None:
        options = ", ".join(f"{name} {option}" for name, option in settings.items())
        return f"{getattr(value, 'name', '')} ({options})" if options else str(getattr(value, "name", ""))
    return repr(value) if isinstance(value, str) else str(value)

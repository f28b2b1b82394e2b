"""One training of a study as a file: its settings, and the logits that it gave."""

import hashlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from sji_edge.core.card import in_one_line
from sji_edge.core.errors import DataError
from sji_edge.core.files import read_json, write_atomic
from sji_edge.core.frozen import FrozenModel
from sji_edge.studies.settings import Budget
from sji_edge.training.settings import Views

DIGITS = 7
FOLDER = "trials"


class TrialSpec(FrozenModel):
    """Everything that determines a trial's result, apart from the hardware.

    With ``guard``, the model gets a guard, and is shown unknown pictures.
    """

    method: str
    backbone: str
    loss: str
    options: dict[str, float | bool | str]
    views: Views
    learning_rate: float
    seed: int
    budget: Budget
    dataset_sha256: str
    guard: bool = False

    @property
    def name(self) -> str:
        """Readable name that is different for different specs."""
        # Without a guard, the name is that of trials from before there was one.
        said = self.model_dump_json(exclude=set() if self.guard else {"guard"})
        digest = hashlib.sha256(said.encode()).hexdigest()[:10]
        return f"{self.backbone}~{self.method}~seed{self.seed}~{digest}"


class StudyTrial(FrozenModel):
    """A finished trial.

    Attributes:
        spec: what was trained.
        weights: where training started.
        seconds: how long it took.
        logits: those of the validation and test joints, in the dataset's order.
        unknown: for each kind of unknown picture, the share given PASS by the score alone and with the guard; None for
            a trial without a guard.
    """

    schema_version: Literal[1] = 1
    spec: TrialSpec
    weights: str
    seconds: float
    logits: dict[str, list[list[float]]]
    unknown: dict[str, tuple[float, float]] | None = None

    def logits_of(self, split: str) -> NDArray[np.float64]:
        """Return the logits of a split, float64 ``(n, classes)``."""
        return np.array(self.logits[split], dtype=np.float64)


def rounded(logits: NDArray[np.floating[Any]]) -> list[list[float]]:
    """Return logits as lists of numbers, with the digits that float32 has."""
    return [[float(f"{value:.{DIGITS}g}") for value in row] for row in logits.tolist()]


def trial_path(out: Path, spec: TrialSpec) -> Path:
    """Return the file of a trial."""
    return out / FOLDER / f"{spec.name}.json"


def write_trial(out: Path, trial: StudyTrial) -> None:
    """Write a finished trial in one step."""
    path = trial_path(out, trial.spec)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, trial.model_dump_json() + "\n")


def read_trial(out: Path, spec: TrialSpec) -> StudyTrial | None:
    """Return a finished trial, or None if it was not trained yet.

    Raises:
        DataError: the file is not a trial, or belongs to another spec.
    """
    path = trial_path(out, spec)
    if not path.is_file():
        return None
    try:
        trial = StudyTrial.model_validate(read_json(path, error=DataError))
    except (DataError, ValidationError) as error:
        told = in_one_line(error) if isinstance(error, ValidationError) else error.message
        raise DataError(
            f"{path} is not a valid trial: {told}", hint="remove it; it will be trained again"
        ) from error
    if trial.spec != spec:
        raise DataError(
            f"{path} holds another trial than its name says", hint="remove it; it will be trained again"
        )
    return trial

"""The model card: everything about a model that must travel with its weights."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from sji_edge.core.errors import UsageError
from sji_edge.core.files import parse_json, read_bounded
from sji_edge.core.findings import in_words
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.review_budget import ReviewBudget
from sji_edge.core.verdict import Thresholds


class PreprocessSpec(FrozenModel):
    """The crop that a model takes: uint8, size in pixels, 1 channel (grey) or 3 (BGR)."""

    height: int = Field(default=84, ge=16, le=1024)
    width: int = Field(default=84, ge=16, le=1024)
    channels: Literal[1, 3] = 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(height, width, channels)``."""
        return self.height, self.width, self.channels


class LossCard(FrozenModel):
    """The loss that a model was trained with; ``settings`` are its keyword arguments."""

    name: str
    settings: dict[str, float | bool | str] = {}


class TeacherCard(FrozenModel):
    """A run that taught a model: its name, its architecture, and the SHA-256 of its weights file."""

    name: str
    architecture: str
    weights_sha256: str


class ParityGate(FrozenModel):
    """The limits that a comparison must keep before an engine is released.

    Attributes:
        max_escape_flips: how many verdicts may change to PASS.
        min_agreement: smallest share of equal verdicts.
        max_f1_change: largest |ΔF1| of the defect class, where labels are known.
        max_score_error: largest |Δscore|; None sets no limit.
    """

    max_escape_flips: int = Field(default=0, ge=0)
    min_agreement: float = Field(default=0.995, ge=0.0, le=1.0)
    max_f1_change: float = Field(default=0.005, ge=0.0)
    max_score_error: float | None = Field(default=None, gt=0.0)


DEFAULT_GATES = {
    "fp32": ParityGate(max_score_error=1e-3),
    "fp16": ParityGate(max_score_error=2e-2),
    "bf16": ParityGate(),
    "int8": ParityGate(),
}


class ModelCard(FrozenModel):
    """Identity, classes, preprocessing, training and thresholds of one model.

    Attributes:
        name: the run's name.
        architecture: a name that ``models`` knows.
        classes: names of the columns of the logits, in order.
        good_class: the class that means *no defect*.
        preprocess: the crop that the model takes.
        loss: the loss that it was trained with.
        training: training settings that differ from their defaults, such as class weights, sampler, views.
        seed: seed of the training.
        weights: the initial weights.
        teachers: the runs whose answers it was taught, besides the labels; empty for most models.
        dataset_sha256: hash of the dataset.
        thresholds: the PASS and FAIL limits, and the guard's.
        review_budget: the budget that they were chosen for; None where they were chosen for an escape rate, or before
            there was a budget.
        metrics: figures of each held-out split.
        gates: the parity gate for each precision.
        versions: versions of the packages that trained it.
        created_utc: time of creation, ISO 8601.
    """

    schema_version: Literal[1] = 1
    name: str
    architecture: str
    classes: tuple[str, ...] = Field(min_length=2)
    good_class: str
    preprocess: PreprocessSpec
    loss: LossCard
    training: dict[str, str] = {}
    seed: int
    weights: str
    teachers: tuple[TeacherCard, ...] = ()
    dataset_sha256: str
    thresholds: Thresholds
    review_budget: ReviewBudget | None = None
    metrics: dict[str, Any] = {}
    gates: dict[str, ParityGate] = DEFAULT_GATES
    versions: dict[str, str] = {}
    created_utc: str = ""

    @model_validator(mode="after")
    def _good_class_known(self) -> Self:
        if self.good_class not in self.classes:
            raise ValueError(
                f"the good class must be one of {', '.join(self.classes)} (got {self.good_class!r})"
            )
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"duplicate class names: {', '.join(self.classes)}")
        return self

    @property
    def good_index(self) -> int:
        """Column of the good class in the logits."""
        return self.classes.index(self.good_class)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a card file; raises ``UsageError`` if it cannot be read or is not a card."""
        return cls._parse(read_bounded(path), path)

    @classmethod
    def parse(cls, text: str, source: Path | str) -> Self:
        """Read a card from JSON text.

        Raises:
            UsageError: the text is not a card; names ``source`` and every wrong field.
        """
        return cls._parse(text.encode(), source)

    @classmethod
    def _parse(cls, content: bytes, source: Path | str) -> Self:
        try:
            return cls.model_validate(parse_json(content, "its text"))
        except UsageError as error:
            raise UsageError(f"{source} is not a model card: {error.message}") from error
        except ValidationError as error:
            raise UsageError(f"{source} is not a valid model card: {in_one_line(error)}") from error


def in_one_line(error: ValidationError) -> str:
    """Return all findings of a pydantic validation on one line."""
    return "; ".join(
        f"{'.'.join(str(part) for part in finding['loc']) or 'value'}: {in_words(finding['msg'])}"
        for finding in error.errors()
    )

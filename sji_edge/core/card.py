"""The model card: everything that must travel with the weights."""

import json
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from sji_edge.core.errors import UsageError
from sji_edge.core.findings import in_words
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.verdict import Thresholds


class PreprocessSpec(FrozenModel):
    """The crop that a model takes: its size in pixels and its channels (1 grey, 3 BGR), uint8."""

    height: int = Field(default=84, ge=16, le=1024)
    width: int = Field(default=84, ge=16, le=1024)
    channels: Literal[1, 3] = 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(height, width, channels)``."""
        return self.height, self.width, self.channels


class LossCard(FrozenModel):
    """The criterion a model was trained with; ``settings`` are its keyword arguments."""

    name: str
    settings: dict[str, float | bool | str] = {}


class ParityGate(FrozenModel):
    """What a comparison must show before an engine is released.

    ``max_escape_flips`` counts verdicts that become PASS and were not; ``min_agreement`` is the share of
    equal verdicts; ``max_f1_change`` bounds |ΔF1| of the defect class where labels are known;
    ``max_score_error`` bounds the greatest |Δscore|, where a bound is set.
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

    ``classes`` are the logits' columns in order; ``good_class`` is the one that means *no defect*; ``training``
    holds what else was not at its default: class weights, sampler, views.
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
    dataset_sha256: str
    thresholds: Thresholds
    metrics: dict[str, Any] = {}
    gates: dict[str, ParityGate] = DEFAULT_GATES
    versions: dict[str, str] = {}
    created_utc: str = ""

    @model_validator(mode="after")
    def _good_class_known(self) -> Self:
        if self.good_class not in self.classes:
            raise ValueError(f"good class {self.good_class!r} is not one of {self.classes}")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes repeat: {self.classes}")
        return self

    @property
    def good_index(self) -> int:
        """The good class's column in the logits."""
        return self.classes.index(self.good_class)

    @classmethod
    def parse(cls, text: str, source: Path | str) -> Self:
        """Read a card from JSON text.

        Raises:
            UsageError: not a card; names ``source`` and every field that is wrong.
        """
        try:
            return cls.model_validate(json.loads(text))
        except json.JSONDecodeError as error:
            raise UsageError(f"{source} holds no readable model card: {error}") from error
        except ValidationError as error:
            raise UsageError(f"{source} holds no valid model card: {in_one_line(error)}") from error


def in_one_line(error: ValidationError) -> str:
    """All findings of a pydantic validation on one line."""
    return "; ".join(
        f"{'.'.join(str(part) for part in finding['loc']) or 'value'}: {in_words(finding['msg'])}"
        for finding in error.errors()
    )

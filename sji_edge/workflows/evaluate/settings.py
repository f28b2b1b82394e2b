"""The settings of an evaluation, and what they rule out before anything is judged."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from sji_edge.core import run_files
from sji_edge.core.errors import UsageError
from sji_edge.core.files import check_writable_file
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.review_budget import MAX_BUDGET
from sji_edge.core.text import readable
from sji_edge.data.folder import check_split_name


class EvaluationSettings(FrozenModel):
    """What to evaluate, on what, and what the report shows; see ``evaluate``."""

    subject: Path
    data: Path
    split: str
    bit_depth: int | None = Field(ge=9, le=16)
    max_escape: float | None = Field(ge=0.0, lt=1.0)
    review_budget: float | None = Field(gt=0.0, le=MAX_BUDGET)
    apply: bool
    attention: Literal["grad", "eigen", "none"]
    explain: Path | None
    stress: bool
    unknown: bool
    frames: Path | None
    recipe: Path | None
    seed: int = Field(ge=0)
    against: tuple[Path, ...]
    shown: int = Field(ge=0)
    threads: int = Field(ge=0)
    replicates: int = Field(ge=100)
    output: Path


def check(settings: EvaluationSettings) -> None:
    """Refuse contradictory settings before any work."""
    check_split_name(settings.split)
    if settings.against and not settings.stress:
        raise UsageError(
            "models can only be compared under the stress test",
            hint="switch on the stress test, or use sji-edge parity",
        )
    if settings.frames is not None and not settings.unknown:
        raise UsageError(
            "frames are only judged in the suite of unknown pictures", hint="switch on the unknown pictures"
        )
    if (settings.frames is None) != (settings.recipe is None):
        found = "frames without a recipe" if settings.recipe is None else "a recipe without frames"
        raise UsageError(f"{found}: unknown pictures on boards need both", hint="give both, or neither")
    if settings.frames is not None and not settings.frames.is_dir():
        raise UsageError(
            f"{readable(str(settings.frames))} is not a folder", hint="name the folder that holds the frames"
        )
    models = [path.resolve() for path in (settings.subject, *settings.against)]
    twice = next((path for path in models if models.count(path) > 1), None)
    if twice is not None:
        raise UsageError(f"{twice} is listed more than once", hint="name each model once")
    if settings.max_escape is not None and settings.review_budget is not None:
        raise UsageError(
            "an escape rate and a review budget both choose the PASS limit", hint="give only one of them"
        )
    if settings.apply and settings.max_escape is None and settings.review_budget is None:
        raise UsageError(
            "no limits can be applied, because neither an escape rate nor a review budget is given",
            hint="add a review budget such as 1%, or an escape rate such as 0.5%",
        )
    for path, why in (
        (settings.subject if settings.apply else None, "only a run's limits can be changed"),
        (settings.explain, "activation maps need a trained run"),
    ):
        if path is not None and not (path / run_files.CARD).is_file():
            raise UsageError(f"{path} is not a run (no {run_files.CARD}): {why}", hint="name its run")
    if settings.apply:
        check_writable_file(settings.subject / run_files.CARD)

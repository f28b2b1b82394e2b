"""Gives a finished run a new guard, which also knows what a line's enrolled boards look like."""

import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sji_edge.core import run_files
from sji_edge.core.errors import UsageError
from sji_edge.core.extras import require
from sji_edge.core.files import StrPath, check_new_folder, new_folder
from sji_edge.core.review_budget import DEFAULT_BUDGET
from sji_edge.metrics.review_budget import NOVELTY
from sji_edge.recipe.board import Recipe
from sji_edge.workflows.artifacts import newest_run

if TYPE_CHECKING:
    from sji_edge.training.train import Run

SPLITS = ("train", "validation", "test")
LINE_REVIEWS = 0.01
"""Share of the line's held-out joints that the guard may stop, unless the budget gives it more: they are few, and a
smaller share would be a matter of a single joint."""


def fit_guard(
    data: StrPath,
    run: StrPath | None = None,
    *,
    recipes: Sequence[StrPath] = (),
    runs: StrPath = "runs",
    name: str = "",
    review_budget: float = DEFAULT_BUDGET,
    bit_depth: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> "Run":
    """Fit a guard to a run's model, and write both as a new run; the classifier stays as it is.

    The guard learns from the dataset's training joints and from the good joints of the recipes' enrolled boards, some
    of which only set its limit.

    Args:
        data: the dataset that the run was trained on.
        run: the run; None: the newest in ``runs``.
        recipes: recipe folders with enrolled boards.
        runs: folder of all runs; the new one is written there.
        name: of the new run; empty: the run's name with ``-guard``.
        review_budget: share of the good validation joints that may go to REVIEW; the limits are chosen anew within it.
        bit_depth: bits that the samples of 16-bit images use, the dataset's and the recipes'.
        progress: receives each step in words.

    Raises:
        UsageError: no such run, other classes than the dataset's, or an architecture without a feature map that a
            guard could look at.
        DataError: the dataset cannot be read.
        RecipeError: a recipe has no enrolled boards, or they cannot be read.
        OutputError: the new run exists already, or cannot be written.
    """
    require("torch", "torchvision", "safetensors", purpose="fitting a guard")
    from sji_edge.data.folder import FolderDataset
    from sji_edge.metrics.summary import summary
    from sji_edge.models.checkpoint import load_guard, load_run, save_guard, save_run
    from sji_edge.models.predict import answers_of
    from sji_edge.runtime.bundle.golden import write_golden
    from sji_edge.training.golden import golden_of
    from sji_edge.training.guard import guard_of
    from sji_edge.training.limits import limits_within_budget, scored_splits, views_of
    from sji_edge.training.train import Run
    from sji_edge.workflows.line_joints import line_joints

    say = progress or (lambda _: None)
    source = newest_run(Path(runs)) if run is None else Path(run)
    model, card = load_run(source)
    target = Path(runs) / (name or f"{card.name}-guard")
    check_new_folder(target)
    splits = tuple(split for split in SPLITS if split != "test" or (Path(data) / split).is_dir())
    dataset = FolderDataset.open(Path(data), card.good_class, splits, bit_depth=bit_depth)
    if dataset.classes != card.classes:
        raise UsageError(
            f"{data} has the classes {', '.join(dataset.classes)}, the run {', '.join(card.classes)}",
            hint="name the dataset that the run was trained on",
        )
    if dataset.sha256() != card.dataset_sha256:
        say(f"{data} is not the dataset that {card.name} was trained on, or has changed since")
    spec = card.preprocess
    line = None
    if recipes:
        say("guard: cutting the enrolled boards")
        line = line_joints([Recipe.load(Path(each), bit_depth) for each in recipes], spec, card.seed)
    with new_folder(target) as partial:
        images = {split: dataset.read(split) for split in ("train", "validation")}
        before = load_guard(source, model)
        regressor = None if before is None else before.guard.regressor
        guarded = guard_of(model, dataset, images, spec, card.seed, say, line, regressor)
        if guarded is None:
            raise UsageError(
                f"{card.architecture} has no feature map that a guard could look at",
                hint="train another architecture",
            )
        views = views_of(dataset, spec, card.seed)
        golden = golden_of(model, views, guarded)
        chosen = limits_within_budget(golden, views, card.good_index, review_budget, card.seed, guarded)
        limits = chosen.thresholds
        if line is not None and limits.novelty is not None:
            share = max(LINE_REVIEWS, chosen.budget.shares[NOVELTY])
            usual = _limit_that_stops(share, answers_of(guarded, line.held_out)[1])
            limits = limits.model_copy(update={"novelty": max(limits.novelty, usual)})
        scored = scored_splits(dataset, model, guarded, spec)
        made = card.model_copy(
            update={
                "name": target.name,
                "thresholds": limits,
                "review_budget": chosen.budget,
                "metrics": {split: summary(each, limits) for split, each in scored.items()},
                "training": card.training | _taught_by(recipes),
                "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
            }
        )
        save_run(partial, model, made)
        save_guard(partial, guarded)
        write_golden(partial / run_files.GOLDEN, golden, made)
        if (source / run_files.METRICS).is_file():
            shutil.copy(source / run_files.METRICS, partial / run_files.METRICS)
    return Run(target, made)


def _limit_that_stops(share: float, novelty: NDArray[np.float32]) -> float:
    """Return the lowest limit that stops at most ``share`` of these joints, float32 ``(n,)``."""
    return float(np.nextafter(np.quantile(novelty, 1.0 - share, method="higher"), np.inf))


def _taught_by(recipes: Sequence[StrPath]) -> dict[str, str]:
    """Return the card's entry on the recipes whose boards the guard knows; none without recipes."""
    return {"guard_recipes": ", ".join(Path(each).name for each in recipes)} if recipes else {}

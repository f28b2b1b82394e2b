"""Learns what is usual at each joint's place from a recipe's enrolled boards, as one engine sees them."""

import hashlib
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from sji_edge.core.cache_folder import cache_folder, keep_newest
from sji_edge.core.clock import Clock
from sji_edge.core.errors import RecipeError
from sji_edge.core.files import atomic_file
from sji_edge.core.preprocess import Image
from sji_edge.core.protocols import Frame
from sji_edge.inspection.judging.frame_job import Features, Work
from sji_edge.inspection.judging.judge import BoardJudge
from sji_edge.inspection.judging.places import Places, learn_places
from sji_edge.recipe.board import Recipe

MAX_KEPT = 20
"""Statistics that stay in the cache, the newest."""
LAYOUT_VERSION = 1


def known_places(
    open_judge: Callable[[], BoardJudge], recipe: Recipe, engine_sha256: str, clock: Clock
) -> Places:
    """Return what ``places_of`` learns, from the cache if this engine has learned these boards before.

    The cache lies in ``$XDG_CACHE_HOME/sji-edge/places`` (``~/.cache`` by default). It saves an engine run over every
    enrolled board at each start; without it, or if it cannot be written, the boards are learned again.

    Args:
        open_judge: returns the recipe's judge without places; called only if the boards must be learned.
        recipe: with enrolled boards; its hash and the engine's name the file.
        engine_sha256: hash of the engine.
        clock: for the frames.

    Raises:
        RecipeError: see ``places_of``.
    """
    key = hashlib.sha256(f"{LAYOUT_VERSION} {engine_sha256} {recipe.sha256}".encode()).hexdigest()
    cache = cache_folder("places")
    if cache is None:
        return places_of(open_judge(), recipe, clock)
    path = cache / f"{key[:32]}.npz"
    kept = _read(path, len(recipe.joints))
    if kept is not None:
        return kept
    places = places_of(open_judge(), recipe, clock)
    with suppress(OSError):
        _keep(path, places)
    return places


def _read(path: Path, joints: int) -> Places | None:
    try:
        with np.load(path, allow_pickle=False) as stored:
            places = Places(stored["mean"], stored["precision"], float(stored["limit"]), stored["held_out"])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    fits = len(places.mean) == len(places.precision) == joints and places.limit > 0
    return places if fits and np.isfinite(places.mean).all() and np.isfinite(places.precision).all() else None


def _keep(path: Path, places: Places) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path, sync=False) as stream:
        np.savez(
            stream,
            mean=places.mean,
            precision=places.precision,
            limit=places.limit,
            held_out=places.held_out,
        )
    keep_newest(path.parent, "*.npz", MAX_KEPT)


def places_of(judge: BoardJudge, recipe: Recipe, clock: Clock) -> Places:
    """Run the engine on the recipe's enrolled boards, and learn from their joints.

    Args:
        judge: of the recipe, without places.
        recipe: with enrolled boards.
        clock: for the frames.

    Raises:
        RecipeError: an enrolled board cannot be read or judged, or there are too few.
    """
    enrolled = recipe.enrolled
    if enrolled is None:
        raise RecipeError(f"recipe {recipe.folder} has no enrolled boards")
    rows: list[Features] = []
    for board in enrolled.boards:
        work = answered(judge, enrolled.frame(board), board.file, clock)
        if work.fault is not None:
            raise RecipeError(f"the enrolled board {enrolled.folder / board.file} is {work.fault}")
        rows.append(features_of(work, [name not in board.left_out for name in recipe.names]))
    try:
        return learn_places(np.stack(rows), [joint.package for joint in recipe.joints])
    except ValueError as error:
        raise RecipeError(f"recipe {recipe.folder}: {error}", hint="enrol more good boards") from error


def answered(judge: BoardJudge, pixels: Image, name: str, clock: Clock) -> Work:
    """Run a judge's steps on a frame up to the engine's answer, without a verdict.

    Raises:
        Exception: raised by the engine.
    """
    work = judge.prepare(Frame(0, name, clock.monotonic_ns(), pixels), judge.own_buffer)
    judge.infer([work])
    if work.failure is not None:
        raise work.failure
    return work


def features_of(work: Work, counts: list[bool]) -> Features:
    """Return a frame's features, float32 ``(joints, d)``, NaN where a joint does not count or cannot be seen."""
    if work.placement is None or work.features is None or work.hidden is None:
        raise RecipeError("the engine gave no features")
    inside = work.placement.inside
    rows = np.full((len(inside), work.features.shape[1]), np.nan, np.float32)
    rows[inside] = np.where(work.hidden[:, None], np.float32(np.nan), work.features)
    rows[~np.array(counts)] = np.nan
    return rows

"""Learns what is usual at each joint's place from a recipe's enrolled boards, as one engine sees them."""

import numpy as np

from sji_edge.core.clock import Clock
from sji_edge.core.errors import RecipeError
from sji_edge.core.preprocess import Image
from sji_edge.core.protocols import Frame
from sji_edge.inspection.judging.frame_job import Features, Work
from sji_edge.inspection.judging.judge import BoardJudge
from sji_edge.inspection.judging.places import Places, learn_places
from sji_edge.recipe.board import Recipe


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

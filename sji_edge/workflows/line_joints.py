"""Cuts good joints, and places without one, out of the boards that are enrolled in recipes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import RecipeError
from sji_edge.core.preprocess import Image, Matrix, crops_of_frame, crops_to_image, outside_frame
from sji_edge.recipe.align.alignment import Aligner, AlignmentFailure
from sji_edge.recipe.board import Recipe
from sji_edge.training.guard import LineJoints

HELD_OUT_SHARE = 0.3
BACKGROUNDS = 40
"""Places without a joint that are cut from each board."""
ATTEMPTS = 400
CLEAR = 0.6
"""A place is clear of a joint if the centres are further apart than this share of the joint's box, in x or y."""


def line_joints(recipes: Sequence[Recipe], spec: PreprocessSpec, seed: int) -> LineJoints:
    """Cut the enrolled boards of recipes as the line will cut its boards.

    Args:
        recipes: each with enrolled boards; ``HELD_OUT_SHARE`` of each recipe's boards are held out.
        spec: the model's crops.
        seed: chooses the places without a joint.

    Raises:
        RecipeError: a recipe has no enrolled boards, or one cannot be read or aligned.
    """
    rng = np.random.default_rng(seed)
    good: list[Image] = []
    held_out: list[Image] = []
    backgrounds: list[Image] = []
    for recipe in recipes:
        enrolled = recipe.enrolled
        if enrolled is None:
            raise RecipeError(
                f"recipe {recipe.folder} has no enrolled boards", hint="enrol some with sji-edge recipe enrol"
            )
        aligner = Aligner(recipe.board, recipe.golden)
        first_held_out = len(enrolled.boards) - max(1, round(HELD_OUT_SHARE * len(enrolled.boards)))
        for number, board in enumerate(enrolled.boards):
            pixels = enrolled.frame(board)
            found = aligner.align(pixels)
            if isinstance(found, AlignmentFailure):
                raise RecipeError(
                    f"the enrolled board {enrolled.folder / board.file} cannot be aligned: {found.reason}"
                )
            counts = np.array([name not in board.left_out for name in recipe.names])
            crops = _cut(pixels, recipe.rois[counts], spec, found.matrix)
            (held_out if number >= first_held_out else good).append(crops)
            if number < first_held_out:
                backgrounds.append(_cut(pixels, _clear_places(recipe.rois, pixels, rng), spec, found.matrix))
    return LineJoints(np.concatenate(good), np.concatenate(held_out), np.concatenate(backgrounds))


def _cut(pixels: Image, rois: Matrix, spec: PreprocessSpec, matrix: Matrix) -> NDArray[np.uint8]:
    maps = crops_to_image(rois, spec, matrix)
    maps = np.ascontiguousarray(maps[~outside_frame(maps, spec, pixels.shape)])
    crops = np.empty((len(maps), *spec.shape), np.uint8)
    crops_of_frame(pixels, maps, crops)
    return crops


def _clear_places(rois: Matrix, pixels: Image, rng: np.random.Generator) -> Matrix:
    """Return boxes of the joints' sizes that lie between the joints, float64 ``(m, 5)``."""
    height, width = pixels.shape[:2]
    places = []
    for _ in range(ATTEMPTS):
        box = rois[int(rng.integers(len(rois)))].copy()
        half = box[2:4] / 2
        if (half * 2 >= (width, height)).any():
            continue
        box[:2] = rng.uniform(half, np.array([width, height]) - half)
        apart = np.abs(rois[:, :2] - box[:2]) > CLEAR * rois[:, 2:4]
        if apart.any(axis=1).all():
            places.append(box)
        if len(places) == BACKGROUNDS:
            break
    return np.array(places).reshape(-1, 5)

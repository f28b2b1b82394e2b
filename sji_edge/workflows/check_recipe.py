"""Checks a recipe against its own golden image, and draws it."""

from dataclasses import dataclass
from pathlib import Path

import cv2

from sji_edge.core.errors import OutputError, RecipeError, UsageError
from sji_edge.core.files import write_atomic
from sji_edge.recipe.board import GOLDEN_FILE, Recipe
from sji_edge.recipe.checking.check import RecipeReview, flat_joints, overlapping, review
from sji_edge.recipe.checking.drawing import paint_recipe

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True, eq=False)
class CheckedRecipe:
    """A recipe that could be read, and what its review found; true when the recipe fits its golden image."""

    recipe: Recipe
    review: RecipeReview

    def __bool__(self) -> bool:
        return not self.review.faults

    def require(self) -> None:
        """Raise ``RecipeError`` with every fault; do nothing without one."""
        if self.review.faults:
            raise RecipeError(
                f"recipe {self.recipe.folder} does not fit its {GOLDEN_FILE}: {'; '.join(self.review.faults)}",
                hint="draw the recipe to see where its fiducials are searched",
            )


@dataclass(frozen=True)
class DrawnRecipe:
    """The picture that was written, how many joints it shows, and which of them are doubtful."""

    picture: Path
    joints: int
    doubtful: tuple[str, ...]


def check_recipe(folder: Path) -> CheckedRecipe:
    """Read a recipe and look for its fiducials and joints in its golden image.

    Raises:
        RecipeError: the recipe cannot be read; names every fault with its line.
    """
    recipe = Recipe.load(folder)
    return CheckedRecipe(recipe, review(recipe))


def draw_recipe(folder: Path, output: Path) -> DrawnRecipe:
    """Paint joints, fiducials and their search windows on the golden image.

    Args:
        folder: the recipe.
        output: picture to write, ``.png`` or ``.jpg``; replaced if it exists.

    Raises:
        RecipeError: the recipe cannot be read, or has no golden image.
        UsageError: ``output`` is not a picture, or is the golden image itself.
        OutputError: it cannot be written.
    """
    suffix = output.suffix.lower()
    if suffix not in PICTURE_SUFFIXES:
        raise UsageError(
            f"{output} is not a picture file", hint=f"the name must end in {', '.join(PICTURE_SUFFIXES)}"
        )
    recipe = Recipe.load(folder)
    if recipe.golden is None:
        raise RecipeError(
            f"{folder} has no {GOLDEN_FILE} to draw on", hint="put an image of a faultless board there"
        )
    if output.resolve() == recipe.golden_path.resolve():
        raise UsageError(f"{output} is the golden image itself", hint="choose another file")
    doubtful = {name for pair in overlapping(recipe.names, recipe.rois) for name in (pair.first, pair.second)}
    doubtful |= set(flat_joints(recipe, recipe.golden))
    picture = paint_recipe(recipe.golden, recipe.board, recipe.joints, doubtful)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(output, cv2.imencode(suffix, picture)[1].tobytes())
    except OSError as error:
        raise OutputError(f"cannot write {output}: {error.strerror}") from error
    return DrawnRecipe(output, len(recipe.joints), tuple(sorted(doubtful)))

"""``sji-edge recipe``: board descriptions checked, drawn, and made from pick-and-place data."""

from pathlib import Path
from typing import Annotated

import typer

recipe = typer.Typer(
    name="recipe",
    no_args_is_help=True,
    help="Check and draw board descriptions.",
)

Folder = Annotated[Path, typer.Argument(metavar="RECIPE", help="Folder of board.json and joints.csv.")]


@recipe.command()
def check(folder: Folder) -> None:
    """Check a recipe: its files, its fiducials in golden.png, and boxes that overlap or show nothing.

    Exit 2 with every fault and its line, or when golden.png cannot be aligned to the recipe. Boxes that
    overlap or are flat are listed and are no fault.

    Example: `sji-edge recipe check boards/amplifier`
    """
    from sji_edge.cli.show_recipe import print_review
    from sji_edge.core.errors import RecipeError
    from sji_edge.recipe.board import Recipe
    from sji_edge.recipe.review import review

    loaded = Recipe.load(folder)
    found = review(loaded)
    print_review(loaded, found)
    if found.faults:
        raise RecipeError(
            f"recipe {folder} does not fit its golden.png: {'; '.join(found.faults)}",
            hint="see where they are searched: sji-edge recipe draw",
        )

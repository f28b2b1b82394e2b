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


@recipe.command()
def draw(
    folder: Folder,
    output: Annotated[Path, typer.Option(help="Picture to write (.png or .jpg); replaced if it is there.")],
) -> None:
    """Paint joints, fiducials and their search windows on golden.png.

    Joints whose box overlaps another or shows nothing are orange.

    Example: `sji-edge recipe draw boards/amplifier --output recipe.png`
    """
    import cv2

    from sji_edge.cli.show import console
    from sji_edge.core.errors import RecipeError, UsageError
    from sji_edge.core.files import write_atomic
    from sji_edge.recipe.board import GOLDEN_FILE, Recipe
    from sji_edge.recipe.picture import paint_recipe
    from sji_edge.recipe.review import flat_joints, overlapping

    suffix = output.suffix.lower()
    if suffix not in (".png", ".jpg", ".jpeg"):
        raise UsageError(f"--output {output} is no picture", hint="name it .png or .jpg")
    loaded = Recipe.load(folder)
    if loaded.golden is None:
        raise RecipeError(
            f"{folder} has no {GOLDEN_FILE} to draw on", hint="put a faultless board's image there"
        )
    if output.resolve() == loaded.golden_path.resolve():
        raise UsageError(f"--output {output} is the golden image itself", hint="name another file")
    doubtful = {name for pair in overlapping(loaded.names, loaded.rois) for name in (pair.first, pair.second)}
    doubtful |= set(flat_joints(loaded, loaded.golden))
    picture = paint_recipe(loaded.golden, loaded.board, loaded.joints, doubtful)
    write_atomic(output, cv2.imencode(suffix, picture)[1].tobytes())
    console().print(f"drawn: {output} ({len(loaded.joints)} joints)", markup=False)

"""``sji-edge recipe``: board descriptions checked, drawn, and made from pick-and-place data."""

from pathlib import Path
from typing import Annotated

import typer

recipe = typer.Typer(
    name="recipe",
    no_args_is_help=True,
    help="Check and draw board descriptions, and make them from pick-and-place data.",
)

Folder = Annotated[Path, typer.Argument(metavar="RECIPE", help="Folder of board.json and joints.csv.")]


@recipe.command()
def check(folder: Folder) -> None:
    """Check a recipe: its files, its fiducials in golden.png, and boxes that overlap or show nothing.

    Exit 2 with every fault and its line, or when golden.png cannot be aligned to the recipe. Boxes that
    overlap or are flat are listed and are no fault.

    Example: `sji-edge recipe check boards/amplifier`
    """
    from sji_edge.cli.render.recipe import print_review
    from sji_edge.core.errors import RecipeError
    from sji_edge.recipe.board import Recipe
    from sji_edge.recipe.checking.check import review

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

    from sji_edge.cli.render.console import console
    from sji_edge.core.errors import RecipeError, UsageError
    from sji_edge.core.files import write_atomic
    from sji_edge.recipe.board import GOLDEN_FILE, Recipe
    from sji_edge.recipe.checking.check import flat_joints, overlapping
    from sji_edge.recipe.checking.drawing import paint_recipe

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
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(output, cv2.imencode(suffix, picture)[1].tobytes())
    console().print(f"drawn: {output} ({len(loaded.joints)} joints)", markup=False)


@recipe.command("import")
def import_recipe(
    centroids: Annotated[
        Path, typer.Argument(metavar="CENTROID.csv", help="Pick-and-place table (KiCad, Altium).")
    ],
    packages: Annotated[
        Path, typer.Option(help="package,width,height in mm; with pin,dx,dy one line and one box a pin.")
    ],
    output: Annotated[Path, typer.Option(help="Recipe folder to make; nothing is overwritten.")],
    fiducial: Annotated[
        list[str],
        typer.Option(help="FID1=24,2024 or X,Y=24,2024: board's mm = pixels. With --origin, without pixels."),
    ],
    golden: Annotated[
        Path | None, typer.Option(help="Image of a faultless board; becomes golden.png.")
    ] = None,
    frame: Annotated[str, typer.Option(help="WIDTHxHEIGHT in pixels; without --golden.")] = "",
    scale: Annotated[
        float | None, typer.Option(min=0.001, help="Pixels a mm; else the fiducials say.")
    ] = None,
    origin: Annotated[str, typer.Option(help="X,Y: the pixel of the board's 0,0.")] = "",
    side: Annotated[str, typer.Option(help="top, or bottom (seen from below: x is mirrored).")] = "top",
    fiducial_mm: Annotated[float, typer.Option(min=0.01, help="Diameter of the fiducial discs.")] = 1.0,
    dark_fiducials: Annotated[
        bool, typer.Option("--dark-fiducials", help="Dark discs on a bright board.")
    ] = False,
) -> None:
    """Make a recipe from pick-and-place data in mm and the sizes of its packages.

    Rotations count counter-clockwise as the camera of the part's side sees it. A package of width and height 0
    is left out; one that packages.csv lacks is refused, all at once.

    Example: `sji-edge recipe import pos.csv --packages packages.csv --golden good.png
    --fiducial FID1=24,2024 --fiducial FID2=2424,24 --output boards/amplifier`
    """
    from sji_edge.cli.render.console import console
    from sji_edge.workflows.import_recipe import import_folder

    made = import_folder(
        centroids, packages, output,
        fiducials=fiducial, golden=golden, frame=frame, scale=scale, origin=origin, side=side,
        fiducial_mm=fiducial_mm, bright=not dark_fiducials,
    )  # fmt: skip
    left_out = f", {made.left_out} parts left out" if made.left_out else ""
    terminal = console()
    terminal.print(f"recipe: {output} ({made.joints} joints{left_out})", markup=False)
    terminal.print(
        f"{made.scale:.4g} px/mm, turned by {made.turn_deg:.2f}°, fiducials agree to {made.residual_px:.2f} px",
        markup=False,
    )
    terminal.print(f"next: sji-edge recipe draw {output} --output recipe.png", markup=False)

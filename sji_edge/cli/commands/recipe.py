"""``sji-edge recipe``: check board descriptions, draw them, enrol good boards, import pick-and-place data."""

from pathlib import Path
from typing import Annotated

import typer

from sji_edge.cli.options import ENGINES, BitDepth, Engines, RecipeFolder

recipe = typer.Typer(
    name="recipe",
    no_args_is_help=True,
    help="Check and draw board descriptions, enrol good boards in them, or make them from pick-and-place data.",
)

WHERE, LOOK, TABLE, SAFETY = "Board position", "Camera image", "Table conventions", "Checks"


@recipe.command()
def check(folder: RecipeFolder) -> None:
    """Check a recipe: its files, its fiducials in golden.png, and boxes that overlap or show nothing.

    Exit 2 if the recipe has faults, each listed with its line, or if golden.png cannot be aligned to it. Boxes that
    overlap or show nothing are listed, but are not faults.

    Example: `sji-edge recipe check boards/amplifier`
    """
    from sji_edge.cli.render.recipe import print_review
    from sji_edge.workflows.check_recipe import check_recipe

    checked = check_recipe(folder)
    print_review(checked.recipe, checked.review)
    checked.require()


@recipe.command()
def draw(
    folder: RecipeFolder,
    output: Annotated[Path, typer.Option(help="Picture to write (.png or .jpg); replaced if it exists.")],
) -> None:
    """Paint joints, fiducials and their search windows on golden.png.

    Joints whose box overlaps another or shows nothing are orange.

    Example: `sji-edge recipe draw boards/amplifier --output recipe.png`
    """
    from sji_edge.cli.render.recipe import print_drawn
    from sji_edge.workflows.check_recipe import draw_recipe

    print_drawn(draw_recipe(folder, output))


@recipe.command()
def enrol(
    frames: Annotated[
        Path, typer.Argument(metavar="FRAMES", help="Folder of frames of good boards; at least 3.")
    ],
    folder: Annotated[
        Path,
        typer.Option("--recipe", help="Recipe folder with board.json and joints.csv; it keeps the frames."),
    ],
    engine: Annotated[
        Path | None,
        typer.Option(
            help="Engine folder with a guard; default: the newest released engine.", show_default=False
        ),
    ] = None,
    engines: Engines = ENGINES,
    truth: Annotated[
        Path | None,
        typer.Option(
            help="CSV file with the columns frame, refdes and state; only joints of the good class count. Without it, "
            "the joints that the engine passes count.",
            show_default=False,
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the boards that are enrolled already.")
    ] = False,
    bit_depth: BitDepth = None,
) -> None:
    """Enrol good boards, so that each joint is compared with what the same place shows on them.

    A joint that is too far from its place becomes REVIEW with the cause unlike-golden; a board with many such joints,
    such as one that lies turned, is ERROR with the cause wrong-board. Enrol boards that vary as good boards do: ten or
    more, from several days.

    Example: `sji-edge recipe enrol good-boards/ --recipe boards/amplifier`
    """
    from sji_edge.cli.render.console import console
    from sji_edge.cli.render.recipe import print_enrolment
    from sji_edge.workflows.enrol import enrol as enrol_boards

    with console().status("enrolling") as status:
        enrolment = enrol_boards(
            frames, folder, engine=engine, engines=engines, truth=truth, replace=replace, bit_depth=bit_depth,
            progress=status.update,
        )  # fmt: skip
    print_enrolment(enrolment)


@recipe.command("import")
def import_(
    centroids: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE",
            help="Pick-and-place table of KiCad, Altium, EasyEDA, LibrePCB, DipTrace, PADS, Allegro, Eagle "
            "or Fusion 360.",
        ),
    ],
    packages: Annotated[
        Path,
        typer.Option(
            help="Table with the columns package,width,height in mm; with pin,dx,dy as well, each line "
            "makes the box of one pin."
        ),
    ],
    output: Annotated[Path, typer.Option(help="Recipe folder to make; must not exist yet.")],
    fiducial: Annotated[
        list[str],
        typer.Option(
            help="Fiducial and its pixel: FID1=24,2024, or X,Y=24,2024 with X,Y in the board's mm. "
            "Give two to four; three distinguish the board from its mirror image.",
            rich_help_panel=WHERE,
        ),
    ],
    point: Annotated[
        list[str] | None,
        typer.Option(
            help="Pixel of any part, such as R5=340,180, to verify the import; it does not become a fiducial.",
            rich_help_panel=WHERE,
        ),
    ] = None,
    origin: Annotated[
        str,
        typer.Option(
            help="Pixel X,Y of the board's origin, instead of the fiducials' pixels; needs --scale.",
            rich_help_panel=WHERE,
        ),
    ] = "",
    scale: Annotated[
        float | None,
        typer.Option(
            min=0.001, help="Pixels per mm; default: fitted to the fiducials.", rich_help_panel=WHERE
        ),
    ] = None,
    golden: Annotated[
        Path | None,
        typer.Option(help="Image of a faultless board; becomes golden.png.", rich_help_panel=LOOK),
    ] = None,
    frame: Annotated[
        str,
        typer.Option(
            help="Frame size WIDTHxHEIGHT in pixels; required without --golden.", rich_help_panel=LOOK
        ),
    ] = "",
    side: Annotated[
        str, typer.Option(help="Side that the camera sees: top or bottom.", rich_help_panel=LOOK)
    ] = "top",
    fiducial_mm: Annotated[
        float, typer.Option(min=0.01, help="Diameter of the fiducial discs in mm.", rich_help_panel=LOOK)
    ] = 1.0,
    dark_fiducials: Annotated[
        bool,
        typer.Option(
            "--dark-fiducials", help="Fiducials are dark discs on a bright board.", rich_help_panel=LOOK
        ),
    ] = False,
    bit_depth: Annotated[
        int | None,
        typer.Option(
            min=8, max=16, help="Bits that a 16-bit golden image uses, such as 12.", rich_help_panel=LOOK
        ),
    ] = None,
    panel: Annotated[
        str,
        typer.Option(
            help="COLUMNSxROWS: step the board over a panel of this many units, such as 2x3; needs --pitch.",
            rich_help_panel=TABLE,
        ),
    ] = "",
    pitch: Annotated[
        str,
        typer.Option(
            help="X,Y: distance from one unit of the panel to the next, in mm along the table's axes.",
            rich_help_panel=TABLE,
        ),
    ] = "",
    units: Annotated[
        str,
        typer.Option(
            help="Unit of lengths if the table declares none: mm, mil or inch; default: mm.",
            rich_help_panel=TABLE,
        ),
    ] = "",
    bottom_rotation: Annotated[
        str,
        typer.Option(
            help="Viewpoint for rotations on the bottom side: from-above, from-below, or auto (from-above for KiCad).",
            rich_help_panel=TABLE,
        ),
    ] = "auto",
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Refuse a table with parts that would not be inspected.", rich_help_panel=SAFETY
        ),
    ] = False,
) -> None:
    """Make a recipe from pick-and-place data and the sizes of its packages.

    A package of width and height 0 is not inspected; unlisted packages are refused, all of them in one message, except
    mounting holes, which are left out. The import is refused if golden.png, a --point or the fiducials indicate a
    mirrored or rotated board.

    Example: `sji-edge recipe import pos.csv --packages packages.csv --golden good.png
    --fiducial FID1=24,2024 --fiducial FID2=2424,24 --output boards/amplifier`
    """
    from sji_edge.cli.render.recipe import print_imported
    from sji_edge.workflows.import_recipe import import_recipe

    made = import_recipe(
        centroids, packages, output,
        fiducials=fiducial, points=point or (), golden=golden, frame=frame, scale=scale, origin=origin, side=side,
        units=units, bottom_rotation=bottom_rotation, fiducial_mm=fiducial_mm, bright=not dark_fiducials,
        bit_depth=bit_depth, strict=strict, panel=panel, pitch=pitch,
    )  # fmt: skip
    print_imported(made)

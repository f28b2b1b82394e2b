"""What ``sji-edge recipe`` prints."""

from collections.abc import Sequence

from rich.table import Table

from sji_edge.cli.render.console import console
from sji_edge.core.left_out import in_one_line
from sji_edge.core.text import amount
from sji_edge.recipe.board import GOLDEN_FILE, Recipe
from sji_edge.recipe.checking.check import RecipeReview
from sji_edge.workflows.check_recipe import DrawnRecipe
from sji_edge.workflows.enrol import Enrolment
from sji_edge.workflows.import_recipe import ImportedRecipe

MAX_NAMED = 20
SURPRISED = 0.05
"""The guard has seen too little of this line if it stops more than this share of the enrolled joints."""


def print_review(recipe: Recipe, found: RecipeReview) -> None:
    """Print what a review found in a recipe."""
    terminal = console()
    board = recipe.board
    width, height = board.frame
    terminal.print(
        f"recipe {recipe.folder}: {len(recipe.joints)} joints"
        f"{f' on {len(board.units)} units' if board.units else ''}, {len(board.fiducials)} fiducials, "
        f"frame {width}x{height}, sha256 {recipe.sha256[:12]}",
        markup=False,
    )
    if recipe.golden is None:
        terminal.print(f"no {GOLDEN_FILE}: cannot check where fiducials and boxes lie", markup=False)
    else:
        terminal.print(_fiducials(found))
    pairs = [f"{one.first} and {one.second} ({one.share:.0%})" for one in found.overlaps]
    _print_some("overlapping boxes", pairs)
    if recipe.golden is not None:
        _print_some(f"boxes that show nothing in {GOLDEN_FILE}", found.flat)
    if recipe.enrolled is None:
        terminal.print(
            "no boards are enrolled: joints are not compared with good boards; see sji-edge recipe enrol",
            markup=False,
        )
    else:
        terminal.print(f"{amount(len(recipe.enrolled.boards), 'enrolled board')}", markup=False)
    if found.confused:
        terminal.print(
            f"warning: a board that is {' or '.join(found.confused)} aligns too, so its joints would "
            "be judged in the wrong places; choose asymmetric fiducials, or a template for one of them",
            markup=False,
        )
    for fault in found.faults:
        terminal.print(f"fault: {fault}", markup=False)


def _fiducials(found: RecipeReview) -> Table:
    table = Table(title=f"fiducials in {GOLDEN_FILE}")
    for column in ("", "shape", "offset (px)", "residual (px)", "contrast (grey levels)"):
        table.add_column(column, justify="left" if column == "shape" else "right")
    for number, one in enumerate(found.fiducials):
        offset = "not found" if one.offset_px is None else f"{one.offset_px:.3f}"
        table.add_row(str(number), one.shape, offset, _figure(one.residual_px, 3), _figure(one.contrast, 0))
    return table


def _figure(value: float | None, decimals: int) -> str:
    return "–" if value is None else f"{value:.{decimals}f}"


def _print_some(what: str, found: Sequence[str]) -> None:
    more = f", and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
    listed = ", ".join(found[:MAX_NAMED])
    console().print(f"{what}: {f'{len(found)}: {listed}{more}' if found else 'none'}", markup=False)


def print_drawn(drawn: DrawnRecipe) -> None:
    """Say what was drawn."""
    doubtful = f", {len(drawn.doubtful)} of them doubtful" if drawn.doubtful else ""
    console().print(f"drawn: {drawn.picture} ({amount(drawn.joints, 'joint')}{doubtful})", markup=False)


def print_imported(made: ImportedRecipe) -> None:
    """Say what was imported, how well it fits, and what was left out."""
    board, table = made.board, made.table
    read_as = [f"lengths in {table.unit}"]
    if table.turned_bottom:
        read_as.append("rotations on the bottom side seen from above")
    lines = [
        f"recipe: {made.folder} ({amount(board.joints, 'joint')}"
        + (f" on {amount(board.units, 'unit')})" if board.units else ")"),
        f"{table.program or 'pick-and-place'} table: {', '.join(read_as)}",
        f"{board.scale:.4g} px/mm, turned by {board.turn_deg:.2f}°, fiducials agree to {board.residual_px:.2f} px",
        board.proof,
        in_one_line(board.left_out),
        f"{amount(board.other_side, 'part')} on the other side" if board.other_side else "",
        *(f"warning: {warning}" for warning in board.warnings),
        f"next: sji-edge recipe draw {made.folder} --output recipe.png",
    ]
    for line in filter(None, lines):
        console().print(line, markup=False)


def print_enrolment(enrolment: Enrolment) -> None:
    """Print which boards and joints count, and how many good joints the recipe would stop."""
    terminal = console()
    table = Table(title=f"{amount(len(enrolment.boards), 'board')} enrolled in {enrolment.recipe}")
    for column in ("package", "joints", "median deviation", "99 %", "unlike their place", "unlike training"):
        table.add_column(column, justify="left" if column == "package" else "right")
    for package, worth in enrolment.packages.items():
        table.add_row(
            package or "(none)",
            str(worth.joints),
            f"{worth.deviation[0]:.2f}",
            f"{worth.deviation[1]:.2f}",
            str(worth.unlike),
            str(worth.novel),
        )
    terminal.print(table)
    terminal.print(
        f"each board compared with the others: {enrolment.unlike_share:.1%} of the good joints are too far from their "
        "place (deviation 1 or more)",
        markup=False,
    )
    for reason, count in enrolment.left_out.items():
        terminal.print(f"left out: {amount(count, 'joint')} {reason}", markup=False)
    for name, why in enrolment.refused:
        terminal.print(f"not enrolled: {name}, {why}", markup=False)
    if enrolment.files_left_out:
        terminal.print(in_one_line(enrolment.files_left_out), markup=False)
    if enrolment.novel_share > SURPRISED:
        terminal.print(
            f"the engine's guard finds {enrolment.novel_share:.1%} of these good joints unlike its training data; "
            f"teach it this line with sji-edge guard RUN DATA --recipe {enrolment.recipe}, then build the engine again",
            markup=False,
        )

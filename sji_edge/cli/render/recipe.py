"""The tables of ``sji-edge recipe``."""

from collections.abc import Sequence

from rich.table import Table

from sji_edge.cli.render.console import console
from sji_edge.recipe.board import GOLDEN_FILE, Recipe
from sji_edge.recipe.checking.check import RecipeReview

MAX_NAMED = 20


def print_review(recipe: Recipe, found: RecipeReview) -> None:
    """Print what a review found in a recipe."""
    terminal = console()
    board = recipe.board
    width, height = board.frame
    terminal.print(
        f"recipe {recipe.folder}: {len(recipe.joints)} joints, {len(board.fiducials)} fiducials, "
        f"frame {width}x{height}, sha256 {recipe.sha256[:12]}",
        markup=False,
    )
    if recipe.golden is None:
        terminal.print(
            f"no {GOLDEN_FILE}: whether fiducials and boxes lie right was not looked at", markup=False
        )
    else:
        terminal.print(_fiducials(found))
    pairs = [f"{one.first} and {one.second} ({one.share:.0%})" for one in found.overlaps]
    _print_some("boxes that overlap", pairs)
    if recipe.golden is not None:
        _print_some(f"boxes that are flat in {GOLDEN_FILE}", found.flat)
    if found.confused:
        terminal.print(
            f"a board that is {' or '.join(found.confused)} aligns as well and would be judged at the wrong joints: "
            "choose fiducials that lie otherwise then, or a template for one of them",
            markup=False,
        )
    for fault in found.faults:
        terminal.print(f"fault: {fault}", markup=False)


def _fiducials(found: RecipeReview) -> Table:
    table = Table(title=f"fiducials in {GOLDEN_FILE}")
    for column in ("", "shape", "off its place (px)", "residual (px)", "contrast (grey levels)"):
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

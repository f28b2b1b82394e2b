"""The tables of ``sji-edge inspections``."""

import json
from typing import Any

import typer
from rich.markup import escape
from rich.table import Table

from sji_edge.cli.render.console import console
from sji_edge.cli.render.inference import COLOURS

HASHES = ("engine_sha256", "recipe_sha256")
SHARES = ("share", "cumulative", "rate", "fail_rate", "peers_rate")
SMALLEST_P = 1e-9
"""What lies below is all the same to a reader."""


def print_rows(
    title: str, rows: list[dict[str, Any]], as_json: bool, nothing: str = "nothing on record fits"
) -> None:
    """Print rows of the same columns as a table, or as JSON; hashes and latencies stand in JSON alone."""
    if as_json:
        typer.echo(json.dumps(rows, allow_nan=False))
        return
    if not rows:
        console().print(nothing)
        return
    table = Table(title=title)
    names = [name for name in rows[0] if name not in HASHES and not name.endswith("_ms")]
    for name in names:
        number = isinstance(rows[0][name], int | float)
        table.add_column(name.replace("_", " "), justify="right" if number else "left", overflow="fold")
    for row in rows:
        colour = COLOURS.get(row.get("verdict", ""))
        table.add_row(*(escape(_cell(name, row[name])) for name in names), style=colour)
    console().print(table)


def _shown(name: str, value: float) -> str:
    if name in SHARES:
        return f"{value:.1%}"
    if name == "at_least":
        return f"{value:.1f} ×"
    if name == "p":
        return f"{value:.2g}" if value >= SMALLEST_P else f"< {SMALLEST_P:.0e}"
    return f"{value:.4f}"


def _cell(name: str, value: Any) -> str:
    if value is None or (name == "package" and not value):
        return "–"
    if isinstance(value, float):
        return _shown(name, value)
    return str(value)

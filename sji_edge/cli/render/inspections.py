"""The tables of ``inspections``."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import typer
from rich.table import Table

from sji_edge.cli.render.console import console, plain, print_whole
from sji_edge.cli.render.inference import COLOURS
from sji_edge.records.read.ranking import By, ParetoRow
from sji_edge.workflows.inspections import Candidates

HASHES = ("engine_sha256", "recipe_sha256")
GUARD = ("novelty", "novelty_limit")
"""Columns that a table shows only if a row has a value in them; JSON always has them."""
SHARES = ("share", "cumulative", "rate", "first_pass_yield", "fail_rate", "peers_rate")
SMALLEST_P = 1e-9
"""Smaller p-values make no difference to a reader."""
NOTHING = "no record matches"

Row = dict[str, Any]


def print_rows(title: str, rows: Sequence[Row], as_json: bool, nothing: str = NOTHING) -> None:
    """Print rows that have the same columns, as a table or as JSON; only JSON has the hashes and latencies."""
    if as_json:
        _print_json(rows)
        return
    if not rows:
        console().print(nothing)
        return
    table = Table(title=title)
    hidden = {*HASHES, *(name for name in GUARD if all(row.get(name) is None for row in rows))}
    names = [name for name in rows[0] if name not in hidden and not name.endswith("_ms")]
    for name in names:
        number = isinstance(rows[0][name], int | float)
        table.add_column(name.replace("_", " "), justify="right" if number else "left", overflow="fold")
    for row in rows:
        colour = COLOURS.get(row.get("verdict", ""))
        table.add_row(*(plain(_cell(name, row[name])) for name in names), style=colour)
    print_whole(table)


def print_pareto(found: Sequence[ParetoRow], by: By, as_json: bool) -> None:
    """Print a Pareto of joints or of packages."""
    rows = [{by: row.pop("name"), **row} for row in map(asdict, found)]
    print_rows(f"{_plural(by)} by how often they failed", rows, as_json)


def print_candidates(found: Candidates, by: By, as_json: bool) -> None:
    """Print both tables, or one JSON object with both lists."""
    often = [_with_evidence(asdict(one)) for one in found.standing_out]
    close = [asdict(one) for one in found.close_calls]
    if as_json:
        _print_json({"standing_out": often, "close_calls": close})
        return
    who = _plural(by)
    print_rows(
        f"{who} called more often than their peers", often, False, f"no {who[:-1]} stands out from its peers"
    )
    print_rows("close calls, the nearest to PASS first", close, False, "no close calls")


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, allow_nan=False))


def _plural(by: By) -> str:
    return "joints" if by == "refdes" else "packages"


def _with_evidence(row: Row) -> Row:
    """Replace the evidence by its fields."""
    flat: Row = {}
    for name, value in row.items():
        flat |= value if name == "evidence" else {name: value}
    return flat


def _number(name: str, value: float) -> str:
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
    return _number(name, value) if isinstance(value, float) else str(value)

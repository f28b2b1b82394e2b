"""The table of ``doctor``."""

import json
from collections.abc import Sequence

import typer
from rich.table import Table

from sji_edge.cli.render.console import console, plain
from sji_edge.workflows.diagnose import Check

MARKS = {"ok": "[green]ok[/green]", "note": "[yellow]note[/yellow]", "missing": "[red]missing[/red]"}


def print_checks(checks: Sequence[Check], as_json: bool) -> None:
    """Print one line a check, grouped by area, or all checks as JSON."""
    if as_json:
        typer.echo(json.dumps([check.model_dump() for check in checks], indent=1))
        return
    table = Table(title="this machine")
    for column in ("", "what", "", "found"):
        table.add_column(column, overflow="fold")
    previous = ""
    for check in checks:
        found = plain(check.value) + (f"\n[dim]{plain(check.hint)}[/dim]" if check.hint else "")
        area = check.area if check.area != previous else ""
        table.add_row(plain(area), plain(check.name), MARKS[check.state], found)
        previous = check.area
    console().print(table)

"""``sji-edge doctor``."""

from pathlib import Path
from typing import Annotated

import typer

MARKS = {"ok": "[green]ok[/green]", "note": "[yellow]note[/yellow]", "missing": "[red]missing[/red]"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Write the findings as JSON.")] = False,
    output: Annotated[
        Path, typer.Option(help="Folder that records would go to; its disk is looked at.")
    ] = Path(),
) -> None:
    """Look at this machine: CPU, GPU, driver, clocks, backends, cameras, disk and clock. Changes nothing.

    Example: `sji-edge doctor --json`
    """
    from sji_edge.core.errors import UsageError
    from sji_edge.workflows.diagnose import examine

    if not output.is_dir():
        raise UsageError(f"{output} is no folder", hint="name one that is there")
    findings = examine(output)
    if as_json:
        import json

        typer.echo(json.dumps([finding.model_dump() for finding in findings], indent=1, ensure_ascii=False))
        return
    from rich.markup import escape
    from rich.table import Table

    from sji_edge.cli.render.console import console

    table = Table(title="this machine")
    for column in ("", "what", "", "found"):
        table.add_column(column, overflow="fold")
    previous = ""
    for finding in findings:
        found = escape(finding.value) + (f"\n[dim]{escape(finding.hint)}[/dim]" if finding.hint else "")
        area = finding.area if finding.area != previous else ""
        table.add_row(escape(area), escape(finding.name), MARKS[finding.state], found)
        previous = finding.area
    console().print(table)

"""``sji-edge inspections``: what is on record."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sji_edge.sinks.history import Filter

inspections = typer.Typer(
    name="inspections",
    no_args_is_help=True,
    help="List, filter and export what infer recorded; what fails most, and what may be a false call.",
)

DATABASE = Path("inspections/inspections.db")
Database = Annotated[Path, typer.Option(help="Records of infer.")]
Verdict = Annotated[str, typer.Option(help="PASS, REVIEW, FAIL or ERROR.")]
Refdes = Annotated[str, typer.Option(help="Only this joint.")]
Run = Annotated[str, typer.Option(help="Only boards whose name begins so.")]
Board = Annotated[str, typer.Option(help="Only this board.")]
Since = Annotated[str, typer.Option(help="From this UTC time on: 2025-01-31 or 2025-01-31T08:00.")]
Until = Annotated[str, typer.Option(help="Before this UTC time.")]
Most = Annotated[int, typer.Option(min=1, help="At most so many rows.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@inspections.command()
def runs(
    since: Since = "", until: Until = "", database: Database = DATABASE, as_json: AsJson = False
) -> None:
    """List the runs: when, how many boards, and their verdicts.

    Example: `sji-edge inspections runs --since 2025-01-31`
    """
    from contextlib import closing

    from sji_edge.sinks.history import History

    with closing(History(database)) as history:
        _print("runs", history.runs(_filter(since=since, until=until)), as_json)


@inspections.command()
def boards(
    verdict: Verdict = "",
    refdes: Refdes = "",
    run: Run = "",
    since: Since = "",
    until: Until = "",
    most: Most = 50,
    database: Database = DATABASE,
    as_json: AsJson = False,
) -> None:
    """List boards, the newest first.

    Example: `sji-edge inspections boards --verdict ERROR`
    """
    from contextlib import closing

    from sji_edge.sinks.history import History

    wanted = _filter(verdict=verdict, refdes=refdes, run=run, since=since, until=until)
    with closing(History(database)) as history:
        _print("boards, the newest first", history.boards(wanted, most), as_json)


@inspections.command()
def joints(
    verdict: Verdict = "",
    refdes: Refdes = "",
    run: Run = "",
    board: Board = "",
    since: Since = "",
    until: Until = "",
    most: Most = 50,
    database: Database = DATABASE,
    as_json: AsJson = False,
) -> None:
    """List joints, those of the newest board first.

    Example: `sji-edge inspections joints --verdict FAIL --refdes J021`
    """
    from contextlib import closing

    from sji_edge.sinks.history import JOINT_COLUMNS, History

    wanted = _filter(verdict=verdict, refdes=refdes, run=run, board=board, since=since, until=until)
    with closing(History(database)) as history:
        found = [dict(zip(JOINT_COLUMNS, row, strict=True)) for row in history.joints(wanted, most)]
    _print("joints", found, as_json)


@inspections.command()
def pareto(
    run: Run = "",
    since: Since = "",
    until: Until = "",
    database: Database = DATABASE,
    as_json: AsJson = False,
) -> None:
    """Rank joints by how often they failed, with the cumulative share of all FAILs.

    Example: `sji-edge inspections pareto --since 2025-01-31`
    """
    from contextlib import closing
    from dataclasses import asdict

    from sji_edge.sinks.history import History

    with closing(History(database)) as history:
        causes = history.pareto(_filter(run=run, since=since, until=until))
    _print("joints by how often they failed", [asdict(cause) for cause in causes], as_json)


@inspections.command()
def candidates(
    refdes: Refdes = "",
    run: Run = "",
    since: Since = "",
    until: Until = "",
    most: Most = 50,
    database: Database = DATABASE,
    as_json: AsJson = False,
) -> None:
    """List what may be a false call: REVIEW, and FAIL by less than one logit; the likeliest first.

    Example: `sji-edge inspections candidates --run 20250131`
    """
    from contextlib import closing
    from dataclasses import asdict

    from sji_edge.sinks.history import History

    wanted = _filter(refdes=refdes, run=run, since=since, until=until)
    with closing(History(database)) as history:
        found = history.candidates(wanted, most)
    _print("may be false calls, the likeliest first", [asdict(one) for one in found], as_json)


@inspections.command()
def export(
    file: Annotated[Path, typer.Argument(help="NAME.csv or NAME.parquet.")],
    verdict: Verdict = "",
    refdes: Refdes = "",
    run: Run = "",
    board: Board = "",
    since: Since = "",
    until: Until = "",
    database: Database = DATABASE,
) -> None:
    """Write joints into one table: CSV, or Parquet (extra parquet).

    Example: `sji-edge inspections export fails.csv --verdict FAIL`
    """
    from contextlib import closing

    from sji_edge.cli.show import console
    from sji_edge.sinks.history import History
    from sji_edge.sinks.tables import export_joints

    wanted = _filter(verdict=verdict, refdes=refdes, run=run, board=board, since=since, until=until)
    with closing(History(database)) as history:
        count = export_joints(history.joints(wanted), file)
    console().print(f"{file}: {count} joints", markup=False)


def _filter(**values: str) -> "Filter":
    from sji_edge.cli.show import settings_or_usage_error
    from sji_edge.sinks.history import Filter

    return settings_or_usage_error(Filter, **values)


def _print(title: str, rows: list[dict[str, Any]], as_json: bool) -> None:
    import json

    from rich.markup import escape
    from rich.table import Table

    from sji_edge.cli.show import console
    from sji_edge.cli.show_infer import COLOURS

    if as_json:
        typer.echo(json.dumps(rows, allow_nan=False))
        return
    if not rows:
        console().print("nothing on record fits")
        return
    hidden = {"engine_sha256", "recipe_sha256"}
    table = Table(title=title)
    names = [name for name in rows[0] if name not in hidden]
    for name in names:
        number = isinstance(rows[0][name], int | float)
        table.add_column(name.replace("_", " "), justify="right" if number else "left", overflow="fold")
    for row in rows:
        colour = COLOURS.get(row.get("verdict", ""))
        table.add_row(*(escape(_cell(name, row[name])) for name in names), style=colour)
    console().print(table)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.1%}" if name in ("share", "cumulative") else f"{value:.4f}"
    return str(value)

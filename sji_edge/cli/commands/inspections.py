"""``sji-edge inspections``: the commands that read the records of ``infer``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from sji_edge.cli.options import DATABASE, Database, PrintJson

if TYPE_CHECKING:
    from sji_edge.records.read.history import Filter
    from sji_edge.records.read.ranking import By as Way

inspections = typer.Typer(
    name="inspections",
    no_args_is_help=True,
    help="List, rank and export what infer recorded, and find possible false calls.",
)

Verdict = Annotated[str, typer.Option(help="Only this verdict: PASS, REVIEW, FAIL or ERROR.")]
Refdes = Annotated[str, typer.Option(help="Only this joint.")]
Run = Annotated[str, typer.Option(help="Only runs whose name starts with this text.")]
Board = Annotated[str, typer.Option(help="Only this board.")]
Cause = Annotated[str, typer.Option(help="Only joints with this cause, such as hidden or unlike-training.")]
Serial = Annotated[str, typer.Option(help="Only the board, panel or unit with this serial number.")]
Since = Annotated[
    str,
    typer.Option(
        help="Only at or after this UTC time: 2025-01-31, 2025-01-31T08:00, or a time as the tables print it."
    ),
]
Until = Annotated[str, typer.Option(help="Only before this UTC time.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Maximum number of rows.")]
By = Annotated[str, typer.Option(help="What to compare: refdes or package.")]


@inspections.command()
def runs(
    since: Since = "", until: Until = "", database: Database = DATABASE, as_json: PrintJson = False
) -> None:
    """List the runs: when they ran, how many boards, and their verdicts.

    Example: `sji-edge inspections runs --since 2025-01-31`
    """
    from sji_edge.cli.render.inspections import print_rows
    from sji_edge.workflows.inspections import list_runs

    print_rows("runs", list_runs(database, _filter(since=since, until=until)), as_json)


@inspections.command()
def boards(
    serial: Serial = "",
    verdict: Verdict = "",
    refdes: Refdes = "",
    run: Run = "",
    since: Since = "",
    until: Until = "",
    limit: Limit = 50,
    database: Database = DATABASE,
    as_json: PrintJson = False,
) -> None:
    """List boards, the newest first.

    Example: `sji-edge inspections boards --verdict ERROR`
    """
    from sji_edge.cli.render.inspections import print_rows
    from sji_edge.workflows.inspections import list_boards

    wanted = _filter(serial=serial, verdict=verdict, refdes=refdes, run=run, since=since, until=until)
    print_rows("boards, the newest first", list_boards(database, wanted, limit=limit), as_json)


@inspections.command()
def joints(
    verdict: Verdict = "",
    refdes: Refdes = "",
    run: Run = "",
    board: Board = "",
    cause: Cause = "",
    since: Since = "",
    until: Until = "",
    limit: Limit = 50,
    database: Database = DATABASE,
    as_json: PrintJson = False,
) -> None:
    """List joints, those of the newest board first.

    Example: `sji-edge inspections joints --verdict FAIL --refdes J021`
    """
    from sji_edge.cli.render.inspections import print_rows
    from sji_edge.workflows.inspections import list_joints

    wanted = _filter(
        verdict=verdict, refdes=refdes, run=run, board=board, cause=cause, since=since, until=until
    )
    print_rows("joints", list_joints(database, wanted, limit=limit), as_json)


@inspections.command()
def trace(
    serial: Annotated[str, typer.Argument(help="Serial number of a board, a panel or a unit of a panel.")],
    output: Annotated[
        Path | None,
        typer.Option(help="New HTML file; default: SERIAL.html in this folder.", show_default=False),
    ] = None,
    database: Database = DATABASE,
) -> None:
    """Write everything on record about a serial number into one HTML file.

    It holds each test with its verdict, joints, pictures and the answers that people gave, and needs no other file.

    Example: `sji-edge inspections trace SN00012345 --output SN00012345.html`
    """
    from sji_edge.cli.render.console import console
    from sji_edge.core.text import amount
    from sji_edge.records.picture_names import escaped
    from sji_edge.workflows.trace.trace import write_trace

    file = output or Path(f"{escaped(serial)}.html")
    found = write_trace(database, serial, file)
    console().print(f"{file}: {amount(len(found.tests), 'test')}", markup=False)


@inspections.command("yield")
def yield_(
    run: Run = "",
    since: Since = "",
    until: Until = "",
    database: Database = DATABASE,
    as_json: PrintJson = False,
) -> None:
    """Show the first-pass yield of each product, by unit.

    A unit counts once, whatever the number of its tests; its serial number says which tests are its own. The filters
    select units by their first test.

    Example: `sji-edge inspections yield --since 2025-01-31`
    """
    from dataclasses import asdict

    from sji_edge.cli.render.inspections import print_rows
    from sji_edge.workflows.inspections import count_yields

    found = count_yields(database, _filter(run=run, since=since, until=until))
    rows = [{**asdict(one), "first_pass_yield": one.first_pass_yield} for one in found]
    print_rows("first-pass yield", rows, as_json)


@inspections.command()
def pareto(
    run: Run = "",
    since: Since = "",
    until: Until = "",
    by: By = "refdes",
    database: Database = DATABASE,
    as_json: PrintJson = False,
) -> None:
    """Rank joints or packages by how often they failed, with the cumulative share of all FAILs.

    The package of a joint comes from the recipe; records made without a recipe have none.

    Example: `sji-edge inspections pareto --by package --since 2025-01-31`
    """
    from sji_edge.cli.render.inspections import print_pareto
    from sji_edge.workflows.inspections import rank_failures

    way = cast("Way", by)
    wanted = _filter(run=run, since=since, until=until)
    print_pareto(rank_failures(database, wanted, by=way), way, as_json)


@inspections.command()
def candidates(
    refdes: Refdes = "",
    run: Run = "",
    since: Since = "",
    until: Until = "",
    by: By = "refdes",
    limit: Limit = 50,
    database: Database = DATABASE,
    as_json: PrintJson = False,
) -> None:
    """List possible false calls: joints called far more often than their peers, then single close calls.

    The first table lists each joint (or package, with --by package) that gets FAIL or REVIEW more often than the
    other joints of its package, by Fisher's exact test with Holm's correction at 5 % for the whole list. "at least" is
    how many times as often, computed from the 95 % limits of both rates. A small margin (in logits above the FAIL
    limit) points to false calls, a large one to a process fault. The second table lists single joints: those at REVIEW,
    and those that FAIL by less than one logit, the nearest to PASS first.

    Example: `sji-edge inspections candidates --run 20250131`
    """
    from sji_edge.cli.render.inspections import print_candidates
    from sji_edge.workflows.inspections import find_candidates

    way = cast("Way", by)
    wanted = _filter(refdes=refdes, run=run, since=since, until=until)
    print_candidates(find_candidates(database, wanted, by=way, limit=limit), way, as_json)


@inspections.command()
def export(
    file: Annotated[Path, typer.Argument(help="New file, NAME.csv or NAME.parquet.")],
    verdict: Verdict = "",
    refdes: Refdes = "",
    run: Run = "",
    board: Board = "",
    cause: Cause = "",
    since: Since = "",
    until: Until = "",
    database: Database = DATABASE,
) -> None:
    """Write joints into one table, with the latencies of their board by stage: CSV, or Parquet (extra parquet).

    Example: `sji-edge inspections export fails.csv --verdict FAIL`
    """
    from sji_edge.cli.render.console import console
    from sji_edge.core.text import amount
    from sji_edge.workflows.inspections import export_table

    wanted = _filter(
        verdict=verdict, refdes=refdes, run=run, board=board, cause=cause, since=since, until=until
    )
    count = export_table(database, file, wanted)
    console().print(f"{file}: {amount(count, 'joint')}", markup=False)


def _filter(**values: str) -> "Filter":
    from sji_edge.cli.settings import settings_or_usage_error
    from sji_edge.records.read.history import Filter

    return settings_or_usage_error(Filter, **values)

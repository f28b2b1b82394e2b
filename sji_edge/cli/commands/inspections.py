"""``sji-edge inspections``: what is on record."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from sji_edge.records.read.history import Filter
    from sji_edge.records.read.ranking import By as Way

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
Since = Annotated[
    str, typer.Option(help="From this UTC time on: 2025-01-31, 2025-01-31T08:00, or as printed.")
]
Until = Annotated[str, typer.Option(help="Before this UTC time.")]
Most = Annotated[int, typer.Option(min=1, help="At most so many rows.")]
By = Annotated[str, typer.Option(help="refdes or package.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@inspections.command()
def runs(
    since: Since = "", until: Until = "", database: Database = DATABASE, as_json: AsJson = False
) -> None:
    """List the runs: when, how many boards, and their verdicts.

    Example: `sji-edge inspections runs --since 2025-01-31`
    """
    from contextlib import closing

    from sji_edge.cli.render.inspections import print_rows
    from sji_edge.records.read.history import History

    with closing(History(database)) as history:
        print_rows("runs", history.runs(_filter(since=since, until=until)), as_json)


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

    from sji_edge.cli.render.inspections import print_rows
    from sji_edge.records.read.history import History

    wanted = _filter(verdict=verdict, refdes=refdes, run=run, since=since, until=until)
    with closing(History(database)) as history:
        print_rows("boards, the newest first", history.boards(wanted, most), as_json)


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

    from sji_edge.cli.render.inspections import print_rows
    from sji_edge.records.read.history import JOINT_COLUMNS, History

    wanted = _filter(verdict=verdict, refdes=refdes, run=run, board=board, since=since, until=until)
    with closing(History(database)) as history:
        found = [dict(zip(JOINT_COLUMNS, row, strict=True)) for row in history.joints(wanted, most)]
    print_rows("joints", found, as_json)


@inspections.command()
def pareto(
    run: Run = "",
    since: Since = "",
    until: Until = "",
    by: By = "refdes",
    database: Database = DATABASE,
    as_json: AsJson = False,
) -> None:
    """Rank joints, or packages, by how often they failed, with the cumulative share of all FAILs.

    The package of a joint is the recipe's; records of infer without a recipe have none.

    Example: `sji-edge inspections pareto --by package --since 2025-01-31`
    """
    from contextlib import closing
    from dataclasses import asdict

    from sji_edge.cli.render.inspections import print_rows
    from sji_edge.records.read.history import History
    from sji_edge.records.read.ranking import pareto as ranked
    from sji_edge.workflows.outliers import known_packages

    way = _way(by)
    with closing(History(database)) as history:
        found = history.counts(_filter(run=run, since=since, until=until))
    if way == "package":
        known_packages(found)
    rows = [asdict(cause) for cause in ranked(found, way)]
    named = [{way: row.pop("name"), **row} for row in rows]
    print_rows(f"{'joints' if way == 'refdes' else 'packages'} by how often they failed", named, as_json)


@inspections.command()
def candidates(
    refdes: Refdes = "",
    run: Run = "",
    since: Since = "",
    until: Until = "",
    by: By = "refdes",
    most: Most = 50,
    database: Database = DATABASE,
    as_json: AsJson = False,
) -> None:
    """List what may be false calls: joints called far more often than their peers, then single close calls.

    First each joint (or package, with --by package) that is FAIL or REVIEW more often than the other joints of
    its package: by Fisher's exact test with Holm's correction, 5 % for the whole list. "at least" is how many
    times as often, by the 95 % limits of both rates. A small margin (in logits above the FAIL limit) speaks for
    false calls, a large one for a fault of the process. Then single joints: REVIEW, and FAIL by less than one
    logit, nearest to PASS first.

    Example: `sji-edge inspections candidates --run 20250131`
    """
    import json
    from contextlib import closing
    from dataclasses import asdict

    from sji_edge.cli.render.inspections import print_rows
    from sji_edge.records.read.history import History
    from sji_edge.workflows.outliers import standing_out

    wanted = _filter(refdes=refdes, run=run, since=since, until=until)
    way = _way(by)
    with closing(History(database)) as history:
        often = standing_out(history, wanted, way, most)
        close = [asdict(one) for one in history.candidates(wanted, most)]
    if as_json:
        typer.echo(json.dumps({"standing_out": often, "close_calls": close}, allow_nan=False))
        return
    who = "joints" if way == "refdes" else "packages"
    print_rows(
        f"{who} called more often than their peers", often, False, f"no {who[:-1]} stands out from its peers"
    )
    print_rows("close calls, the nearest to PASS first", close, False, "no close calls")


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
    """Write joints into one table, with the latencies of their board by stage: CSV, or Parquet (extra parquet).

    Example: `sji-edge inspections export fails.csv --verdict FAIL`
    """
    from contextlib import closing

    from sji_edge.cli.render.console import console
    from sji_edge.core.text import amount
    from sji_edge.records.read.history import History
    from sji_edge.records.read.table_export import export_joints

    wanted = _filter(verdict=verdict, refdes=refdes, run=run, board=board, since=since, until=until)
    with closing(History(database)) as history:
        count = export_joints(history.joints(wanted), file)
    console().print(f"{file}: {amount(count, 'joint')}", markup=False)


def _filter(**values: str) -> "Filter":
    from sji_edge.cli.settings import settings_or_usage_error
    from sji_edge.records.read.history import Filter

    return settings_or_usage_error(Filter, **values)


def _way(by: str) -> "Way":
    from sji_edge.core.errors import UsageError

    if by not in ("refdes", "package"):
        raise UsageError(f"--by {by!r} is neither refdes nor package", hint="choose one of the two")
    return cast("Way", by)

"""Answers questions about the records that ``infer`` wrote: lists, rankings, candidates for false calls, tables."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sji_edge.core.errors import UsageError
from sji_edge.core.files import StrPath
from sji_edge.records.read.history import JOINT_COLUMNS, CloseCall, Filter, History
from sji_edge.records.read.ranking import By, ParetoRow
from sji_edge.records.read.ranking import pareto as ranked
from sji_edge.records.read.table_export import export_joints
from sji_edge.records.read.units import ProductYield, UnitHistory
from sji_edge.workflows.outliers import (
    JointOutlier,
    PackageOutlier,
    check_packages,
    outlying_joints,
    outlying_packages,
)

Row = dict[str, Any]
"""One row of a table: column name to value."""

EVERYTHING = Filter()


@dataclass(frozen=True)
class Candidates:
    """Possible false calls.

    Attributes:
        standing_out: joints or packages called far more often than their peers, the clearest first.
        close_calls: joints at REVIEW or just above their FAIL limit, the nearest to PASS first.
    """

    standing_out: tuple[JointOutlier | PackageOutlier, ...]
    close_calls: tuple[CloseCall, ...]


def list_runs(database: StrPath, wanted: Filter = EVERYTHING) -> list[Row]:
    """List the runs on record, the newest first, with their boards by verdict.

    Args:
        database: ``inspections.db``.
        wanted: which boards to count.

    Raises:
        UsageError: there is no such database, or it is not one of ours.
        OutputError: it cannot be read now, for example because it is locked.
    """
    with closing(History(Path(database))) as history:
        return history.runs(wanted)


def list_boards(database: StrPath, wanted: Filter = EVERYTHING, *, limit: int = 50) -> list[Row]:
    """List up to ``limit`` boards, the newest first; raises as ``list_runs``."""
    with closing(History(Path(database))) as history:
        return history.boards(wanted, limit)


def list_joints(database: StrPath, wanted: Filter = EVERYTHING, *, limit: int = 50) -> list[Row]:
    """List up to ``limit`` joints, those of the newest board first; raises as ``list_runs``."""
    with closing(History(Path(database))) as history:
        return [dict(zip(JOINT_COLUMNS, row, strict=True)) for row in history.joints(wanted, limit)]


def rank_failures(
    database: StrPath, wanted: Filter = EVERYTHING, *, by: By = "refdes"
) -> tuple[ParetoRow, ...]:
    """Rank joints or packages by how often they failed, with the cumulative share of all FAILs.

    Args:
        database: ``inspections.db``.
        wanted: which records to count.
        by: ``refdes`` or ``package``.

    Raises:
        UsageError: as ``list_runs``; ``by`` is neither of the two; or no package is on record.
    """
    _check_by(by)
    with closing(History(Path(database))) as history:
        counts = history.counts(wanted)
    if by == "package":
        check_packages(counts)
    return tuple(ranked(counts, by))


def find_candidates(
    database: StrPath, wanted: Filter = EVERYTHING, *, by: By = "refdes", limit: int = 50
) -> Candidates:
    """Find possible false calls; see ``Candidates`` and ``outliers.outlying_joints``.

    Args:
        database: ``inspections.db``.
        wanted: which records; its ``refdes`` selects from what was found.
        by: compare joints (``refdes``) or packages.
        limit: maximum number of entries in each of the two lists.

    Raises:
        UsageError: as ``rank_failures``.
    """
    _check_by(by)
    with closing(History(Path(database))) as history:
        standing_out = (
            outlying_joints(history, wanted, limit)
            if by == "refdes"
            else outlying_packages(history, wanted, limit)
        )
        return Candidates(tuple(standing_out), tuple(history.candidates(wanted, limit)))


def count_yields(database: StrPath, wanted: Filter = EVERYTHING) -> tuple[ProductYield, ...]:
    """Count for each product the units that passed, and those that passed at their first test.

    Args:
        database: ``inspections.db``.
        wanted: its ``since``, ``until`` and ``run`` select units by their first test.

    Raises:
        UsageError: as ``list_runs``.
    """
    with closing(UnitHistory(Path(database))) as history:
        return tuple(history.yields(wanted))


def export_table(database: StrPath, file: StrPath, wanted: Filter = EVERYTHING) -> int:
    """Write joints into a new CSV or Parquet file, with the latencies of their board.

    Args:
        database: ``inspections.db``.
        file: ``NAME.csv`` or ``NAME.parquet``; must not exist yet.
        wanted: which joints.

    Returns:
        Number of joints written.

    Raises:
        UsageError: as ``list_runs``, or the file has another suffix.
        OutputError: the file exists or cannot be written.
        MissingExtraError: Parquet needs an extra that is not installed.
    """
    with closing(History(Path(database))) as history:
        return export_joints(history.joints(wanted), Path(file))


def _check_by(by: str) -> None:
    if by not in ("refdes", "package"):
        raise UsageError(
            f"records can be compared by refdes or package (got {by!r})", hint="choose one of the two"
        )

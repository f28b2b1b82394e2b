"""Reads the records, also while a run writes them: runs, boards, joints, and what fails most."""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sji_edge.core.errors import OutputError, SjiError, UsageError
from sji_edge.core.files import parse_json
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.read_only_database import open_read_only
from sji_edge.core.transactions import is_locked
from sji_edge.core.verdict import logit
from sji_edge.records.latencies import LATENCY_COLUMNS, in_ms
from sji_edge.records.read.ranking import Course, JointCounts
from sji_edge.records.read.utc import Utc
from sji_edge.records.write.sqlite import APPLICATION_ID, SCHEMA_VERSION

PACKAGES_SINCE = 3
"""The first schema that holds a recipe's packages."""
NOVELTY_SINCE = 4
"""The first schema that holds the novelty of a joint and its limit."""
DEVIATION_SINCE = 5
"""The first schema that holds how far a joint is from its place on the enrolled boards."""
SERIALS_SINCE = 7
"""The first schema that holds serial numbers and units."""
DAMAGED = "the database is damaged; copy it again from the machine that wrote it"
NEAR_LOGITS = 1.0
"""A FAIL that is fewer logits than this above its limit may be a false call."""

JOINT_COLUMNS = (
    "board",
    "utc",
    "serial",
    "frame_name",
    "refdes",
    "verdict",
    "score",
    "lower",
    "upper",
    "novelty",
    "novelty_limit",
    "deviation",
    "label",
    "cause",
    "board_verdict",
    "engine_sha256",
    "recipe_sha256",
    *LATENCY_COLUMNS,
)
_JOINTS = """
SELECT b.board, b.utc, {serial}, b.frame_name, j.refdes, j.verdict, j.score, j.lower, j.upper, {novelty},
       {deviation}, j.label, j.cause, b.verdict, b.engine_sha256, b.recipe_sha256, b.latency_ns
FROM joints j JOIN boards b ON b.id = j.board_id
"""
_NOVELTY = "j.novelty, j.novelty_limit"
_NO_NOVELTY = "NULL, NULL"


class Filter(FrozenModel):
    """Selects records; an empty field selects all.

    ``run`` is the start of a board's name. ``cause`` is that of a joint, such as ``unlike-training``; a board is
    selected if one of its joints has it. ``serial`` is that of a board or of one of a panel's units. ``since`` and
    ``until`` are UTC times in ISO 8601; they may be shortened (``2025-01-31``) or end in ``Z`` or ``+00:00``. ``until``
    is exclusive.
    """

    verdict: Literal["", "PASS", "REVIEW", "FAIL", "ERROR"] = ""
    refdes: str = ""
    run: str = ""
    board: str = ""
    cause: str = ""
    serial: str = ""
    since: Utc = ""
    until: Utc = ""


@dataclass(frozen=True, slots=True)
class CloseCall:
    """A joint that may be a false call; ``margin`` is its distance above the FAIL limit, in logits."""

    board: str
    frame_name: str
    refdes: str
    verdict: str
    score: float
    upper: float
    margin: float


class History:
    """A database of records, opened for reading only: it leaves no file behind and does not disturb a run.

    Each method raises ``OutputError`` where the database is locked or damaged, or was written to while it was read.

    Args:
        path: ``inspections.db``.

    Raises:
        UsageError: it does not exist, may not be read, is not one of our databases, or has another schema.
        OutputError: it cannot be read now.
    """

    def __init__(self, path: Path) -> None:
        if not _is_file(path):
            raise UsageError(
                f"no records in {path}", hint="record some with sji-edge infer, or name another database"
            )
        self._path = path
        self._records = open_read_only(path)
        try:
            self._check()
        except SjiError:
            self._records.close()
            raise

    def _check(self) -> None:
        with self._reading() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            self._packages = version >= PACKAGES_SINCE
            self._serials = version >= SERIALS_SINCE
            self._select_joints = _JOINTS.format(
                serial="b.serial" if self._serials else "''",
                novelty=_NOVELTY if version >= NOVELTY_SINCE else _NO_NOVELTY,
                deviation="j.deviation" if version >= DEVIATION_SINCE else "NULL",
            )
        if not tables:
            raise UsageError(
                f"{self._path} is empty: no run has recorded into it", hint="name the database of a run"
            )
        # Later schemas only add to the first; infer migrates an older database.
        if application != APPLICATION_ID or not 1 <= version <= SCHEMA_VERSION:
            found = f"schema {version}" if application == APPLICATION_ID else "another program's tables"
            raise UsageError(
                f"{self._path} holds {found}; this version reads schemas 1 to {SCHEMA_VERSION} of sji-edge"
            )

    def close(self) -> None:
        """Close the database."""
        self._records.close()

    def runs(self, wanted: Filter) -> list[dict[str, Any]]:
        """Return one row per run, newest first: its boards by verdict, its engine and recipe."""
        where, values = _where(wanted, joints=False, serials=self._serials)
        return self._rows(
            "SELECT rtrim(rtrim(b.board, '0123456789'), '-') AS run, min(b.utc) AS started, max(b.utc) AS ended, "
            "count(*) AS boards, sum(b.verdict = 'PASS') AS PASS, sum(b.verdict = 'REVIEW') AS REVIEW, "
            "sum(b.verdict = 'FAIL') AS FAIL, sum(b.verdict = 'ERROR') AS ERROR, "
            "min(b.engine_sha256) AS engine_sha256, min(b.recipe_sha256) AS recipe_sha256 "
            f"FROM boards b {where} GROUP BY run ORDER BY max(b.id) DESC",
            values,
        )

    def boards(self, wanted: Filter, most: int) -> list[dict[str, Any]]:
        """Return the newest boards, with the number of their joints that did not pass."""
        where, values = _where(wanted, joints=False, serials=self._serials)
        unit = (
            "b.serial, b.retest, b.product" if self._serials else "'' AS serial, 0 AS retest, '' AS product"
        )
        return self._rows(
            f"SELECT b.board, b.utc, {unit}, b.frame_name, b.verdict, b.cause, b.alignment_residual_px, "
            "(SELECT count(*) FROM joints j WHERE j.board_id = b.id) AS joints, "
            "(SELECT count(*) FROM joints j WHERE j.board_id = b.id AND j.verdict <> 'PASS') AS not_passed "
            f"FROM boards b {where} ORDER BY b.id DESC LIMIT ?",
            [*values, most],
        )

    def joints(self, wanted: Filter, most: int = -1) -> Iterator[tuple[Any, ...]]:
        """Yield joints as ``JOINT_COLUMNS``, newest board first; ``most`` -1 for all."""
        where, values = _where(wanted, joints=True, serials=self._serials)
        query = f"{self._select_joints} {where} ORDER BY b.id DESC, j.position LIMIT ?"
        text, latencies = "", in_ms({})
        with self._reading() as connection:
            for *row, found in connection.execute(query, [*values, most]):
                if found != text:
                    # One board's joints come together.
                    text, latencies = found, in_ms(self._latencies(found))
                yield (*row, *latencies)

    def _latencies(self, text: str) -> dict[str, int]:
        found = parse_json(str(text).encode(), f"a board's latencies in {self._path}", error=OutputError)
        if not isinstance(found, dict) or not all(isinstance(value, int) for value in found.values()):
            raise OutputError(f"a board's latencies in {self._path} are not numbers", hint=DAMAGED)
        return found

    def counts(self, wanted: Filter) -> list[JointCounts]:
        """Count the verdicts of each joint of each recipe, with its package where that is recorded."""
        where, values = _where(wanted, joints=True, serials=self._serials)
        package = (
            "coalesce((SELECT p.package FROM packages p "
            "WHERE p.recipe_sha256 = g.recipe AND p.refdes = g.refdes), '')"
        )
        rows = self._rows(
            f"SELECT g.recipe, g.refdes, {package if self._packages else repr('')} AS package, "
            "g.judged, g.fails, g.reviews, g.errors FROM ("
            "SELECT b.recipe_sha256 AS recipe, j.refdes AS refdes, sum(j.verdict <> 'ERROR') AS judged, "
            "sum(j.verdict = 'FAIL') AS fails, sum(j.verdict = 'REVIEW') AS reviews, "
            "sum(j.verdict = 'ERROR') AS errors "
            f"FROM joints j JOIN boards b ON b.id = j.board_id {where} GROUP BY recipe, j.refdes) g",
            values,
        )
        return [JointCounts(**row) for row in rows]

    def course(self, wanted: Filter, refdes: Collection[str]) -> dict[tuple[str, str], Course]:
        """Return the calls of some joints in the order in which they were judged, by recipe and refdes."""
        where, values = _where(wanted, joints=True, serials=self._serials)
        some = f"j.verdict <> 'ERROR' AND j.refdes IN ({', '.join('?' * len(refdes))})"
        rows = self._rows(
            "SELECT b.recipe_sha256, j.refdes, j.verdict, j.score, j.upper "
            "FROM joints j JOIN boards b ON b.id = j.board_id "
            f"{where} {'AND' if where else 'WHERE'} {some} ORDER BY b.id",
            [*values, *refdes],
        )
        seen: dict[tuple[str, str], list[float | None]] = {}
        for row in rows:
            margin = (
                None if row["verdict"] == "PASS" else float(logit(row["score"])) - float(logit(row["upper"]))
            )
            seen.setdefault((row["recipe_sha256"], row["refdes"]), []).append(margin)
        return {joint: Course.of(margins) for joint, margins in seen.items()}

    def candidates(self, wanted: Filter, most: int) -> list[CloseCall]:
        """Return joints worth a second look before the line is stopped, nearest to PASS first.

        A false call scores just above the limit more often than a defect does, so this lists every REVIEW and
        every FAIL that is less than ``NEAR_LOGITS`` above its limit.
        """
        where, values = _where(wanted, joints=True, serials=self._serials)
        kept = "j.verdict IN ('FAIL', 'REVIEW') AND j.score IS NOT NULL"
        rows = self._rows(
            "SELECT b.board, b.frame_name, j.refdes, j.verdict, j.score, j.upper "
            "FROM joints j JOIN boards b ON b.id = j.board_id "
            f"{where} {'AND' if where else 'WHERE'} {kept}",
            values,
        )
        found = [
            CloseCall(**row, margin=float(logit(row["score"])) - float(logit(row["upper"]))) for row in rows
        ]
        near = [one for one in found if one.margin < NEAR_LOGITS]
        return sorted(near, key=lambda one: (one.margin, one.board, one.refdes))[:most]

    def _rows(self, query: str, values: list[Any]) -> list[dict[str, Any]]:
        if self._records.changed():
            # A run has begun since this database was opened without locks.
            self._records.close()
            self._records = open_read_only(self._path)
        with self._reading() as connection, closing(connection.execute(query, values)) as cursor:
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._records.connection
        except sqlite3.Error as error:
            raise self._fault(error) from error
        if self._records.changed():
            raise OutputError(f"{self._path} was written to while it was read", hint="run the command again")

    def _fault(self, error: sqlite3.Error) -> SjiError:
        if self._records.changed():
            return OutputError(f"{self._path} was written to while it was read", hint="run the command again")
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_NOTADB:
            return UsageError(f"cannot read {self._path}: {error}", hint="name the inspections.db of a run")
        if is_locked(error):
            return OutputError(f"cannot read {self._path}: another process has locked it", hint="try again")
        return OutputError(
            f"cannot read {self._path}: {error}", hint="check the disk and the file's permissions"
        )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        # A name that is too long, or a folder that this user may not enter.
        return False


def _where(wanted: Filter, *, joints: bool, serials: bool) -> tuple[str, list[Any]]:
    """Return the WHERE clause of a filter and its values, which are bound and never part of the clause."""
    own = "j.refdes = ?"
    among = "EXISTS (SELECT 1 FROM joints j WHERE j.board_id = b.id AND j.refdes = ?)"
    caused = "j.cause = ?"
    among_causes = "EXISTS (SELECT 1 FROM joints j WHERE j.board_id = b.id AND j.cause = ?)"
    # Nothing in an older schema has a serial number.
    unit, bound = "? IS NULL", 1
    if serials:
        unit = "(b.serial = ? OR EXISTS (SELECT 1 FROM units u WHERE u.board_id = b.id AND u.serial = ?))"
        bound = 2
    parts: list[tuple[str, list[Any]]] = [
        ("j.verdict = ?" if joints else "b.verdict = ?", [wanted.verdict]),
        (own if joints else among, [wanted.refdes]),
        ("substr(b.board, 1, length(?)) = ?", [wanted.run, wanted.run]),
        ("b.board = ?", [wanted.board]),
        (caused if joints else among_causes, [wanted.cause]),
        (unit, [wanted.serial] * bound),
        ("b.utc >= ?", [wanted.since]),
        ("b.utc < ?", [wanted.until]),
    ]
    given = [(text, values) for text, values in parts if values[0]]
    clause = " AND ".join(text for text, _ in given)
    return (f"WHERE {clause}" if clause else ""), [value for _, values in given for value in values]

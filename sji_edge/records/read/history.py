"""Reading the records back, while a run may be writing: runs, boards, joints, and what fails most."""

import json
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from sji_edge.core.errors import UsageError
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.verdict import logit
from sji_edge.records.latencies import LATENCY_COLUMNS, in_ms
from sji_edge.records.read.ranking import Course, JointCounts
from sji_edge.records.read.utc import Utc
from sji_edge.records.write.sqlite import APPLICATION_ID, SCHEMA_VERSION

PACKAGES_SINCE = 3
"""The schema that knows a recipe's packages."""
NEAR_LOGITS = 1.0
"""A FAIL within so many logits of its limit may be a false call."""

JOINT_COLUMNS = (
    "board",
    "utc",
    "frame_name",
    "refdes",
    "verdict",
    "score",
    "lower",
    "upper",
    "label",
    "cause",
    "board_verdict",
    "engine_sha256",
    "recipe_sha256",
    *LATENCY_COLUMNS,
)
_JOINTS = """
SELECT b.board, b.utc, b.frame_name, j.refdes, j.verdict, j.score, j.lower, j.upper, j.label, j.cause,
       b.verdict, b.engine_sha256, b.recipe_sha256, b.latency_ns
FROM joints j JOIN boards b ON b.id = j.board_id
"""


class Filter(FrozenModel):
    """Which records are wanted; an empty field wants all.

    ``run`` begins a board's name; ``since`` and ``until`` are UTC, ISO 8601, and may be cut short
    (``2025-01-31``) or end in ``Z`` or ``+00:00``: ``until`` leaves out what begins with it or lies behind it.
    """

    verdict: Literal["", "PASS", "REVIEW", "FAIL", "ERROR"] = ""
    refdes: str = ""
    run: str = ""
    board: str = ""
    since: Utc = ""
    until: Utc = ""


@dataclass(frozen=True, slots=True)
class CloseCall:
    """A joint that may have been called falsely: ``margin`` is how far, in logits, it lies above its FAIL limit."""

    board: str
    frame_name: str
    refdes: str
    verdict: str
    score: float
    upper: float
    margin: float


class History:
    """A database of records, opened for reading alone; whoever writes is not disturbed.

    Args:
        path: ``inspections.db``.

    Raises:
        UsageError: it is not there, is no database of ours, or of another schema.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise UsageError(
                f"no records in {path}", hint="make some with sji-edge infer, or name --database"
            )
        self._path = path
        with self._reading():
            self._connection = sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True)
        try:
            self._check()
        except UsageError:
            self._connection.close()
            raise

    def _check(self) -> None:
        with self._reading():
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            application = self._connection.execute("PRAGMA application_id").fetchone()[0]
            self._packages = version >= PACKAGES_SINCE
        # Later schemas only add to the first; infer brings an older database up to date.
        if application != APPLICATION_ID or not 1 <= version <= SCHEMA_VERSION:
            found = f"schema {version}" if application == APPLICATION_ID else "another program's tables"
            raise UsageError(
                f"{self._path} holds {found}; schema 1 to {SCHEMA_VERSION} of sji-edge was wanted"
            )

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    def runs(self, wanted: Filter) -> list[dict[str, Any]]:
        """One row a run, newest first: its boards by verdict, its engine and recipe."""
        where, values = _where(wanted, joints=False)
        return self._rows(
            "SELECT rtrim(rtrim(b.board, '0123456789'), '-') AS run, min(b.utc) AS started, max(b.utc) AS ended, "
            "count(*) AS boards, sum(b.verdict = 'PASS') AS PASS, sum(b.verdict = 'REVIEW') AS REVIEW, "
            "sum(b.verdict = 'FAIL') AS FAIL, sum(b.verdict = 'ERROR') AS ERROR, "
            "min(b.engine_sha256) AS engine_sha256, min(b.recipe_sha256) AS recipe_sha256 "
            f"FROM boards b {where} GROUP BY run ORDER BY max(b.id) DESC",
            values,
        )

    def boards(self, wanted: Filter, most: int) -> list[dict[str, Any]]:
        """The newest boards, with the number of their joints that did not pass."""
        where, values = _where(wanted, joints=False)
        return self._rows(
            "SELECT b.board, b.utc, b.frame_name, b.verdict, b.cause, b.alignment_residual_px, "
            "(SELECT count(*) FROM joints j WHERE j.board_id = b.id) AS joints, "
            "(SELECT count(*) FROM joints j WHERE j.board_id = b.id AND j.verdict <> 'PASS') AS not_passed "
            f"FROM boards b {where} ORDER BY b.id DESC LIMIT ?",
            [*values, most],
        )

    def joints(self, wanted: Filter, most: int = -1) -> Iterator[tuple[Any, ...]]:
        """Yield joints as ``JOINT_COLUMNS``, newest board first; ``most`` -1 for all."""
        where, values = _where(wanted, joints=True)
        query = f"{_JOINTS} {where} ORDER BY b.id DESC, j.position LIMIT ?"
        text, latencies = "", in_ms({})
        with self._reading():
            for *row, found in self._connection.execute(query, [*values, most]):
                if found != text:
                    # One board's joints come together.
                    text, latencies = found, in_ms(json.loads(found))
                yield (*row, *latencies)

    def counts(self, wanted: Filter) -> list[JointCounts]:
        """How often each joint of each recipe got which verdict, with its package where that is on record."""
        where, values = _where(wanted, joints=True)
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
        """How the calls of some joints came one after the other, by recipe and refdes."""
        where, values = _where(wanted, joints=True)
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
        """Joints worth a second look before the line is stopped: FAIL barely, or REVIEW, nearest to PASS first.

        A false call scores just above the limit more often than a defect does: what FAILs by less than
        ``NEAR_LOGITS`` is listed, and every REVIEW.
        """
        where, values = _where(wanted, joints=True)
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
        with self._reading(), closing(self._connection.execute(query, values)) as cursor:
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise UsageError(f"cannot read {self._path}: {error}") from error


def _where(wanted: Filter, *, joints: bool) -> tuple[str, list[Any]]:
    """Return the WHERE clause of a filter and its values; nothing of a value enters the clause."""
    own = "j.refdes = ?"
    among = "EXISTS (SELECT 1 FROM joints j WHERE j.board_id = b.id AND j.refdes = ?)"
    parts: list[tuple[str, list[Any]]] = [
        ("j.verdict = ?" if joints else "b.verdict = ?", [wanted.verdict]),
        (own if joints else among, [wanted.refdes]),
        ("substr(b.board, 1, length(?)) = ?", [wanted.run, wanted.run]),
        ("b.board = ?", [wanted.board]),
        ("b.utc >= ?", [wanted.since]),
        ("b.utc < ?", [wanted.until]),
    ]
    given = [(text, values) for text, values in parts if values[0]]
    clause = " AND ".join(text for text, _ in given)
    return (f"WHERE {clause}" if clause else ""), [value for _, values in given for value in values]

"""Look: boards by time and name, what fails most, what changed since yesterday, a joint's history, and the live run."""

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sji_edge.core.decisions import Answer
from sji_edge.core.errors import UsageError
from sji_edge.decisions.read import by_answer, conflicts, current, read_decisions
from sji_edge.records.latencies import in_ms
from sji_edge.review.blind import agreement
from sji_edge.review.figures import Bar, Change, Day, ListedBoard, LiveState, PastJoint, Summary
from sji_edge.review.verification import Source

BOARDS = 100
PARETO = 20
HISTORY = 60
COUNTED = 20_000
"""Newest boards that the Pareto reads: a shift or two, however long the database is."""


class Look:
    """The work of the view *Look*. Safe to use from several threads.

    Args:
        sources: the databases.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = list(sources)

    def _source(self, number: int) -> Source:
        if not 0 <= number < len(self._sources):
            raise UsageError(f"there is no source {number}")
        return self._sources[number]

    def boards(
        self,
        number: int,
        *,
        verdict: str = "",
        text: str = "",
        since: str = "",
        until: str = "",
        before: int | None = None,
    ) -> list[ListedBoard]:
        """Return boards, newest first.

        Args:
            number: the source.
            verdict: only this verdict.
            text: only boards whose record, frame or serial number has this text in it.
            since: only from this UTC time on.
            until: only before this UTC time.
            before: only boards with a smaller id, for the next page.
        """
        # A pattern's own characters are text here.
        pattern = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        parts: list[tuple[str, list[str | int]]] = [
            ("b.verdict = ?", [verdict] if verdict else []),
            (
                "(b.board LIKE ? ESCAPE '\\' OR b.frame_name LIKE ? ESCAPE '\\' OR b.serial LIKE ? ESCAPE '\\')",
                [pattern] * 3 if text else [],
            ),
            ("b.utc >= ?", [since] if since else []),
            ("b.utc < ?", [until] if until else []),
            ("b.id < ?", [before] if before is not None else []),
        ]
        where = " AND ".join(clause for clause, values in parts if values) or "1"
        values = [value for _, given in parts for value in given]
        query = (
            "SELECT b.id, b.board, b.frame_name, b.utc, b.verdict, b.cause, b.serial, (SELECT count(*) FROM joints j "
            "WHERE j.board_id = b.id AND j.verdict IN ('REVIEW', 'FAIL', 'ERROR')) "
            f"FROM boards b WHERE {where} ORDER BY b.id DESC LIMIT {BOARDS}"
        )
        with self._source(number).records.reading() as connection:
            return [ListedBoard(number, *row) for row in connection.execute(query, values)]

    def pareto(self, number: int, by: str = "refdes") -> list[Bar]:
        """Return what was called most on the newest boards, by ``refdes`` or ``package``."""
        if by not in ("refdes", "package"):
            raise UsageError(f"calls can be counted by refdes or package (got {by[:20]!r})")
        name = "j.refdes" if by == "refdes" else "coalesce(p.package, '')"
        query = (
            f"SELECT {name} AS name, max(coalesce(p.package, '')), sum(j.verdict = 'REVIEW'), sum(j.verdict = 'FAIL'), "
            "sum(j.verdict = 'ERROR'), coalesce(sum(d.what IN ('DefectConfirmed', 'DefectAccepted')), 0), "
            "coalesce(sum(d.what = 'DefectRejected'), 0) FROM joints j "
            "CROSS JOIN boards b ON b.id = j.board_id "
            "LEFT JOIN packages p ON p.recipe_sha256 = b.recipe_sha256 AND p.refdes = j.refdes "
            "LEFT JOIN decisions d ON d.id = (SELECT max(s.id) FROM decisions s WHERE s.subject = b.board AND "
            "s.refdes = j.refdes AND s.blind = 0 AND s.what <> 'Undone' AND NOT EXISTS "
            "(SELECT 1 FROM decisions u WHERE u.undoes = s.id)) "
            "WHERE j.verdict IN ('REVIEW', 'FAIL', 'ERROR') AND j.board_id > "
            f"(SELECT coalesce(max(id), 0) FROM boards) - {COUNTED} AND b.alignment_residual_px IS NOT NULL "
            f"GROUP BY name ORDER BY sum(j.verdict <> 'ERROR') DESC, name LIMIT {PARETO}"
        )
        with self._source(number).records.reading() as connection:
            return [Bar(*row) for row in connection.execute(query)]

    def summary(self, number: int) -> Summary | None:
        """Return the last day beside the day before; None without boards."""
        with self._source(number).records.reading() as connection:
            newest = connection.execute("SELECT max(utc) FROM boards").fetchone()[0]
            if newest is None:
                return None
            try:
                end = datetime.fromisoformat(newest).astimezone(UTC) + timedelta(microseconds=1)
            except ValueError as error:
                raise UsageError("the newest board's time cannot be read") from error
            times = [(end - timedelta(days=days)).isoformat(timespec="microseconds") for days in (2, 1, 0)]
            rows = list(read_decisions(connection))
            before = _day(connection, times[0], times[1])
            now = _day(connection, times[1], times[2])
            changes = _changes(connection, times)
        return Summary(now, before, changes, agreement(rows), len(conflicts(rows)))

    def history(self, number: int, refdes: str) -> list[PastJoint]:
        """Return one joint on the newest boards, newest first."""
        query = (
            "SELECT b.id, j.position, b.board, b.utc, j.verdict, j.score FROM boards b JOIN joints j "
            "ON j.board_id = b.id AND j.position IN (SELECT DISTINCT position FROM joints WHERE refdes = ? AND "
            "verdict IN ('REVIEW', 'FAIL') UNION SELECT position FROM joints WHERE refdes = ? AND board_id = "
            f"(SELECT max(id) FROM boards)) WHERE j.refdes = ? ORDER BY b.id DESC LIMIT {HISTORY}"
        )
        with self._source(number).records.reading() as connection:
            found = connection.execute(query, (refdes, refdes, refdes)).fetchall()
            said = {
                row[2]: current(read_decisions(connection, subject=(row[2], refdes))).get((row[2], refdes))
                for row in found
            }
        joints = []
        for board_id, position, board, utc, verdict, score in found:
            one = said[board]
            answer = "" if one is None else f"{one.what} {one.category}".strip()
            joints.append(PastJoint(number, board_id, position, board, utc, verdict, score, answer))
        return joints

    def live(self) -> LiveState | None:
        """Return the state of the run that judged the newest board; None without boards."""
        newest: tuple[str, int] | None = None
        for number, source in enumerate(self._sources):
            with source.records.reading() as connection:
                found = connection.execute("SELECT utc FROM boards ORDER BY id DESC LIMIT 1").fetchone()
            if found is not None and (newest is None or found[0] > newest[0]):
                newest = (found[0], number)
        return None if newest is None else self._live(newest[1])

    def _live(self, number: int) -> LiveState:
        with self._sources[number].records.reading() as connection:
            board_id, board, frame_name, utc, verdict, cause = connection.execute(
                "SELECT id, board, frame_name, utc, verdict, cause FROM boards ORDER BY id DESC LIMIT 1"
            ).fetchone()
            run = board.rpartition("-")[0]
            rows = connection.execute(
                "SELECT verdict, latency_ns, utc, cause FROM boards WHERE board >= ? AND board < ? "
                "ORDER BY id DESC LIMIT 1000",
                (f"{run}-", f"{run}."),
            ).fetchall()
        latencies = sorted(filter(None, (_since_capture_ms(row[1]) for row in rows)))
        return LiveState(
            number,
            run,
            board_id,
            board,
            frame_name,
            utc,
            verdict,
            cause,
            dict(Counter(row[0] for row in rows)),
            latencies[len(latencies) // 2] if latencies else None,
            latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))] if latencies else None,
            tuple((row[2], row[3]) for row in rows if row[3])[:5],
        )


def _since_capture_ms(text: str) -> float | None:
    try:
        found = json.loads(text)
        return in_ms({name: value for name, value in found.items() if isinstance(value, int)})[-1]
    except (ValueError, AttributeError, RecursionError, TypeError):
        # One damaged cell costs one latency, not the page.
        return None


def _day(connection: sqlite3.Connection, since: str, until: str) -> Day:
    boards = dict(
        connection.execute(
            "SELECT verdict, count(*) FROM boards WHERE utc >= ? AND utc < ? GROUP BY verdict", (since, until)
        ).fetchall()
    )
    calls = connection.execute(
        "SELECT count(*) FROM boards b JOIN joints j ON j.board_id = b.id "
        "WHERE b.utc >= ? AND b.utc < ? AND j.verdict IN ('REVIEW', 'FAIL')",
        (since, until),
    ).fetchone()[0]
    within = [row for row in read_decisions(connection) if since <= row.utc < until]
    answers = {
        str(what): count for what, count in by_answer(current(within)).items() if what is not Answer.UNDONE
    }
    return Day(since, until, boards, calls, answers)


def _changes(connection: sqlite3.Connection, times: list[str]) -> tuple[Change, ...]:
    rows = connection.execute(
        "SELECT j.refdes, sum(b.utc < ?) AS before, sum(b.utc >= ?) AS now FROM boards b "
        "JOIN joints j ON j.board_id = b.id WHERE b.utc >= ? AND b.utc < ? AND j.verdict IN ('REVIEW', 'FAIL') "
        "GROUP BY j.refdes ORDER BY abs(sum(b.utc >= ?) - sum(b.utc < ?)) DESC, j.refdes LIMIT 10",
        (times[1], times[1], times[0], times[2], times[1], times[1]),
    )
    return tuple(Change(*row) for row in rows if row[1] != row[2])

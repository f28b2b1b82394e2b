"""What is there to answer: an index in memory, brought up to date from the tables before each use.

A call is a joint that is REVIEW, FAIL or ERROR. A frame that gave no score at all, such as a black one, is one call for
the whole board. SQLite alone would search all answered boards for the few that are open; the index holds those only.
"""

import sqlite3
import sys
import threading
from dataclasses import dataclass, field
from itertools import islice

from sji_edge.core.decisions import Subject
from sji_edge.decisions.read import current, read_decisions
from sji_edge.review.records import Records

WHOLE_BOARD = -1
"""Stands for a joint's position where the board as a whole is called."""
_STANDS = """
SELECT 1 FROM decisions d WHERE d.subject = b.board AND d.refdes = {refdes} AND d.blind = 0 AND d.what <> 'Undone'
AND NOT EXISTS (SELECT 1 FROM decisions u WHERE u.undoes = d.id)
"""
_CALLS = f"""
SELECT b.id, b.board, j.position, j.refdes FROM joints j CROSS JOIN boards b ON b.id = j.board_id
WHERE j.verdict IN ('REVIEW', 'FAIL', 'ERROR') AND j.board_id > ? AND j.board_id <= ? AND b.utc >= ?
AND NOT (b.verdict = 'ERROR' AND NOT EXISTS
    (SELECT 1 FROM joints s WHERE s.board_id = b.id AND s.score IS NOT NULL))
AND NOT EXISTS ({_STANDS.format(refdes="j.refdes")})
"""
_WHOLE = f"""
SELECT b.id, b.board, {WHOLE_BOARD}, '' FROM boards b
WHERE b.verdict = 'ERROR' AND b.id > ? AND b.id <= ? AND b.utc >= ?
AND NOT EXISTS (SELECT 1 FROM joints s WHERE s.board_id = b.id AND s.score IS NOT NULL)
AND NOT EXISTS ({_STANDS.format(refdes="''")})
"""
_CALLED = """
SELECT b.id, j.position FROM boards b JOIN joints j ON j.board_id = b.id
WHERE b.board = ? AND j.refdes = ? AND j.verdict IN ('REVIEW', 'FAIL', 'ERROR')
"""
_UNDONE = """
SELECT 1 FROM decisions u WHERE u.subject = {row}.subject AND u.refdes = {row}.refdes AND u.undoes = {row}.id
"""
_ESCALATED = f"""
SELECT b.id, count(*) FROM decisions d JOIN boards b ON b.board = d.subject
WHERE d.what = 'Escalated' AND d.blind = 0 AND NOT EXISTS ({_UNDONE.format(row="d")})
AND NOT EXISTS (SELECT 1 FROM decisions l WHERE l.subject = d.subject AND l.refdes = d.refdes AND l.id > d.id
    AND l.blind = 0 AND l.what <> 'Undone' AND NOT EXISTS ({_UNDONE.format(row="l")}))
GROUP BY b.id ORDER BY b.id DESC LIMIT ?
"""


@dataclass(slots=True)
class OpenBoard:
    """A board with open calls: its record's name, and the position of each open call by refdes."""

    id: int
    name: str
    calls: dict[str, int] = field(default_factory=dict)


class OpenCalls:
    """The open calls of one database. Safe to use from several threads.

    Args:
        records: the database.
        since: only boards from this UTC time on, ISO 8601; empty for all.
    """

    def __init__(self, records: Records, since: str = "") -> None:
        self._records = records
        self._since = since
        self._boards: dict[int, OpenBoard] = {}
        self._names: dict[str, int] = {}
        self._last_board = self._last_decision = 0
        self._count = 0
        self._lock = threading.Lock()

    def refresh(self) -> None:
        """Take in what runs and other stations wrote since; raises ``OutputError`` where it cannot be read."""
        with self._lock, self._records.reading() as connection:
            newest = connection.execute("SELECT coalesce(max(id), 0) FROM boards").fetchone()[0]
            # Decisions that were there before a board was taken in are left out by the query itself.
            answered = connection.execute("SELECT coalesce(max(id), 0) FROM decisions").fetchone()[0]
            if answered > self._last_decision and self._last_board:
                self._apply(connection)
            self._last_decision = answered
            if newest > self._last_board:
                between = (self._last_board, newest, self._since)
                for query in (_CALLS, _WHOLE):
                    for row in connection.execute(query, between):
                        self._add(*row)
                self._last_board = newest

    def _apply(self, connection: sqlite3.Connection) -> None:
        touched: set[Subject] = {
            (row.subject, row.refdes) for row in read_decisions(connection, after=self._last_decision)
        }
        for name, refdes in touched:
            stands = current(read_decisions(connection, subject=(name, refdes)))
            if stands:
                self._remove(name, refdes)
            else:
                self._bring_back(connection, name, refdes)

    def _add(self, board_id: int, name: str, position: int, refdes: str) -> None:
        board = self._boards.get(board_id)
        if board is None:
            board = self._boards[board_id] = OpenBoard(board_id, name)
            self._names[name] = board_id
        if refdes not in board.calls:
            # The same refdes comes on every board.
            board.calls[sys.intern(refdes)] = position
            self._count += 1

    def _remove(self, name: str, refdes: str) -> None:
        board = self._boards.get(self._names.get(name, 0))
        if board is not None and board.calls.pop(refdes, None) is not None:
            self._count -= 1
            if not board.calls:
                del self._boards[board.id], self._names[name]

    def _bring_back(self, connection: sqlite3.Connection, name: str, refdes: str) -> None:
        if refdes:
            found = connection.execute(_CALLED, (name, refdes)).fetchone()
        else:
            query = "SELECT id, ? FROM boards WHERE board = ? AND verdict = 'ERROR'"
            found = connection.execute(query, (WHOLE_BOARD, name)).fetchone()
        if found is not None and found[0] <= self._last_board:
            self._add(found[0], name, found[1], refdes)

    @property
    def count(self) -> int:
        """How many calls are open."""
        return self._count

    def open_on(self, board_id: int) -> dict[str, int]:
        """Return the open calls of a board: position by refdes."""
        with self._lock:
            board = self._boards.get(board_id)
            return {} if board is None else dict(board.calls)

    def newest(self, limit: int, before: int | None = None) -> list[tuple[int, int]]:
        """Return ids of boards with open calls and the number of those, newest first.

        Args:
            limit: maximum number of boards.
            before: only boards with a smaller id.
        """
        with self._lock:
            ids = sorted((one for one in self._boards if before is None or one < before), reverse=True)
            return [(one, len(self._boards[one].calls)) for one in islice(ids, limit)]


def escalated(connection: sqlite3.Connection, limit: int) -> list[tuple[int, int]]:
    """Return ids of boards with calls that wait for somebody else's decision, and the number of those, newest first."""
    return [(int(board), int(count)) for board, count in connection.execute(_ESCALATED, (limit,))]

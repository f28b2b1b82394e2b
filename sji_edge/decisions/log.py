"""Writes people's answers: each is on disk when the call returns, however many stations write at once."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sji_edge.core.clock import Clock, SystemClock
from sji_edge.core.decisions import DECISIONS_SCHEMA, Answer, Decision, Role
from sji_edge.core.errors import OutputError, UsageError
from sji_edge.core.file_identity import FileIdentity
from sji_edge.core.files import StrPath
from sji_edge.core.transactions import is_locked, transaction

BUSY_TIMEOUT_S = 5.0
INSERT = """
INSERT INTO decisions (utc, who, role, subject, refdes, what, category, seconds, score_shown, blind, undoes, token)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


@dataclass(frozen=True, slots=True)
class Undo:
    """Takes a decision back; ``row`` is its id."""

    row: int
    who: str
    role: Role
    token: str | None = None


class DecisionLog:
    """Appends answers to an existing database of records or of a pool, and adds the table where it is missing.

    WAL mode lets a line write and others read meanwhile. Several stations write in turn, each transaction whole;
    ``synchronous`` is FULL, so that an answer survives a power cut as soon as the call has returned. May be used by
    several threads.

    Args:
        path: ``inspections.db``, migrated to the current schema, or ``pool.db``.
        clock: for the time of each row.
        busy_timeout_s: how long a write waits for other processes that write.

    Raises:
        UsageError: there is no such database.
        OutputError: it cannot be opened or written.
    """

    def __init__(
        self, path: StrPath, clock: Clock | None = None, busy_timeout_s: float = BUSY_TIMEOUT_S
    ) -> None:
        self._path = Path(path)
        self._clock = clock or SystemClock()
        self._waits_s = busy_timeout_s
        self._lock = threading.Lock()
        self._files: list[FileIdentity] = []
        if not self._path.is_file():
            raise UsageError(
                f"no database in {path}",
                hint="name the records of sji-edge infer, or a pool of sji-edge collect",
            )
        try:
            self._connection = sqlite3.connect(
                path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise OutputError(f"cannot open {path}: {error}") from error
        try:
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                self._connection.execute(f"PRAGMA {pragma}")
            with self._transaction() as connection:
                for statement in DECISIONS_SCHEMA:
                    connection.execute(statement)
            # SQLite keeps its log as long as anybody has the database open.
            self._files = [FileIdentity(self._path.with_name(self._path.name + end)) for end in ("", "-wal")]
        except sqlite3.Error as error:
            self._connection.close()
            raise self._refusal(error) from error
        except OutputError:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database; a second call does nothing."""
        self._connection.close()

    def append(self, decisions: Sequence[Decision]) -> list[int]:
        """Write answers in one transaction: all of them, or none.

        Returns:
            The id of each row; for a token that is there already, that of the row that has it.

        Raises:
            UsageError: an answer of a viewer, or a confirmed defect or a label without its category.
            OutputError: they cannot be written; none was.
        """
        for decision in decisions:
            _check(decision)
        with self._transaction() as connection:
            return [self._insert(connection, decision) for decision in decisions]

    def undo(self, undo: Undo) -> int:
        """Take a decision back by a row of its own; return that row's id.

        An operator takes back what that operator decided, an engineer what anybody did. A second call with the same
        token returns the first one's row.

        Raises:
            UsageError: there is no such decision, it is taken back already, or it is somebody else's.
            OutputError: it cannot be written.
        """
        with self._transaction() as connection:
            if (known := _known(connection, undo.token)) is not None:
                return known
            row = connection.execute(
                "SELECT who, subject, refdes, what, blind, "
                "EXISTS (SELECT 1 FROM decisions u WHERE u.undoes = d.id) FROM decisions d WHERE id = ?",
                (undo.row,),
            ).fetchone()
            if row is None or row[3] == Answer.UNDONE:
                raise UsageError(f"there is no decision {undo.row} to undo")
            who, subject, refdes, _, blind, gone = row
            if gone:
                raise UsageError(f"decision {undo.row} is undone already")
            if undo.role is not Role.ENGINEER and (undo.role is not Role.OPERATOR or who != undo.who):
                raise UsageError(
                    f"decision {undo.row} is {who}'s", hint="an engineer can undo what somebody else decided"
                )
            values = (undo.who, undo.role.value, subject, refdes, Answer.UNDONE.value, "", None, 1, blind)
            return _row_of(
                connection.execute(INSERT, (self._clock.utc(), *values, undo.row, undo.token)).lastrowid
            )

    def _insert(self, connection: sqlite3.Connection, decision: Decision) -> int:
        if (known := _known(connection, decision.token)) is not None:
            return known
        values = (
            self._clock.utc(),
            decision.who,
            decision.role.value,
            decision.subject,
            decision.refdes,
            decision.what.value,
            decision.category,
            decision.seconds,
            decision.score_shown,
            decision.blind,
            None,
            decision.token,
        )
        return _row_of(connection.execute(INSERT, values).lastrowid)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                with transaction(self._connection):
                    yield self._connection
            except sqlite3.Error as error:
                raise self._refusal(error) from error
            # A row in a file that was moved away or deleted is soon lost.
            for file in self._files:
                file.check()

    def _refusal(self, error: sqlite3.Error) -> OutputError:
        if is_locked(error):
            return OutputError(
                f"cannot record a decision in {self._path}: another process kept it locked for {self._waits_s:g} s",
                hint="decide again in a moment",
            )
        return OutputError(
            f"cannot record a decision in {self._path}: {error}",
            hint="check the disk and the file's permissions",
        )


def _check(decision: Decision) -> None:
    if decision.role is Role.VIEWER:
        raise UsageError(
            f"{decision.who} has the role viewer, which may look but not decide",
            hint="log in as an operator or an engineer",
        )
    if decision.what is Answer.UNDONE:
        raise UsageError("an undo must name the decision that it takes back")
    needed = decision.what in (Answer.CONFIRMED, Answer.ACCEPTED, Answer.LABELLED)
    if needed != bool(decision.category) and decision.what is not Answer.ESCALATED:
        wanted = "needs a category" if needed else "has no category"
        raise UsageError(f"{decision.what} {wanted} (got {decision.category!r})")


def _known(connection: sqlite3.Connection, token: str | None) -> int | None:
    found = connection.execute("SELECT id FROM decisions WHERE token = ?", (token,)).fetchone()
    return None if found is None else int(found[0])


def _row_of(lastrowid: int | None) -> int:
    if lastrowid is None:
        raise OutputError("SQLite gave a decision no row")
    return lastrowid

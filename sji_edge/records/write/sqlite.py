"""Records in SQLite: a board with all its joints, or nothing of it."""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from sji_edge.core.errors import OutputError
from sji_edge.core.protocols import BoardRecord
from sji_edge.core.text import readable
from sji_edge.records.write.validate import fit

APPLICATION_ID = 0x534A4945
"""``SJIE``: marks a database as ours."""
SCHEMA_VERSION = 3
BUSY_TIMEOUT_S = 5.0

SCHEMA = """
CREATE TABLE boards (
    id INTEGER PRIMARY KEY,
    board TEXT NOT NULL UNIQUE,
    frame_index INTEGER NOT NULL,
    frame_name TEXT NOT NULL,
    utc TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('PASS', 'REVIEW', 'FAIL', 'ERROR')),
    cause TEXT NOT NULL,
    alignment_residual_px REAL,
    engine_sha256 TEXT NOT NULL,
    recipe_sha256 TEXT NOT NULL,
    latency_ns TEXT NOT NULL
);
CREATE TABLE joints (
    board_id INTEGER NOT NULL REFERENCES boards (id),
    position INTEGER NOT NULL,
    refdes TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('PASS', 'REVIEW', 'FAIL', 'ERROR')),
    score REAL CHECK (score IS NOT NULL OR verdict = 'ERROR'),
    lower REAL NOT NULL,
    upper REAL NOT NULL,
    label TEXT NOT NULL,
    cause TEXT NOT NULL,
    PRIMARY KEY (board_id, position)
) WITHOUT ROWID;
CREATE INDEX joints_to_look_at ON joints (verdict, refdes) WHERE verdict <> 'PASS';
"""
MIGRATIONS = {
    # inspections asks for boards by time.
    2: ("CREATE INDEX boards_by_time ON boards (utc)",),
    # inspections asks for joints of one package: a recipe is written down once, not with every board.
    3: (
        "CREATE TABLE packages (recipe_sha256 TEXT NOT NULL, refdes TEXT NOT NULL, package TEXT NOT NULL, "
        "PRIMARY KEY (recipe_sha256, refdes)) WITHOUT ROWID",
    ),
}
"""What brings a database from the version before to each later one; ``SCHEMA`` is that of version 1."""

INSERT_BOARD = """
INSERT INTO boards (board, frame_index, frame_name, utc, verdict, cause, alignment_residual_px,
                    engine_sha256, recipe_sha256, latency_ns)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
INSERT_JOINTS = "INSERT INTO joints VALUES "
JOINT = "(?, ?, ?, ?, ?, ?, ?, ?, ?)"
ROWS = 500
"""Joints of one statement: one for all costs a quarter less than one each; SQLite binds at most 32766 values."""


class SqliteSink:
    """Appends boards to a database, one transaction each, on disk when ``write`` returns.

    A database of an older schema is brought up to date in one transaction. WAL lets others read meanwhile.
    What a killed process had committed is the kernel's already, whatever ``synchronous`` says. A power cut is
    another matter: with NORMAL the last commits may be gone, though never half a board; FULL, used here, syncs
    the log at each commit, so that a board once reported outlives it, as far as the drive tells the truth.

    Args:
        path: the database; made if it is not there.
        busy_timeout_s: how long a write waits for another process that writes.

    Raises:
        OutputError: it cannot be opened, is no database of ours, or is of a newer schema.
    """

    def __init__(self, path: str | Path, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self._path = Path(path)
        self._waits_s = busy_timeout_s
        self._open = True
        try:
            self._connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None)
        except sqlite3.Error as error:
            raise OutputError(f"cannot open {path}: {error}") from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._connection.close()
            raise self._refusal(f"into {path}", error) from error
        except OutputError:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        run = self._connection.execute
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run("PRAGMA foreign_keys = ON")
        run("BEGIN IMMEDIATE")
        try:
            version = run("PRAGMA user_version").fetchone()[0]
            application = run("PRAGMA application_id").fetchone()[0]
            empty = run("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
            if empty:
                for statement in SCHEMA.split(";\n"):
                    run(statement)
                run(f"PRAGMA application_id = {APPLICATION_ID}")
                version = 1
            elif application != APPLICATION_ID or not 1 <= version <= SCHEMA_VERSION:
                found = f"schema {version}" if application == APPLICATION_ID else "another program's tables"
                raise OutputError(
                    f"{self._path} holds {found}; schema {SCHEMA_VERSION} or older of sji-edge was wanted",
                    hint="choose another --output",
                )
            for later in range(version + 1, SCHEMA_VERSION + 1):
                for statement in MIGRATIONS[later]:
                    run(statement)
            run(f"PRAGMA user_version = {SCHEMA_VERSION}")
            run("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def write(self, record: BoardRecord) -> None:
        """Record one board with all its joints, or raise ``OutputError`` having recorded none of it."""
        record = fit(record)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._insert(record)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise self._refusal(f"board {record.board} into {self._path}", error) from error
        except BaseException:
            self._roll_back()
            raise

    def keep_packages(self, recipe_sha256: str, packages: Mapping[str, str]) -> None:
        """Write down which package each joint of a recipe has; boards name the recipe by its hash.

        Raises:
            OutputError: it cannot be written.
        """
        rows = [(recipe_sha256, readable(refdes), readable(package)) for refdes, package in packages.items()]
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("INSERT OR REPLACE INTO packages VALUES (?, ?, ?)", rows)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise self._refusal(f"the recipe into {self._path}", error) from error

    def _insert(self, record: BoardRecord) -> None:
        board_id = self._connection.execute(
            INSERT_BOARD,
            (
                record.board,
                record.frame_index,
                record.frame_name,
                record.utc,
                record.verdict.value,
                record.cause,
                record.alignment_residual_px,
                record.engine_sha256,
                record.recipe_sha256,
                json.dumps(dict(record.latency_ns)),
            ),
        ).lastrowid
        for start in range(0, len(record.joints), ROWS):
            part = record.joints[start : start + ROWS]
            self._connection.execute(
                _insert_joints(len(part)),
                [
                    value
                    for position, joint in enumerate(part, start)
                    for value in (
                        board_id,
                        position,
                        joint.refdes,
                        joint.verdict.value,
                        joint.score,
                        joint.lower,
                        joint.upper,
                        joint.label,
                        joint.cause,
                    )
                ],
            )

    def _refusal(self, what: str, error: sqlite3.Error) -> OutputError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return OutputError(f"cannot record {what}: {error}", hint="choose another --output")
        return OutputError(
            f"cannot record {what}: another process kept the database locked for the {self._waits_s:g} s "
            "that were waited",
            hint=f"end what writes there (fuser {self._path} names it) and run it again, or choose another "
            "--output; sji-edge inspections only reads, and locks nobody out",
        )

    def _roll_back(self) -> None:
        # The error that led here is the one to report; closing rolls back as well.
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Fold the log into the database and let go; a second call does nothing.

        Raises:
            OutputError: SQLite cannot close it.
        """
        if self._open:
            self._open = False
            try:
                self._connection.close()
            except sqlite3.Error as error:
                raise OutputError(f"cannot close {self._path}: {error}") from error


@cache
def _insert_joints(rows: int) -> str:
    return INSERT_JOINTS + ", ".join([JOINT] * rows)

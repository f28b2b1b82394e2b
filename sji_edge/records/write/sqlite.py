"""Writes records to SQLite: each board with all its joints, or not at all."""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from functools import cache
from itertools import chain, repeat
from pathlib import Path

from sji_edge.core.decisions import DECISIONS_SCHEMA
from sji_edge.core.errors import OutputError
from sji_edge.core.file_identity import FileIdentity
from sji_edge.core.files import StrPath
from sji_edge.core.joint_table import columns_of
from sji_edge.core.protocols import BoardRecord, UnitRecord
from sji_edge.core.text import readable
from sji_edge.core.transactions import is_locked, transaction
from sji_edge.records.picture_names import PictureKind
from sji_edge.records.write.closing import ClosedOnExit
from sji_edge.records.write.validate import fit

APPLICATION_ID = 0x534A4945
"""``SJIE``: marks a database as ours."""
SCHEMA_VERSION = 7
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
    # inspections selects boards by time.
    2: ("CREATE INDEX boards_by_time ON boards (utc)",),
    # inspections selects joints by package: a recipe is stored once, not with every board.
    3: (
        "CREATE TABLE packages (recipe_sha256 TEXT NOT NULL, refdes TEXT NOT NULL, package TEXT NOT NULL, "
        "PRIMARY KEY (recipe_sha256, refdes)) WITHOUT ROWID",
    ),
    # NULL where the engine had no guard.
    4: (
        "ALTER TABLE joints ADD COLUMN novelty REAL",
        "ALTER TABLE joints ADD COLUMN novelty_limit REAL",
        "CREATE INDEX joints_by_cause ON joints (cause) WHERE cause <> ''",
    ),
    # NULL where the recipe had no enrolled boards.
    5: ("ALTER TABLE joints ADD COLUMN deviation REAL",),
    # The review station: what people answered, what is there to answer, and where the run's pictures lie.
    6: (
        *DECISIONS_SCHEMA,
        "CREATE INDEX joints_called ON joints (board_id, position) WHERE verdict IN ('REVIEW', 'FAIL', 'ERROR')",
        "CREATE TABLE picture_folders (run TEXT NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('board', 'painted', "
        "'crop')), folder TEXT NOT NULL, PRIMARY KEY (run, kind)) WITHOUT ROWID",
    ),
    # Which board it was. A single board is one unit without a name; a skipped unit of a panel has no joints.
    7: (
        "ALTER TABLE boards ADD COLUMN serial TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE boards ADD COLUMN retest INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE boards ADD COLUMN product TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE boards ADD COLUMN recipe_version TEXT NOT NULL DEFAULT ''",
        "CREATE INDEX boards_by_serial ON boards (serial) WHERE serial <> ''",
        "CREATE TABLE units (board_id INTEGER NOT NULL REFERENCES boards (id), position INTEGER NOT NULL, "
        "unit TEXT NOT NULL, serial TEXT NOT NULL, verdict TEXT NOT NULL "
        "CHECK (verdict IN ('PASS', 'REVIEW', 'FAIL', 'ERROR', 'SKIPPED')), cause TEXT NOT NULL, "
        "retest INTEGER NOT NULL, PRIMARY KEY (board_id, position)) WITHOUT ROWID",
        "CREATE INDEX units_by_serial ON units (serial) WHERE serial <> ''",
        "INSERT INTO units SELECT id, 0, '', '', verdict, cause, 0 FROM boards",
    ),
}
"""Statements that migrate a database to each later version; ``SCHEMA`` is version 1."""

INSERT_BOARD = """
INSERT INTO boards (board, frame_index, frame_name, utc, verdict, cause, alignment_residual_px,
                    engine_sha256, recipe_sha256, latency_ns, serial, retest, product, recipe_version)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
INSERT_UNIT = "INSERT INTO units VALUES (?, ?, ?, ?, ?, ?, ?)"
TIMES_SEEN = """
SELECT count(*) FROM (SELECT id FROM boards WHERE serial = ? AND serial <> ''
                      UNION SELECT board_id FROM units WHERE serial = ? AND serial <> '')
"""
SKIPPED = "SKIPPED"
"""Stands for the verdict of a unit that is marked to be skipped."""
INSERT_JOINTS = "INSERT INTO joints VALUES "
JOINT = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
ROWS = 500
"""Joints per INSERT: a quarter faster than one each; SQLite binds at most 32766 values."""


class SqliteSink(ClosedOnExit):
    """Appends boards to a database, one transaction each, on disk when ``write`` returns.

    A database of an older schema is migrated in one transaction. WAL mode lets others read during a run.
    After a crash of the process every committed board is safe, whatever ``synchronous`` is. After a power cut
    NORMAL may lose the last commits, though never half a board; FULL, used here, syncs the log at each commit, so
    that every board that was reported survives, provided that the drive really writes what it confirms.

    Args:
        path: the database; created if it does not exist.
        busy_timeout_s: how long a write waits for another process that writes.

    Raises:
        OutputError: it cannot be opened, is not one of our databases, or has a newer schema.
    """

    def __init__(self, path: StrPath, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self._path = Path(path)
        self._waits_s = busy_timeout_s
        self._open = True
        self._last = ""
        try:
            self._connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None)
        except sqlite3.Error as error:
            raise OutputError(f"cannot open {path}: {error}") from error
        try:
            self._prepare()
            # SQLite keeps its log and the log's index as long as anybody has the database open.
            self._files = [
                FileIdentity(self._path.with_name(self._path.name + end)) for end in ("", "-wal", "-shm")
            ]
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
        with transaction(self._connection):
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
                    f"{self._path} holds {found}; this version writes schema {SCHEMA_VERSION} of sji-edge",
                    hint="choose another output folder",
                )
            for later in range(version + 1, SCHEMA_VERSION + 1):
                for statement in MIGRATIONS[later]:
                    run(statement)
            run(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def write(self, record: BoardRecord) -> None:
        """Record one board with all its joints, or raise ``OutputError`` having recorded none of it.

        Also raises it if the database or its log was moved, deleted or damaged: the board may then be lost.
        """
        record = fit(record)
        try:
            self._check_files()
            with transaction(self._connection):
                self._insert(record)
            self._last = record.board
            self._check_files()
        except sqlite3.Error as error:
            raise self._refusal(f"board {record.board} into {self._path}", error) from error

    def _check_files(self) -> None:
        """Check that the database and its log are still the ones that were opened, and whole.

        SQLite goes on with what it has in memory when somebody truncates them. They shrink when another program
        compacts them, too, so a file that shrank is read again from the disk, by its own connection.
        """
        shrunk = [file.check() for file in self._files]
        if not any(shrunk):
            return
        try:
            with closing(sqlite3.connect(self._path, timeout=self._waits_s)) as fresh:
                fault = fresh.execute("PRAGMA quick_check(1)").fetchone()[0]
                kept = fresh.execute("SELECT count(*) FROM boards WHERE board = ?", (self._last,)).fetchone()[
                    0
                ]
        except sqlite3.DatabaseError as error:
            fault, kept = str(error), 0
        if fault != "ok" or (self._last and not kept):
            raise OutputError(
                f"{self._path} was truncated or overwritten while this run writes to it",
                hint="choose another output folder; the JSONL file of this run has its boards",
            )

    def keep_packages(self, recipe_sha256: str, packages: Mapping[str, str]) -> None:
        """Store which package each joint of a recipe has; boards refer to the recipe by its hash.

        Raises:
            OutputError: it cannot be written.
        """
        rows = [(recipe_sha256, readable(refdes), readable(package)) for refdes, package in packages.items()]
        try:
            with transaction(self._connection):
                self._connection.executemany("INSERT OR REPLACE INTO packages VALUES (?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise self._refusal(f"the recipe into {self._path}", error) from error

    def keep_picture_folders(self, run: str, folders: Mapping[PictureKind, Path]) -> None:
        """Store where a run keeps its pictures: relative to the database where they lie below its folder.

        Raises:
            OutputError: it cannot be written.
        """
        home = self._path.resolve().parent
        rows = []
        for kind, folder in folders.items():
            place = folder.resolve()
            # A folder of records that is moved takes its pictures along.
            inside = place.is_relative_to(home)
            rows.append((run, kind.value, readable(str(place.relative_to(home) if inside else place))))
        try:
            with transaction(self._connection):
                self._connection.executemany("INSERT OR REPLACE INTO picture_folders VALUES (?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise self._refusal(f"the folders of pictures into {self._path}", error) from error

    def times_seen(self, serial: str) -> int:
        """Return the number of boards on record with this serial number, as theirs or as that of one of their units.

        Raises:
            OutputError: the database cannot be read.
        """
        try:
            found = self._connection.execute(TIMES_SEEN, (readable(serial),) * 2).fetchone()[0]
        except sqlite3.Error as error:
            raise OutputError(f"cannot look up serial numbers in {self._path}: {error}") from error
        return int(found)

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
                record.serial,
                record.retest,
                record.product,
                record.recipe_version,
            ),
        ).lastrowid
        alone = UnitRecord("", record.verdict, record.serial, record.cause, record.retest)
        self._connection.executemany(
            INSERT_UNIT,
            [
                (
                    board_id,
                    position,
                    unit.name,
                    unit.serial,
                    unit.verdict.value if unit.verdict else SKIPPED,
                    unit.cause,
                    unit.retest,
                )
                for position, unit in enumerate(record.units or (alone,))
            ],
        )
        columns = columns_of(record.joints)
        count = len(columns.refdes)
        rows = list(zip(repeat(board_id, count), range(count), *columns, strict=True))
        for start in range(0, count, ROWS):
            part = rows[start : start + ROWS]
            self._connection.execute(_insert_joints(len(part)), list(chain.from_iterable(part)))

    def _refusal(self, what: str, error: sqlite3.Error) -> OutputError:
        if not is_locked(error):
            return OutputError(f"cannot record {what}: {error}", hint="choose another output folder")
        return OutputError(
            f"cannot record {what}: another process kept the database locked for {self._waits_s:g} s",
            hint=f"end the process that writes to it (fuser {self._path} shows which) and run this again, or choose "
            "another output folder; sji-edge inspections only reads and never locks the database",
        )

    def close(self) -> None:
        """Fold the log into the database and close it; a second call does nothing.

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

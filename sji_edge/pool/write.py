"""Adds crops and judgements to a pool."""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.errors import OutputError
from sji_edge.core.files import StrPath, output_errors, write_atomic
from sji_edge.core.text import readable
from sji_edge.core.transactions import is_locked, transaction
from sji_edge.pool.rows import JUDGED_COLUMNS, Judged, NewCrop, Origin
from sji_edge.pool.schema import APPLICATION_ID, CROPS, DATABASE, SCHEMA, SCHEMA_VERSION, check_schema

BUSY_TIMEOUT_S = 10.0
HASH_BYTES = 32
MAX_NAME = 64
"""Longer names in a file name are cut and get a hash."""
_INSERT_CROP = f"INSERT INTO crops VALUES (NULL{', ?' * 20})"  # noqa: S608 - placeholders
_INSERT_JUDGED = (
    f"INSERT OR IGNORE INTO judgements (crop_id, utc, {', '.join(JUDGED_COLUMNS)}) "  # noqa: S608 - fixed names
    f"VALUES (?, ?{', ?' * len(JUDGED_COLUMNS)})"
)


class PoolWriter:
    """Adds to a pool, frame by frame: all crops of a frame, or none. Nothing is ever changed or deleted.

    Several processes may add to one pool, and others may read it meanwhile. A picture is on disk before the row that
    names it; a picture without a row is what a killed process left, and the same frame gives it its row.

    Args:
        folder: the pool; created if it does not exist.

    Raises:
        OutputError: it cannot be opened, holds another program's database, or one of a newer schema.
    """

    def __init__(self, folder: StrPath) -> None:
        self.folder = Path(folder)
        self._path = self.folder / DATABASE
        with output_errors(self.folder):
            (self.folder / CROPS).mkdir(parents=True, exist_ok=True)
        try:
            self._connection = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        except sqlite3.Error as error:
            raise OutputError(f"cannot open {self._path}: {error}") from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._connection.close()
            raise self._refusal(error) from error
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        run = self._connection.execute
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run("PRAGMA foreign_keys = ON")
        with transaction(self._connection):
            if run("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
                for statement in SCHEMA.split(";\n"):
                    run(statement)
                run(f"PRAGMA application_id = {APPLICATION_ID}")
                run(f"PRAGMA user_version = {SCHEMA_VERSION}")
            check_schema(self._connection, self._path, error=OutputError)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def crops(self) -> int:
        """Number of crops in the pool."""
        return int(self._one("SELECT count(*) FROM crops"))

    @property
    def size(self) -> int:
        """Size of all pictures in the pool, in bytes."""
        return int(self._one("SELECT coalesce(sum(bytes), 0) FROM crops"))

    def has(self, frame_sha256: str, recipe_sha256: str) -> dict[str, int]:
        """Return the joints of a frame that are in the pool, by refdes, with the crop's id."""
        with self._working():
            return dict(
                self._connection.execute(
                    "SELECT refdes, id FROM crops WHERE frame_sha256 = ? AND recipe_sha256 = ?",
                    (frame_sha256, recipe_sha256),
                ).fetchall()
            )

    def place(self, board: str, refdes: str) -> tuple[NDArray[np.uint8], list[str]]:
        """Return what the pool holds of one place.

        Returns:
            The perceptual hashes, uint8 ``(n, 32)``, oldest first, and for each crop the verdict of the engine that
            looked at it last; empty where none did.
        """
        with self._working():
            rows = self._connection.execute(
                "SELECT c.likeness, coalesce((SELECT j.verdict FROM judgements j WHERE j.crop_id = c.id "
                "ORDER BY j.rowid DESC LIMIT 1), '') FROM crops c WHERE c.board = ? AND c.refdes = ? ORDER BY c.id",
                (board, refdes),
            ).fetchall()
        hashes = np.frombuffer(b"".join(row[0] for row in rows), np.uint8).reshape(-1, HASH_BYTES)
        return hashes, [row[1] for row in rows]

    def add(self, origin: Origin, crops: Sequence[NewCrop], *, record: str = "") -> list[int]:
        """Add crops of one frame. Of those that the pool has already, only sightings and judgements are added.

        Args:
            origin: the frame.
            crops: of it.
            record: name of the board's record in ``inspections.db``; empty if it has none.

        Returns:
            The ids of the crops that were new, in their order.

        Raises:
            OutputError: they cannot be written; none of them is in the pool.
        """
        there = self.has(origin.frame_sha256, origin.recipe_sha256)
        names = {crop.refdes: self._write_picture(origin, crop) for crop in crops if crop.refdes not in there}
        added: list[int] = []
        with self._transaction():
            # Another writer may have added the same joint meanwhile, with the same picture.
            there = self.has(origin.frame_sha256, origin.recipe_sha256)
            for crop in crops:
                if crop.refdes not in there:
                    found = self._connection.execute(
                        _INSERT_CROP, _values(origin, crop, names[crop.refdes])
                    ).lastrowid
                    if found is None:
                        raise OutputError(f"SQLite gave no number to a crop of {self._path}")
                    there[crop.refdes] = found
                    added.append(found)
                if record:
                    self._connection.execute(
                        "INSERT OR IGNORE INTO sightings VALUES (?, ?, ?)",
                        (record, crop.refdes, there[crop.refdes]),
                    )
                self._add_judged(there[crop.refdes], origin.captured, crop.judged)
        return added

    def judge(self, crop_id: int, utc: str, judged: Iterable[Judged]) -> None:
        """Add what engines say of a crop; an engine's earlier judgement of it stays.

        Raises:
            OutputError: there is no such crop, or it cannot be written.
        """
        self.judge_all([(crop_id, judged)], utc)

    def judge_all(self, judged: Iterable[tuple[int, Iterable[Judged]]], utc: str) -> None:
        """Add judgements of several crops in one transaction; see ``judge``."""
        with self._transaction():
            for crop_id, found in judged:
                self._add_judged(crop_id, utc, found)

    def _add_judged(self, crop_id: int, utc: str, judged: Iterable[Judged]) -> None:
        for one in judged:
            self._connection.execute(_INSERT_JUDGED, (crop_id, utc, *astuple(one)))

    def _write_picture(self, origin: Origin, crop: NewCrop) -> str:
        shard = origin.frame_sha256[:2]
        name = (
            f"{CROPS}/{shard}/{origin.frame_sha256[:24]}_{origin.recipe_sha256[:8]}_{_plain(crop.refdes)}.png"
        )
        path = self.folder / name
        with output_errors(path):
            path.parent.mkdir(exist_ok=True)
            write_atomic(path, crop.png)
        return name

    def close(self) -> None:
        """Fold the log into the database and close it; a second call does nothing."""
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA optimize")
        self._connection.close()

    def _one(self, query: str) -> Any:
        with self._working():
            return self._connection.execute(query).fetchone()[0]

    @contextmanager
    def _working(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._refusal(error) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._working(), transaction(self._connection):
            yield

    def _refusal(self, error: sqlite3.Error) -> OutputError:
        if is_locked(error):
            return OutputError(
                f"cannot write {self._path}: another process kept it locked for {BUSY_TIMEOUT_S:g} s",
                hint=f"end that process (fuser {self._path} shows which), then run this again: it continues",
            )
        return OutputError(
            f"cannot write {self._path}: {error}", hint="check the disk, or choose another pool"
        )


def _values(origin: Origin, crop: NewCrop, file: str) -> tuple[object, ...]:
    return (
        file,
        hashlib.sha256(crop.png).hexdigest(),
        len(crop.png),
        readable(origin.board),
        readable(origin.unit),
        crop.refdes,
        crop.package,
        readable(origin.source),
        origin.frame_index,
        readable(origin.frame_name),
        origin.frame_sha256,
        origin.captured,
        origin.recipe_sha256,
        *astuple(crop.box),
        crop.margin,
        crop.kept_because.value,
        crop.likeness,
    )


def _plain(name: str) -> str:
    """Return a part of a file name that cannot leave its folder; different names stay different."""
    kept = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "+" for letter in name
    )
    if kept == name and len(name) <= MAX_NAME:
        return name
    return f"{kept[:MAX_NAME]}+{hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"

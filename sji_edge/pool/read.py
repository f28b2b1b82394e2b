"""Reads a pool, also while a line writes it: crops by filter, in a chosen order, page by page."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any, Literal, Self

from pydantic import Field

from sji_edge.core.errors import OutputError, SjiError, UsageError
from sji_edge.core.files import StrPath
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.read_only_database import ReadOnly, open_read_only
from sji_edge.core.text import readable
from sji_edge.pool.rows import CROP_COLUMNS, JUDGED_COLUMNS, Crop, crop_of
from sji_edge.pool.schema import DATABASE, KeptBecause, check_schema
from sji_edge.pool.selection import (
    FIGURES,
    ORDERS,
    clause_of,
    is_selective,
    needs_engine,
    source_of,
    where_of,
)

Order = Literal["newest", "oldest", "place", "score", "doubt", "novelty"]
_COLUMNS = ", ".join([*(f"c.{one}" for one in CROP_COLUMNS), *(f"j.{one}" for one in JUDGED_COLUMNS)])
_FROM_CROPS = "crops c LEFT JOIN judgements j ON j.crop_id = c.id AND j.engine_sha256 = ?"
MOST_BOUND = 5000
"""Values bound by one query."""
Column = Literal["board", "unit", "refdes", "package", "kept_because", "recipe_sha256", "source"]


class PoolFilter(FrozenModel):
    """Selects crops; an empty field selects all.

    ``since`` and ``until`` are UTC times in ISO 8601, the latter exclusive. ``score`` and ``novelty`` are ranges whose
    upper end is exclusive; with them, ``verdict`` or ``disagree``, only crops are selected at which the engine looked.
    ``disagree`` selects crops at which two engines looked that gave different verdicts.
    """

    board: str = ""
    unit: str = ""
    refdes: str = ""
    package: str = ""
    kept_because: KeptBecause | None = None
    recipe_sha256: str = ""
    since: str = ""
    until: str = ""
    verdict: Literal["", "PASS", "REVIEW", "FAIL", "ERROR"] = ""
    score: tuple[float, float] | None = None
    novelty: tuple[float, float] | None = None
    disagree: bool = False
    ids: tuple[int, ...] | None = Field(default=None, max_length=10_000)


class PoolReader:
    """A pool, opened for reading only: it never disturbs who writes to it, and sees what was written since.

    Each method raises ``OutputError`` where the database is locked or damaged.

    Args:
        folder: the pool.
        engine_sha256: the engine whose judgements the crops come with; None: the one that looked last.

    Raises:
        UsageError: there is no pool, it may not be read, or it has a newer schema.
        OutputError: it cannot be read now.
    """

    def __init__(self, folder: StrPath, engine_sha256: str | None = None) -> None:
        self.folder = Path(folder)
        self._path = self.folder / DATABASE
        if self.folder.name == DATABASE and self.folder.is_file():
            raise UsageError(
                f"{self.folder} is the database of a pool", hint=f"name its folder, {self.folder.parent}"
            )
        if not self._path.is_file():
            raise UsageError(
                f"{self.folder} is no pool: it has no {DATABASE}", hint="make one with sji-edge collect"
            )
        self._database: ReadOnly = open_read_only(self._path)
        self._engine = engine_sha256
        try:
            with self._reading() as connection:
                check_schema(connection, self._path)
        except SjiError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    @property
    def engine_sha256(self) -> str:
        """The engine whose judgements the crops come with; empty if no engine looked at any."""
        if self._engine is not None:
            return self._engine
        rows = self._rows("SELECT engine_sha256 FROM judgements ORDER BY rowid DESC LIMIT 1", [])
        return str(rows[0][0]) if rows else ""

    def engines(self) -> dict[str, int]:
        """Return how many crops each engine judged, by the engine's hash."""
        return dict(self._rows("SELECT engine_sha256, count(*) FROM judgements GROUP BY 1", []))

    def counts(self, column: Column) -> dict[str, int]:
        """Return how many crops have each value of a column."""
        if column not in Column.__args__:  # type: ignore[attr-defined]
            raise ValueError(f"no such column: {column}")
        return dict(self._rows(f"SELECT {column}, count(*) FROM crops GROUP BY 1 ORDER BY 1", []))

    def count(self, wanted: PoolFilter | None = None) -> int:
        """Return how many crops a filter selects."""
        chosen = wanted or PoolFilter()
        engine = self.engine_sha256 if needs_engine(chosen) else ""
        where, values = where_of(chosen, engine, self._others(chosen, engine))
        source, _ = source_of(needs_engine(chosen), where, selective=is_selective(chosen))
        return int(self._rows(f"SELECT count(*) FROM {source} {clause_of(where)}", values)[0][0])

    def get(self, crop_id: int) -> Crop:
        """Return one crop; raises ``UsageError`` if there is none of that number."""
        found = self._rows(
            f"SELECT {_COLUMNS} FROM {_FROM_CROPS} WHERE c.id = ?", [self.engine_sha256, crop_id]
        )
        if not found:
            raise UsageError(f"no crop {crop_id} in {self.folder}")
        return crop_of(found[0])

    def seen(self, record: str, refdes: str) -> Crop | None:
        """Return the crop of a joint of a board on record; None if the pool has none."""
        found = self._rows(
            f"SELECT {_COLUMNS} FROM {_FROM_CROPS} JOIN sightings s ON s.crop_id = c.id "
            "WHERE s.record = ? AND s.refdes = ?",
            [self.engine_sha256, record, refdes],
        )
        return crop_of(found[0]) if found else None

    def picture(self, crop: Crop) -> Path:
        """Return where a crop's picture lies; raises ``OutputError`` if its row leads out of the pool."""
        path = PurePath(crop.file)
        if path.is_absolute() or ".." in path.parts:
            raise OutputError(
                f"crop {crop.id} of {self.folder} has a file outside the pool: {readable(crop.file)}",
                hint="this database was not written by sji-edge; do not use it",
            )
        return self.folder / path

    def page(
        self,
        wanted: PoolFilter | None = None,
        *,
        order: Order = "newest",
        after: int | None = None,
        limit: int = 200,
    ) -> list[Crop]:
        """Return some crops.

        Args:
            wanted: which crops.
            order: ``newest`` or ``oldest`` first, by ``place``, or the highest ``score``, the least distance from a
                threshold (``doubt``) or the highest ``novelty`` first.
            after: id of the last crop of the page before; None for the first page.
            limit: maximum number of crops.
        """
        chosen = wanted or PoolFilter()
        engine = self.engine_sha256
        columns, direction = ORDERS[order]
        judged = columns[0].startswith("j.") or needs_engine(chosen)
        others = self._others(chosen, engine)
        if chosen.disagree and not others:
            return []
        where, values = where_of(chosen, engine, others)
        if judged:
            # The same number, in the table whose indexes sort by it.
            columns = tuple("j.crop_id" if column == "c.id" else column for column in columns)
            if not needs_engine(chosen):
                where, values = [*where, "j.engine_sha256 = ?"], [*values, engine]
        if columns[0] in FIGURES:
            where = [*where, f"{columns[0]} IS NOT NULL"]
        if after is not None:
            there = self._key(after, columns, engine)
            sign = "<" if direction == "DESC" else ">"
            where = [*where, f"({', '.join(columns)}) {sign} ({', '.join('?' * len(there))})"]
            values = [*values, *there]
        source, number = source_of(judged, [*where, *columns], selective=is_selective(chosen))
        found = self._rows(
            f"SELECT {number} FROM {source} {clause_of(where)} "
            f"ORDER BY {', '.join(f'{column} {direction}' for column in columns)} LIMIT ?",
            [*values, limit],
        )
        # Sorting numbers alone is much faster than sorting whole rows.
        return self.many([row[0] for row in found])

    def many(self, ids: Sequence[int]) -> list[Crop]:
        """Return crops by number, in this order; raises ``UsageError`` if one does not exist."""
        engine = self.engine_sha256
        found: dict[int, Crop] = {}
        for start in range(0, len(ids), MOST_BOUND):
            part = ids[start : start + MOST_BOUND]
            query = f"SELECT {_COLUMNS} FROM {_FROM_CROPS} WHERE c.id IN ({', '.join('?' * len(part))})"
            found |= {row[0]: crop_of(row) for row in self._rows(query, [engine, *part])}
        if missing := [number for number in ids if number not in found]:
            raise UsageError(f"no crop {missing[0]} in {self.folder}")
        return [found[number] for number in ids]

    def every(self, wanted: PoolFilter | None = None, *, order: Order = "oldest") -> Iterator[Crop]:
        """Yield all crops that a filter selects, read in pages."""
        after: int | None = None
        while page := self.page(wanted, order=order, after=after, limit=1000):
            yield from page
            after = page[-1].id

    def _others(self, wanted: PoolFilter, engine: str) -> list[str]:
        """Return the other engines that looked, where a filter needs them; jumps from one to the next."""
        found: list[str] = []
        last = ""
        while wanted.disagree:
            query = "SELECT min(engine_sha256) FROM judgements WHERE engine_sha256 > ?"
            last = self._rows(query, [last])[0][0]
            if last is None:
                break
            found += [last] if last != engine else []
        return found

    def _key(self, crop_id: int, columns: tuple[str, ...], engine: str) -> tuple[Any, ...]:
        found = self._rows(
            f"SELECT {', '.join(columns)} FROM {_FROM_CROPS} WHERE c.id = ?", [engine, crop_id]
        )
        if not found:
            raise UsageError(f"no crop {crop_id} in {self.folder}")
        return found[0]

    def _rows(self, query: str, values: list[Any]) -> list[tuple[Any, ...]]:
        if self._database.outdated():
            # Somebody began to write since it was opened without locks.
            self._database.close()
            self._database = open_read_only(self._path)
        with self._reading() as connection:
            return connection.execute(query, values).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._database.connection
        except sqlite3.Error as error:
            raise OutputError(
                f"cannot read {self._path}: {error}", hint="check the disk and the file's permissions"
            ) from error
        if self._database.changed():
            raise OutputError(f"{self._path} was written to while it was read", hint="try again")

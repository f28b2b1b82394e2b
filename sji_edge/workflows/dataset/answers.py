"""Gathers what people said of each joint, from pools and from records."""

import hashlib
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from sji_edge.core.decisions import Answer, DecisionRow
from sji_edge.core.errors import OutputError, UsageError
from sji_edge.core.read_only_database import open_read_only
from sji_edge.decisions.read import conflicts, current, has_decisions, read_decisions, standing
from sji_edge.pool.read import PoolReader
from sji_edge.pool.rows import Crop
from sji_edge.pool.schema import DATABASE, KeptBecause

GOOD = "good"
"""What ``decisions.read.meaning`` calls a rejected call."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A crop of a pool, and where its file lies."""

    crop: Crop
    path: Path


@dataclass(slots=True)
class Answered:
    """A joint that people answered.

    Attributes:
        joint: its name in every dataset; of a joint without a picture, its board's record and refdes.
        picture: the newest picture of it; None if no pool has one.
        rows: the answers that stand, oldest first; the category of each is its class, or ``GOOD``.
        reasons: why pools keep it.
    """

    joint: str
    picture: Picture | None
    rows: list[DecisionRow] = field(default_factory=list)
    reasons: set[KeptBecause] = field(default_factory=set)

    @property
    def where(self) -> str:
        """The joint in words."""
        if self.picture is None:
            return self.joint
        crop = self.picture.crop
        return f"{crop.origin.board} {crop.origin.unit} {crop.refdes}"

    @property
    def said(self) -> tuple[str, ...]:
        """What people said, each once, in the order of their answers."""
        return tuple(dict.fromkeys(row.category or row.what.value for row in self.rows))

    @property
    def kept_because(self) -> KeptBecause:
        """Why it is in a pool; a reason that no engine gave comes first."""
        return min(self.reasons, key=list(KeptBecause).index)

    @property
    def has_defect(self) -> bool:
        """Whether somebody called it a defect."""
        return any(row.category not in ("", GOOD) for row in self.rows)

    def verdict(self, *, kinds_matter: bool) -> str:
        """Return what counts: a class, ``GOOD``, ``conflict``, or ``escalated``.

        Args:
            kinds_matter: two different kinds of defects are a conflict; otherwise both are a defect.
        """
        rows = [
            replace(row, id=number, subject=self.joint, refdes="") for number, row in enumerate(self.rows, 1)
        ]
        compared = rows if kinds_matter else [replace(row, category=_plain(row.category)) for row in rows]
        if conflicts(compared):
            return "conflict"
        counted = current(rows).get((self.joint, ""))
        if counted is None or counted.what is Answer.ESCALATED:
            return "escalated"
        return counted.category


def joint_name(crop: Crop) -> str:
    """Return the name of a joint: the same photograph of the same place has the same name in every pool."""
    origin = crop.origin
    text = f"{origin.frame_sha256}/{origin.board}/{crop.refdes}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:20]


def gather(pools: Sequence[Path], records: Sequence[Path], good_class: str) -> list[Answered]:
    """Return every joint that people answered, in the order of their names.

    Args:
        pools: folders of pools.
        records: databases of records, whose joints' pictures are in the pools.
        good_class: the label that means *no defect*.

    Raises:
        UsageError: a pool or a database does not exist or cannot be read.
        OutputError: it was written to while it was read.
    """
    found: dict[str, Answered] = {}
    readers = [PoolReader(pool) for pool in pools]
    try:
        for reader in readers:
            rows = [row for row in _decisions(reader.folder / DATABASE) if row.subject.isdecimal()]
            crops = {crop.id: crop for crop in reader.many(sorted({int(row.subject) for row in rows}))}
            for row in rows:
                crop = crops[int(row.subject)]
                _add(found, joint_name(crop), Picture(crop, reader.picture(crop)), row, good_class)
        for database in records:
            for row in _decisions(database):
                if not row.refdes:
                    continue
                seen = _seen(readers, row.subject, row.refdes)
                name = f"{row.subject} {row.refdes}" if seen is None else joint_name(seen.crop)
                _add(found, name, seen, row, good_class)
    finally:
        for reader in readers:
            reader.close()
    for answered in found.values():
        answered.rows.sort(key=lambda row: row.utc)
    return [found[name] for name in sorted(found)]


def _add(
    found: dict[str, Answered], name: str, picture: Picture | None, row: DecisionRow, good_class: str
) -> None:
    answered = found.setdefault(name, Answered(name, picture))
    if picture is not None:
        answered.picture = picture
        answered.reasons.add(picture.crop.kept_because)
    good = row.what is Answer.REJECTED or row.category == good_class
    answered.rows.append(replace(row, category=GOOD if good else row.category))


def _seen(readers: Sequence[PoolReader], record: str, refdes: str) -> Picture | None:
    for reader in reversed(readers):
        if (crop := reader.seen(record, refdes)) is not None:
            return Picture(crop, reader.picture(crop))
    return None


def _decisions(path: Path) -> list[DecisionRow]:
    """Return the answers of a database that nobody took back."""
    if not path.is_file():
        raise UsageError(f"no records in {path}", hint="name the inspections.db of a run")
    database = open_read_only(path)
    with closing(database):
        try:
            rows = standing(read_decisions(database.connection)) if has_decisions(database.connection) else []
        except sqlite3.Error as error:
            raise OutputError(f"cannot read {path}: {error}") from error
        if database.changed():
            raise OutputError(f"{path} was written to while it was read", hint="run the command again")
    return rows


def _plain(category: str) -> str:
    return category if category in ("", GOOD) else "defect"

"""The tables of a pool.

- ``crops``: one row per picture, with where it comes from.
- ``sightings``: which crop shows a joint of a board on record; one frame may be inspected several times.
- ``judgements``: what an engine said of a crop, one row per crop and engine.

Rows are only ever added. Triggers refuse every change and every deletion, whoever attempts it.
"""

import sqlite3
from enum import StrEnum
from pathlib import Path

from sji_edge.core.errors import SjiError, UsageError

DATABASE = "pool.db"
CROPS = "crops"
APPLICATION_ID = 0x534A4950
"""``SJIP``: marks a database as a pool."""
SCHEMA_VERSION = 1


class KeptBecause(StrEnum):
    """Why a crop is in a pool."""

    ALL = "all"
    """Every joint was kept."""
    NTH = "nth"
    """The frame was the next one of every n-th."""
    RANDOM = "random"
    """The joint belongs to a random share."""
    UNCERTAIN = "uncertain"
    """The engine's score lies near a threshold."""
    NOVEL = "novel"
    """The engine's guard finds the joint unusual."""
    DISAGREEMENT = "disagreement"
    """Two engines gave different verdicts."""
    CALLED = "called"
    """The engine's verdict was REVIEW or FAIL."""


BY_CHANCE = (KeptBecause.ALL, KeptBecause.NTH, KeptBecause.RANDOM)
"""Reasons that do not depend on what an engine said: these crops are a fair sample, on which rates can be measured."""


def _triggers() -> str:
    return ";\n".join(
        f"CREATE TRIGGER {table}_no_{event.lower()} BEFORE {event} ON {table} "
        "BEGIN SELECT RAISE(ABORT, 'a pool is append-only'); END"
        for table in ("crops", "sightings", "judgements")
        for event in ("UPDATE", "DELETE")
    )


SCHEMA = f"""
CREATE TABLE crops (
    id INTEGER PRIMARY KEY,
    file TEXT NOT NULL UNIQUE,
    sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    board TEXT NOT NULL,
    unit TEXT NOT NULL,
    refdes TEXT NOT NULL,
    package TEXT NOT NULL,
    source TEXT NOT NULL,
    frame_index INTEGER NOT NULL,
    frame_name TEXT NOT NULL,
    frame_sha256 TEXT NOT NULL,
    captured TEXT NOT NULL,
    recipe_sha256 TEXT NOT NULL,
    x REAL NOT NULL,
    y REAL NOT NULL,
    width REAL NOT NULL,
    height REAL NOT NULL,
    margin REAL NOT NULL,
    kept_because TEXT NOT NULL CHECK (kept_because IN ({", ".join(f"'{one}'" for one in KeptBecause)})),
    likeness BLOB NOT NULL,
    UNIQUE (frame_sha256, recipe_sha256, refdes)
);
CREATE INDEX crops_by_place ON crops (board, refdes, id);
CREATE INDEX crops_by_package ON crops (package, id);
CREATE INDEX crops_by_package_and_place ON crops (package, board, refdes, id);
CREATE INDEX crops_by_unit ON crops (unit, id);
CREATE INDEX crops_by_time ON crops (captured);
CREATE INDEX crops_by_reason ON crops (kept_because, id);
CREATE TABLE sightings (
    record TEXT NOT NULL,
    refdes TEXT NOT NULL,
    crop_id INTEGER NOT NULL REFERENCES crops (id),
    PRIMARY KEY (record, refdes)
) WITHOUT ROWID;
CREATE TABLE judgements (
    crop_id INTEGER NOT NULL REFERENCES crops (id),
    engine_sha256 TEXT NOT NULL,
    utc TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('PASS', 'REVIEW', 'FAIL', 'ERROR')),
    score REAL CHECK (score IS NOT NULL OR verdict = 'ERROR'),
    lower REAL NOT NULL,
    upper REAL NOT NULL,
    label TEXT NOT NULL,
    cause TEXT NOT NULL,
    novelty REAL,
    novelty_limit REAL,
    deviation REAL,
    doubt REAL,
    features BLOB,
    PRIMARY KEY (crop_id, engine_sha256)
);
CREATE INDEX judgements_by_score ON judgements (engine_sha256, score, crop_id);
CREATE INDEX judgements_by_doubt ON judgements (engine_sha256, doubt, crop_id);
CREATE INDEX judgements_by_novelty ON judgements (engine_sha256, novelty, crop_id);
CREATE INDEX judgements_by_verdict ON judgements (engine_sha256, verdict, score, crop_id);
{_triggers()}
"""
"""Version 1. A person's answers are a table of their own, which the review station adds."""


def check_schema(connection: sqlite3.Connection, path: Path, *, error: type[SjiError] = UsageError) -> None:
    """Check that a database is a pool that this version understands.

    Args:
        connection: open on the database.
        path: what messages call it.
        error: the class to raise.

    Raises:
        error: it is empty, belongs to another program, or was written by a newer version.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if application != APPLICATION_ID:
        empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        found = "is empty" if empty else "is not the database of a pool"
        raise error(f"{path} {found}", hint="name a folder that sji-edge collect wrote")
    if not 1 <= version <= SCHEMA_VERSION:
        raise error(
            f"{path} has schema {version}; this version of sji-edge knows schemas 1 to {SCHEMA_VERSION}",
            hint="update sji-edge on this machine",
        )

"""Board records as the sinks get them, and their rows in SQLite."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from sji_edge.core.protocols import BoardRecord, JointRecord
from sji_edge.core.verdict import Verdict

JOINTS = (
    JointRecord("J1", Verdict.PASS, 0.01, 0.4, 0.6, "normal"),
    JointRecord("J2", Verdict.FAIL, 0.97, 0.4, 0.6, "insufficient"),
    JointRecord("J3", Verdict.ERROR, None, 0.4, 0.6, cause="outside-frame"),
)


def record(index=0, joints=JOINTS, **changes) -> BoardRecord:
    board = BoardRecord(
        board=f"run-{index:06d}",
        frame_index=index,
        frame_name=f"board{index}.png",
        utc="2025-01-31T08:09:10.123456+00:00",
        verdict=Verdict.ERROR,
        joints=joints,
        engine_sha256="e" * 64,
        recipe_sha256="r" * 64,
        cause="outside-frame: joint J3",
        alignment_residual_px=0.03,
        latency_ns={"infer": 1_000_000},
    )
    return replace(board, **changes)


def rows(path: Path, query: str):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()

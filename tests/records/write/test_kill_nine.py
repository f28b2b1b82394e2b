"""The whole command under SIGKILL; ``benchmarks/kill_nine.py`` does it a hundred times."""

import json
import sqlite3
from contextlib import closing

import pytest
from support.board_records import record

from sji_edge.core.protocols import JointRecord
from sji_edge.core.verdict import Verdict
from sji_edge.records.write.jsonl import JsonlSink
from sji_edge.records.write.sqlite import SqliteSink

FIVE = tuple(JointRecord(f"J{number}", Verdict.PASS, 0.1, 0.4, 0.6, "normal") for number in range(5))


@pytest.mark.slow
def test_killed_at_five_moments_nothing_reported_is_lost_and_no_board_is_there_by_half(kill_nine, tmp_path):
    words = kill_nine.prepare(tmp_path)
    delays = (0.0, 0.05, 0.2, 0.4, 0.8)
    cycles = [
        kill_nine.kill_once(words, tmp_path / "out", delay, from_start=delay == 0.8) for delay in delays
    ]
    assert [fault for cycle in cycles for fault in cycle.faults] == []
    assert all(cycle.kept >= max(cycle.shown, cycle.lines) for cycle in cycles)
    assert all(cycle.shown >= 1 for cycle in cycles[:4])


DAMAGE = {
    "DELETE FROM joints WHERE board_id = 2 AND position = 4": "without all their joints",
    "UPDATE joints SET score = 0.2 WHERE board_id = 3": "boards differ",
    "UPDATE boards SET board = 'other' WHERE id = 1": "of JSONL are not in SQLite",
    "UPDATE boards SET frame_name = 'other' WHERE id = 1": "of standard output are not in SQLite",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_examination_finds_what_is_lost_altered_or_there_by_half(kill_nine, tmp_path, damage):
    database, lines = tmp_path / "inspections.db", tmp_path / "run.jsonl"
    with closing(SqliteSink(database)) as first, closing(JsonlSink(lines)) as second:
        for index in range(3):
            for sink in (first, second):
                sink.write(record(index, FIVE))
    with lines.open("a") as stream:
        stream.write(json.dumps({"type": "joint"})[:9])
    names = [f"board{index}.png" for index in range(3)]
    assert kill_nine.examine(database, lines, names) == kill_nine.Cycle(3, 3, 3, [])
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(damage)
        connection.commit()
    faults = kill_nine.examine(database, lines, names).faults
    assert any(DAMAGE[damage] in fault for fault in faults), faults

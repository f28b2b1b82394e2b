import sqlite3
from contextlib import closing

import pytest
from support.greys_on_boards import bright_bundle, write_boards
from support.infer_command import run

from sji_edge.core.decisions import Answer, Decision, Role
from sji_edge.core.errors import UsageError
from sji_edge.decisions.log import DecisionLog
from sji_edge.pool.read import PoolReader
from sji_edge.workflows.dataset.answers import gather


@pytest.fixture
def boards(tmp_path):
    return write_boards(tmp_path / "amplifier", {}, {"J1": 90}, {"J2": 62})


def infer(tmp_path, boards, *words):
    engine = tmp_path / "engines" / "bright"
    if not engine.exists():
        bright_bundle(tmp_path / "engines")
    return run(
        *("--stream", boards, "--recipe", boards, "--engine", engine, "--output", tmp_path / "out"),
        *("--pool", tmp_path / "pool", *words),
    )


def test_called_joints_can_be_found_by_their_boards_record(tmp_path, boards):
    done = infer(tmp_path, boards)
    assert "pool: 2 joints added" in done.output
    with closing(sqlite3.connect(tmp_path / "out" / "inspections.db")) as connection:
        called = connection.execute(
            "SELECT b.board, j.refdes, j.verdict, j.score FROM joints j JOIN boards b ON b.id = j.board_id "
            "WHERE j.verdict IN ('REVIEW', 'FAIL') ORDER BY b.id"
        ).fetchall()
    with PoolReader(tmp_path / "pool") as reader:
        crops = [reader.seen(board, refdes) for board, refdes, _, _ in called]
        assert reader.count() == 2
    assert [(crop.refdes, crop.judged.verdict, crop.judged.score) for crop in crops] == [
        (refdes, verdict, score) for _, refdes, verdict, score in called
    ]


def test_a_verified_call_finds_its_picture_also_after_a_second_inspection(tmp_path, boards):
    infer(tmp_path, boards)
    infer(tmp_path, boards)
    database = tmp_path / "out" / "inspections.db"
    with closing(sqlite3.connect(database)) as connection:
        names = [
            name for (name,) in connection.execute("SELECT board FROM boards WHERE frame_name = 'board1.png'")
        ]
    assert len(names) == 2
    with DecisionLog(database) as log:
        for name in names:
            log.append([Decision("otto", Role.OPERATOR, name, "J1", Answer.CONFIRMED, "bridge")])
    (answered,) = gather([tmp_path / "pool"], [database], "normal")
    assert answered.picture.crop.origin.frame_name == "board1.png"
    assert len(answered.rows) == 2


def test_a_full_pool_keeps_no_more_and_the_run_goes_on(tmp_path, boards):
    done = infer(tmp_path, boards, "--keep", "all", "--quota-mb", "0.001")
    assert done.exit_code == 0
    assert "not kept: the pool is full" in " ".join(done.output.split())


def test_a_pool_needs_a_recipe_and_known_rules(tmp_path, boards):
    with pytest.raises(UsageError, match="cannot keep 'colled'"):
        infer(tmp_path, boards, "--keep", "colled")
    with pytest.raises(UsageError, match="needs a recipe"):
        run("--stream", boards, "--engine", tmp_path / "engines" / "bright", "--pool", tmp_path / "p")

import time

import pytest
from support.bright_model import PLACES
from support.greys_on_boards import bright_bundle, write_boards
from support.infer_command import run

from sji_edge.core.errors import UsageError
from sji_edge.inspection.observe.rival import QUEUE, Rival
from sji_edge.inspection.outputs.pool.keeper import PoolKeeper
from sji_edge.pool.read import PoolFilter, PoolReader
from sji_edge.pool.schema import KeptBecause


@pytest.fixture
def line(tmp_path):
    """Boards, a deployed engine whose score is 0.5 at grey level 60, and one that calls from 52 on."""
    bright_bundle(tmp_path / "engines", "deployed", knee=60.0)
    bright_bundle(tmp_path / "candidates", "eager", knee=52.0)
    write_boards(tmp_path / "amplifier", {}, {"J1": 90}, {"J2": 55, "J3": 54}, {"J4": 55})
    return tmp_path


def infer(line, *words, rival="eager"):
    boards = line / "amplifier"
    return run(
        *("--stream", boards, "--recipe", boards, "--engine", line / "engines" / "deployed"),
        *("--output", line / "out", "--shadow-engine", line / "candidates" / rival, *words),
    )


def test_joints_that_only_one_engine_calls_are_kept_with_what_both_say(line):
    done = infer(line, "--pool", line / "pool")
    said = " ".join(done.output.split())
    assert "shadow engine eager: 4 boards judged by both; of 20 joints, it alone calls 3" in said
    assert "the deployed engine alone calls 0" in said
    with PoolReader(line / "pool") as reader:
        engines = reader.engines()
        assert reader.counts("kept_because") == {"called": 1, "disagreement": 3}
    for engine in engines:
        with PoolReader(line / "pool", engine) as reader:
            found = reader.page(PoolFilter(disagree=True), order="oldest")
            assert {(crop.origin.frame_name, crop.refdes) for crop in found} == {
                ("board2.png", "J2"),
                ("board2.png", "J3"),
                ("board3.png", "J4"),
            }
            verdicts = {crop.judged.verdict for crop in found}
            assert verdicts == ({"PASS"} if engines[engine] == 4 else verdicts - {"PASS"})
            assert all(crop.kept_because is KeptBecause.DISAGREEMENT for crop in found)


def test_the_deployed_engine_alone_decides(line):
    plain = infer(line, "--pool", line / "pool")
    boards = line / "amplifier"
    alone = run(
        *("--stream", boards, "--recipe", boards, "--engine", line / "engines" / "deployed"),
        *("--output", line / "alone"),
    )
    counts = [next(row for row in one.output.splitlines() if "joints" in row) for one in (plain, alone)]
    assert counts[0] == counts[1]


def test_a_shadow_engine_needs_a_pool_and_is_another_engine(line):
    with pytest.raises(UsageError, match="needs a pool"):
        infer(line)
    with pytest.raises(UsageError, match="is already the engine that decides"):
        infer(line, "--pool", line / "pool", rival="../engines/deployed")


def test_a_line_does_not_wait_for_the_second_engine_and_skipped_boards_are_counted(line, judged_boards):
    calls = []

    def slow(frame):
        calls.append(frame)
        time.sleep(0.2)
        raise RuntimeError("the device is gone")

    rival = Rival("slow", slow, judged_boards.no_keeper, waits=False)
    begun = time.monotonic()
    for _ in range(QUEUE + 5):
        rival.take(*judged_boards.one)
    assert time.monotonic() - begun < 0.15
    report = rival.close()
    assert len(calls) == 1
    assert report.failure == "RuntimeError: the device is gone"
    assert report.boards + report.skipped == QUEUE + 5


@pytest.fixture
def judged_boards(tmp_path):
    """A board that was judged, and a keeper that needs no pool."""
    from contextlib import contextmanager
    from types import SimpleNamespace

    from support.bright_model import board_image, frame_of, recipe_judge

    judge = recipe_judge(tmp_path)
    frame = frame_of(board_image(dict.fromkeys(PLACES, 40)))

    @contextmanager
    def no_keeper():
        yield PoolKeeper.__new__(PoolKeeper)

    return SimpleNamespace(one=(frame, judge.judge(frame)), no_keeper=no_keeper)

"""An engine that does not return: its boards are on record, the run ends, and nobody closes it during the call."""

import itertools
import os
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from support.board_stream import recorded
from support.bright_model import (
    MODEL,
    PLACES,
    SPEC,
    THRESHOLDS,
    board_image,
    frame_of,
    recipe_judge,
    write_recipe,
)

from sji_edge.core.clock import SystemClock
from sji_edge.core.errors import EngineInputError, EnvironmentMismatchError
from sji_edge.inspection.faults import Cause
from sji_edge.inspection.judging.engine_watch import EngineWatch
from sji_edge.inspection.judging.frame_job import Deadlines
from sji_edge.inspection.judging.judge import BoardJudge
from sji_edge.inspection.judging.layout import RecipeLayout
from sji_edge.inspection.loop import Inspection, LoopSettings
from sji_edge.inspection.settings import RunSettings
from sji_edge.testing import FakeClock, FakeEngine

LIMIT_NS = 200_000_000
TESTS = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}


@pytest.fixture
def engine():
    engine = FakeEngine(0.1, crop_shape=SPEC.shape, max_batch=8, stalls_on=[3])
    yield engine
    engine.release()


def judge_of(folder, engine, watch=None, **limits):
    layout = RecipeLayout(write_recipe(folder / "recipe"), SPEC, THRESHOLDS)
    deadlines = Deadlines(engine_ns=LIMIT_NS, **limits)
    return BoardJudge(engine, MODEL, layout, SystemClock(), "run", deadlines=deadlines, watch=watch)


def boards_without_end():
    """Good boards, all with different images."""
    pixels = board_image(dict.fromkeys(PLACES, 40))
    for index in itertools.count():
        changed = pixels.copy()
        changed[0, :4] = np.frombuffer(np.uint32(index).tobytes(), np.uint8)
        yield frame_of(changed, index)


def until(condition):
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


@pytest.mark.parametrize("policy", ["every", "latest"])
@pytest.mark.parametrize("low_latency", [False, True])
def test_boards_in_flight_are_on_record_as_errors_and_the_run_ends(
    tmp_path, database, engine, low_latency, policy
):
    source, clock = boards_without_end(), SystemClock()
    settings = LoopSettings(low_latency=low_latency, policy=policy)
    inspection = Inspection(source, judge_of(tmp_path, engine), [database], clock, settings)
    with pytest.raises(
        EnvironmentMismatchError, match=r"has not answered for \d+\.\d s; the limit is 0\.2 s"
    ) as caught:
        inspection.run()
    assert caught.value.exit_code == 5
    summary = inspection.summary()
    kept = [verdict for _, verdict in recorded(tmp_path)]
    assert kept[:2] == ["PASS", "PASS"]
    assert set(kept[2:]) == {"ERROR"}
    assert summary.errors[Cause.STALLED] == len(kept) - 2 >= 2
    assert summary.captured == summary.judged + sum(summary.errors.values())
    assert set(summary.errors) <= {Cause.STALLED, Cause.DISPLACED}


def test_engine_is_closed_when_the_call_returns_and_not_before(tmp_path, engine):
    watch = EngineWatch(engine, SystemClock())
    judge = judge_of(tmp_path, engine, watch)
    with pytest.raises(EnvironmentMismatchError):
        Inspection(boards_without_end(), judge, [], SystemClock()).run()
    watch.close()
    assert not engine.closed
    engine.release()
    assert until(lambda: engine.closed)


def test_no_call_begins_once_the_engine_is_to_be_closed():
    engine = FakeEngine(crop_shape=SPEC.shape)
    watch = EngineWatch(engine, FakeClock())
    watch.close()
    watch.close()
    assert engine.closed
    with pytest.raises(EngineInputError, match="closed"), watch:
        pass


def test_run_that_is_broken_off_does_not_have_its_engine_closed_under_a_call(tmp_path, engine):
    watch = EngineWatch(engine, SystemClock())
    judge = judge_of(tmp_path, engine, watch)
    seen = []

    def break_off(frame, judgement):
        seen.append(frame.name)
        if len(seen) == 2 and until(lambda: engine.calls == 3):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), closing(watch):
        Inspection(boards_without_end(), judge, [], SystemClock(), on_board=[break_off]).run()
    assert engine.calls == 3
    assert not engine.closed


def test_warm_up_has_a_limit_too(tmp_path):
    engine = FakeEngine(crop_shape=SPEC.shape, max_batch=8, stalls_on=[1])
    judge = judge_of(tmp_path, engine, warm_up_ns=LIMIT_NS)
    with pytest.raises(EnvironmentMismatchError, match="has not answered"):
        judge.warm_up()
    engine.release()


def test_warm_up_raises_what_the_engine_raises(tmp_path):
    engine = FakeEngine(crop_shape=SPEC.shape, max_batch=8, fails_on=[1])
    with pytest.raises(EnvironmentMismatchError):
        judge_of(tmp_path, engine).warm_up()


def test_a_call_that_is_overdue_only_once_is_not_abandoned():
    clock = FakeClock()
    watch = EngineWatch(FakeEngine(crop_shape=SPEC.shape), clock)
    with watch:
        clock.advance(1000.0)
        assert watch.stalled(LIMIT_NS) is None
    with watch:
        assert watch.stalled(LIMIT_NS) is None
        clock.advance(1000.0)
        looks = [watch.stalled(LIMIT_NS) for _ in range(5)]
    assert looks[:4] == [None] * 4
    assert looks[4] is not None
    assert watch.stalled(0) is None


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({}, 60.0),
        ({"takt_ms": 20}, 2.0),
        ({"takt_ms": 500}, 10.0),
        ({"takt_ms": 60_000}, 60.0),
        ({"takt_ms": 20, "engine_timeout_s": 7.5}, 7.5),
    ],
)
def test_limit_follows_the_takt_unless_it_is_set(settings, seconds):
    assert RunSettings(**settings).deadlines(stored=False).engine_ns == seconds * 1e9


def test_frame_object_that_a_source_gives_again_is_counted_each_time(tmp_path):
    frame = frame_of(board_image(dict.fromkeys(PLACES, 40)))
    summary = Inspection([frame] * 5, recipe_judge(tmp_path), [], FakeClock()).run()
    assert summary.captured == sum(summary.boards.values()) == 5


LEFT_BEHIND = """
    import sys
    from pathlib import Path
    import numpy as np
    from support.endless_graph import write_endless_graph
    from sji_edge.cli.main import leave
    from sji_edge.core.clock import SystemClock
    from sji_edge.core.errors import EnvironmentMismatchError
    from sji_edge.inspection.judging.engine_watch import EngineWatch
    from sji_edge.runtime import BACKENDS

    graph = write_endless_graph(Path(sys.argv[1]))
    engine = BACKENDS.get(sys.argv[2])().open(graph, precision="fp32", max_batch=4, threads=1)
    watch = EngineWatch(engine, SystemClock())
    try:
        watch.run(lambda: engine.infer(np.zeros((1, 16, 16, 1), np.uint8)), 300_000_000)
    except EnvironmentMismatchError as error:
        watch.close()
        print(error.message)
        leave(error.exit_code)
"""


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_process_ends_with_its_code_although_a_real_graph_loops_for_ever(tmp_path, backend):
    words = [sys.executable, "-c", textwrap.dedent(LEFT_BEHIND), str(tmp_path / "endless.onnx"), backend]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, env=ENVIRONMENT, check=False)
    assert "the engine has not answered" in done.stdout
    assert (done.returncode, done.stderr) == (5, "")

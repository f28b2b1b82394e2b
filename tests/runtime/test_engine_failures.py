"""Engines whose graph fails while it runs, and engines that were closed."""

import numpy as np
import pytest
from support.breaking_graph import SIDE, write_breaking_graph

from sji_edge.core.errors import EngineInputError, EnvironmentMismatchError
from sji_edge.core.protocols import PipelinedEngine
from sji_edge.runtime import BACKENDS

GRAPHS = [name for name in BACKENDS.names() if BACKENDS.get(name)().suffix == ".onnx"]
BATCH = 64


@pytest.fixture(params=GRAPHS)
def engine(request, tmp_path):
    graph = write_breaking_graph(tmp_path / "breaking.onnx")
    engine = BACKENDS.get(request.param)().open(graph, precision="fp32", max_batch=BATCH, threads=2)
    engine.prepare([BATCH])
    yield engine
    engine.close()


def batches():
    """A batch that can be judged, and one whose first crop breaks the graph."""
    good = np.full((BATCH, SIDE, SIDE, 1), 7, np.uint8)
    bad = good.copy()
    bad[0] = 255
    return good, bad


def test_a_graph_that_fails_is_one_line_and_the_engine_works_on(engine) -> None:
    good, bad = batches()
    wanted = np.tile(np.float32([-7, 7]), (BATCH, 1))
    for _ in range(3):
        with pytest.raises(EnvironmentMismatchError, match="failed") as caught:
            engine.infer(bad)
        assert "\n" not in caught.value.message
        np.testing.assert_allclose(engine.infer(good).logits, wanted, rtol=1e-6)
        np.testing.assert_allclose(engine.infer(good[:5]).logits, wanted[:5], rtol=1e-6)


def test_a_failed_batch_is_reported_after_all_its_parts_have_ended(engine) -> None:
    if not isinstance(engine, PipelinedEngine):
        pytest.skip("is asked and waited for")
    good, bad = batches()
    tickets = [engine.submit(bad), engine.submit(good)]
    with pytest.raises(EnvironmentMismatchError):
        engine.collect(tickets[0])
    # It uses the set whose other part went on after the first had failed.
    tickets[0] = engine.submit(good)
    for ticket in reversed(tickets):
        np.testing.assert_allclose(engine.collect(ticket).logits[:, 1], 7, rtol=1e-6)


def test_a_batch_that_fails_can_be_dropped(engine) -> None:
    if not isinstance(engine, PipelinedEngine):
        pytest.skip("is asked and waited for")
    good, bad = batches()
    engine.drop(engine.submit(bad))
    np.testing.assert_allclose(engine.infer(good).logits[:, 1], 7, rtol=1e-6)


def test_a_closed_engine_prepares_for_nothing(engine) -> None:
    engine.close()
    with pytest.raises(EngineInputError, match="closed"):
        engine.prepare([4])

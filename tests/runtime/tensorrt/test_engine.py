"""The engine's host side, on a stand-in for the GPU in host memory (``host_device``)."""

import time
from pathlib import Path

import numpy as np
import pytest
from support.guarded_graph import PROTOTYPES
from support.host_device import PACKAGES, HostBindings, HostContext, HostPlan, HostRuntimeConfig, host_cut
from support.tiny_bundle import SIDE, crops, features_formula, formula, novelty_formula

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import EngineInputError, EnvironmentMismatchError
from sji_edge.core.preprocess import crops_of_frame, crops_to_image
from sji_edge.core.protocols import EngineSpec
from sji_edge.runtime.cuda.graph_capture import load_cuda_bindings
from sji_edge.runtime.tensorrt import buffer_set
from sji_edge.runtime.tensorrt import engine as tensorrt_engine
from sji_edge.runtime.tensorrt.device_buffers import Profile
from sji_edge.runtime.tensorrt.engine import TensorRtEngine, open_plan
from sji_edge.runtime.tensorrt.plan import LoadedPlan
from sji_edge.runtime.tensorrt.runtime_cache import RuntimeCache, cache_file

MAX_BATCH = 12


@pytest.fixture
def parts(monkeypatch):
    """``(profile, bindings) -> engine, context, plan``."""

    def make(profile: Profile | None = None, bindings: HostBindings | None = None, cut=None, package="10"):
        monkeypatch.setattr(tensorrt_engine, "load_cuda_bindings", lambda: bindings)
        context, plan = HostContext(cut), HostPlan()
        spec = EngineSpec((SIDE, SIDE, 1), 2, MAX_BATCH, "tensorrt", "fp32")
        loaded = LoadedPlan(PACKAGES[package], (), plan, spec, profile or Profile(1, 4, MAX_BATCH))
        return TensorRtEngine(context, loaded), context, plan

    return make


@pytest.mark.parametrize("graphs", [False, True])
@pytest.mark.parametrize("profile", [Profile(1, 4, 32), Profile(16, 16, 16)])
@pytest.mark.parametrize("package", PACKAGES)
def test_every_batch_size_keeps_its_own_answer(parts, graphs: bool, profile: Profile, package: str) -> None:
    bindings = HostBindings() if graphs else None
    engine, _, _ = parts(profile, bindings, package=package)
    kept = []
    for size in [1, 5, 3, 12, 2, 9, 1, 5, 12, 3, 1, 1]:
        batch = crops(size, seed=len(kept))
        kept.append((engine.infer(batch).logits, formula(batch)))
    for logits, wanted in kept:
        assert logits.dtype == np.float32
        np.testing.assert_allclose(logits, wanted, atol=2e-5)
    if bindings is not None:
        assert bindings.launches > 0
        assert engine.graph_failure == ""


@pytest.mark.parametrize("bindings", [None, HostBindings()])
@pytest.mark.parametrize("profile", [Profile(1, 4, 32), Profile(16, 16, 16)])
def test_a_plan_with_a_guard_gives_the_novelty_of_each_batch(monkeypatch, bindings, profile) -> None:
    monkeypatch.setattr(tensorrt_engine, "load_cuda_bindings", lambda: bindings)
    plan = HostPlan(lambda batch: (formula(batch), novelty_formula(batch), features_formula(batch)))
    spec = EngineSpec((SIDE, SIDE, 1), 2, MAX_BATCH, "tensorrt", "fp32", guarded=True, features=PROTOTYPES)
    context = HostContext()
    engine = TensorRtEngine(context, LoadedPlan(PACKAGES["10"], (), plan, spec, profile))
    engine.prepare([5])
    kept = []
    for size in [1, 5, 3, 12, 2, 5, 5, 12]:
        batch = crops(size, seed=len(kept))
        kept.append((engine.infer(batch), batch))
    for output, batch in kept:
        np.testing.assert_allclose(output.logits, formula(batch), atol=2e-5)
        np.testing.assert_allclose(output.novelty, novelty_formula(batch), atol=2e-5)
        np.testing.assert_allclose(output.features, features_formula(batch), atol=2e-5)
    engine.close()
    assert context.closed
    assert all(memory.freed for memory in context.memories)


@pytest.mark.parametrize("bindings", [None, HostBindings()])
def test_two_batches_may_be_under_way_and_no_third(parts, bindings) -> None:
    engine, _, _ = parts(None, bindings)
    batches = [crops(4, seed=seed) for seed in range(3)]
    first, second = engine.submit(batches[0]), engine.submit(batches[1])
    with pytest.raises(EngineInputError, match="2 batches are in flight"):
        engine.submit(batches[2])
    np.testing.assert_allclose(engine.collect(second).logits, formula(batches[1]), atol=2e-5)
    np.testing.assert_allclose(engine.collect(first).logits, formula(batches[0]), atol=2e-5)
    with pytest.raises(EngineInputError, match="collected already"):
        engine.collect(first)
    np.testing.assert_allclose(engine.infer(batches[2]).logits, formula(batches[2]), atol=2e-5)


def test_the_gpus_time_is_that_of_the_batch_collected_and_bare_time_that_of_the_network(parts) -> None:
    engine, _, _ = parts(None, HostBindings())
    for _ in range(3):
        engine.infer(crops(4))
        assert engine.gpu_times.work_ms > 0
        assert engine.gpu_times.copy_ms == engine.gpu_times.cut_ms == 0
        assert engine.bare_ms(4) > 0
    np.testing.assert_allclose(engine.infer(crops(4)).logits, formula(crops(4)), atol=2e-5)


def test_prepared_sizes_are_recorded_on_both_sets(parts) -> None:
    bindings = HostBindings()
    engine, _, _ = parts(None, bindings)
    engine.prepare([4, 7])
    assert bindings.alive == 4
    # Each was compared with the plain run, and replayed once more.
    assert bindings.launches == 8
    for seed in range(4):
        engine.infer(crops(7, seed=seed))
    assert bindings.launches == 12
    assert bindings.alive == 4
    for wrong in (0, MAX_BATCH + 1):
        with pytest.raises(EngineInputError):
            engine.prepare([wrong])
    engine.close()
    assert bindings.alive == 0


@pytest.mark.parametrize(
    "call", ["cuStreamBeginCapture", "cuStreamEndCapture", "cuGraphInstantiate", "cuGraphUpload"]
)
def test_where_graphs_cannot_be_recorded_the_answers_are_the_same(parts, call: str) -> None:
    engine, _, _ = parts(None, HostBindings(fails=call))
    for seed in range(5):
        batch = crops(6, seed=seed)
        np.testing.assert_allclose(engine.infer(batch).logits, formula(batch), atol=2e-5)
    assert call in engine.graph_failure


@pytest.mark.parametrize("record", ["nothing", "all but the network"])
def test_a_recording_that_does_not_compute_is_found_and_dropped(parts, monkeypatch, record: str) -> None:
    bindings = HostBindings()
    engine, _, _ = parts(None, bindings)
    real = bindings.cuStreamEndCapture

    def end(stream: int):
        result, graph = real(stream)
        if record == "nothing":
            return result, []
        return result, [work for work in graph if "execute_async" not in work.__qualname__]

    monkeypatch.setattr(bindings, "cuStreamEndCapture", end)
    for seed in range(6):
        batch = crops(5, seed=seed)
        np.testing.assert_allclose(engine.infer(batch).logits, formula(batch), atol=2e-5)
    assert "gave another answer" in engine.graph_failure
    assert bindings.alive == 0


@pytest.mark.parametrize("bindings", [None, HostBindings()])
@pytest.mark.parametrize("guarded", [False, True])
def test_a_network_that_silently_does_nothing_leaves_no_old_answer(monkeypatch, bindings, guarded) -> None:
    monkeypatch.setattr(tensorrt_engine, "load_cuda_bindings", lambda: bindings)
    guards = (novelty_formula, features_formula) if guarded else ()
    plan = HostPlan(lambda batch: (formula(batch), *(one(batch) for one in guards)))
    features = PROTOTYPES if guarded else 0
    spec = EngineSpec((SIDE, SIDE, 1), 2, MAX_BATCH, "tensorrt", "fp32", guarded=guarded, features=features)
    engine = TensorRtEngine(
        HostContext(), LoadedPlan(PACKAGES["10"], (), plan, spec, Profile(1, 4, MAX_BATCH))
    )
    engine.prepare([5])
    assert np.isfinite(engine.infer(crops(5)).logits).all()
    plan.idle = True
    for _ in range(3):
        output = engine.infer(crops(5))
        assert np.isnan(output.logits).all()
        for other in (output.novelty, output.features):
            assert np.isnan(other).all() if guarded else other is None
    engine.close()


@pytest.mark.parametrize("call", ["cuStreamEndCapture", "cuGraphInstantiate", "cuGraphUpload"])
def test_the_error_that_a_failed_recording_leaves_in_tensorrt_harms_no_board(parts, call: str) -> None:
    bindings = HostBindings(fails=call)
    engine, _, plan = parts(None, bindings)
    # The CUDA runtime inside TensorRT reports the error once more, at its next call.
    bindings.on_failure = lambda: setattr(plan, "fails", 1)
    for seed in range(5):
        batch = crops(6, seed=seed)
        np.testing.assert_allclose(engine.infer(batch).logits, formula(batch), atol=2e-5)
    assert call in engine.graph_failure
    assert bindings.alive == 0


def test_a_gpu_that_refuses_is_an_error_and_the_next_batch_is_judged(parts) -> None:
    engine, context, plan = parts()
    plan.fails = True
    for _ in range(3):
        with pytest.raises(EnvironmentMismatchError, match="could not start the batch: no reason was given"):
            engine.infer(crops(2))
    # Nothing that was enqueued before it failed still reads the page-locked memory.
    assert not [stream for stream in context.streams if stream.work]
    plan.fails = False
    np.testing.assert_allclose(engine.infer(crops(2)).logits, formula(crops(2)), atol=2e-5)


def test_errors_of_pycuda_are_translated_and_closing_a_dead_gpu_gives_back_the_rest(parts) -> None:
    engine, context, _ = parts()
    ticket = engine.submit(crops(2))
    for stream in context.streams:
        stream.fails = True
    for failing in (lambda: engine.collect(ticket), lambda: engine.bare_ms(3)):
        with pytest.raises(EnvironmentMismatchError, match="the GPU failed: an illegal address was used"):
            failing()
    engine.close()
    assert [memory.freed for memory in context.memories] == [1] * len(context.memories)
    assert context.closed


def test_a_batch_that_cannot_be_takes_no_turn(parts) -> None:
    engine, _, _ = parts()
    for wrong in (0, MAX_BATCH + 1):
        for _ in range(3):
            with pytest.raises(EngineInputError, match="a batch for this"):
                engine.bare_ms(wrong)
            with pytest.raises(EngineInputError):
                engine.submit(np.zeros((wrong, SIDE, SIDE, 1), np.uint8))
    np.testing.assert_allclose(engine.infer(crops(2)).logits, formula(crops(2)), atol=2e-5)


@pytest.mark.parametrize("package", PACKAGES)
def test_each_recorded_batch_size_has_its_own_execution_context(parts, package: str) -> None:
    bindings = HostBindings()
    engine, _, plan = parts(Profile(1, 4, 64), bindings, package=package)
    engine.prepare(range(1, MAX_BATCH + 1))
    for seed in range(3):
        for size in range(1, MAX_BATCH + 1):
            batch = crops(size, seed=seed)
            np.testing.assert_allclose(engine.infer(batch).logits, formula(batch), atol=2e-5)
    assert len(plan.executions) == 2 * MAX_BATCH
    # Those of one set share their memory and, with TensorRT for RTX, their configuration.
    assert len({one.memory for one in plan.executions}) == 2
    assert len({*map(id, plan.configs)}) == (2 if package == "rtx" else 0)


@pytest.mark.parametrize("before", [None, b"kernels of this card", b"another version's"])
def test_tensorrt_for_rtx_gets_back_the_kernels_it_compiled(tmp_path: Path, monkeypatch, before) -> None:
    file = cache_file(b"plan", "tensorrt-rtx", {"XDG_CACHE_HOME": str(tmp_path)})
    if before is not None:
        file.parent.mkdir(parents=True)
        file.write_bytes(before)
    monkeypatch.setattr(tensorrt_engine, "load_cuda_bindings", HostBindings)
    plan = HostPlan()
    spec = EngineSpec((SIDE, SIDE, 1), 2, MAX_BATCH, "tensorrt-rtx", "fp32")
    loaded = LoadedPlan(PACKAGES["rtx"], (), plan, spec, Profile(1, 4, MAX_BATCH), kernels=RuntimeCache(file))
    engine = TensorRtEngine(HostContext(), loaded)
    # Both sets use the same kernels.
    [cache] = {config.cache for config in plan.configs}
    assert cache.content == (before if before == b"kernels of this card" else b"")
    engine.prepare([5])
    assert file.read_bytes() == b"kernels of this card"
    engine.close()
    assert cache_file(b"other", "tensorrt-rtx", {"HOME": "/home/u"}).parent == Path(
        "/home/u/.cache/sji-edge/tensorrt-rtx"
    )


def test_kernels_that_cannot_be_kept_stop_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kernels = RuntimeCache(tmp_path / "file" / "below" / "a.kernels")
    kernels.attach(HostRuntimeConfig())
    kernels.keep()
    kernels.free()
    kernels.keep()


def test_missing_joints_never_make_the_line_wait_for_a_new_context_or_recording(parts) -> None:
    bindings = HostBindings()
    engine, _, plan = parts(None, bindings)
    engine.prepare([10])
    prepared, recorded = len(plan.executions), bindings.alive
    assert {one.shape[0] for one in plan.executions} == {10, MAX_BATCH}
    for seed, size in enumerate([10, 9, 4, 1, 10, 3, 7, 1, 2, 5, 6, 8]):
        batch = crops(size, seed=seed)
        np.testing.assert_allclose(engine.infer(batch).logits, formula(batch), atol=2e-5)
    assert (len(plan.executions), bindings.alive) == (prepared, recorded)
    # Eight to make and prepare the recordings of two sets, then one for each board.
    assert bindings.launches == 4 + 12


def test_between_two_prepared_sizes_at_most_half_a_batch_is_filled_up(parts) -> None:
    engine, _, plan = parts(None, HostBindings())
    engine.prepare([1, 11])
    assert {one.shape[0] for one in plan.executions} == {1, 2, 4, 8, 11, MAX_BATCH}


@pytest.mark.parametrize(("prepared", "contexts"), [(True, 3), (False, 4)])
def test_batch_sizes_beyond_the_limit_have_no_context_of_their_own(
    parts, monkeypatch, prepared: bool, contexts: int
) -> None:
    monkeypatch.setattr(buffer_set, "MAX_OWN", 3)
    bindings = HostBindings()
    engine, _, plan = parts(None, bindings)
    if prepared:
        engine.prepare([MAX_BATCH, 3, 1])
    for seed in range(3):
        for size in (MAX_BATCH, 3, 1, *range(9, 0, -1)):
            batch = crops(size, seed=seed)
            for _ in range(2):
                np.testing.assert_allclose(engine.infer(batch).logits, formula(batch), atol=2e-5)
    assert len(plan.executions) == 2 * contexts
    assert bindings.alive == 2 * 3
    assert engine.graph_failure == ""


def test_without_recording_one_execution_context_per_set_is_enough(parts) -> None:
    engine, _, plan = parts()
    for size in (1, 5, 3, 12):
        engine.infer(crops(size))
    assert len(plan.executions) == 2


@pytest.mark.parametrize("room", range(10))
def test_a_gpu_without_memory_is_reported_at_once_and_nothing_is_kept(room: int, monkeypatch) -> None:
    monkeypatch.setattr(tensorrt_engine, "load_cuda_bindings", lambda: None)
    context = HostContext(room=room)
    monkeypatch.setattr(tensorrt_engine, "CudaContext", lambda: context)
    spec = EngineSpec((SIDE, SIDE, 1), 2, MAX_BATCH, "tensorrt", "fp32")
    monkeypatch.setattr(
        tensorrt_engine,
        "load_plan",
        lambda *_: LoadedPlan(PACKAGES["10"], (), HostPlan(), spec, Profile(1, 4, MAX_BATCH)),
    )
    how = {"max_batch": MAX_BATCH, "backend": "tensorrt", "precision": "fp32"}
    if room >= 8:
        open_plan(PACKAGES["10"], Path("x.plan"), **how).close()
    else:
        with pytest.raises(EnvironmentMismatchError, match=r"does not have|cannot allocate|no room"):
            open_plan(PACKAGES["10"], Path("x.plan"), **how)
    # It checks that no page-locked memory outlives it.
    assert context.closed


def test_closing_gives_everything_back_once(parts) -> None:
    engine, context, _ = parts()
    engine.infer(crops(3))
    engine.close()
    engine.close()
    assert [memory.freed for memory in context.memories] == [1] * len(context.memories)
    assert context.closed
    assert context.depth == 0
    for call in (lambda: engine.infer(crops(1)), lambda: engine.collect(0)):
        with pytest.raises(EngineInputError, match="closed"):
            call()


@pytest.mark.parametrize("graphs", [False, True])
def test_a_frame_is_cut_on_the_device_as_on_the_host(parts, kernel, graphs: bool) -> None:
    spec = PreprocessSpec(height=SIDE, width=SIDE, channels=1)

    engine, context, _ = parts(None, HostBindings() if graphs else None, host_cut(kernel, spec))
    rng = np.random.default_rng(0)
    # Frames of one size, then of others, so that buffers and recordings are replaced.
    for number, shape in enumerate([(60, 80)] * 5 + [(50, 90, 3)] * 3 + [(60, 80)] * 2):
        frame = rng.integers(0, 256, shape, dtype=np.uint8)
        count = 2 + number % 3
        centres = rng.uniform(20, 40, (count, 2))
        boxes = np.concatenate([centres, rng.uniform(10, 30, (count, 2)), np.zeros((count, 1))], axis=1)
        maps = crops_to_image(boxes, spec)
        wanted = np.empty((count, *spec.shape), np.uint8)
        crops_of_frame(frame, maps, wanted)
        np.testing.assert_allclose(engine.infer_frame(frame, maps).logits, formula(wanted), atol=0.02)
        times = engine.gpu_times
        assert times.copy_ms > 0
        assert 0 < times.cut_ms < times.work_ms
        # The copy may be begun long before the joints are known; the time between is not the GPU's.
        ticket = engine.begin_frame(frame)
        with pytest.raises(EngineInputError, match="no frame of this ticket"):
            engine.submit_joints(1 - ticket, maps)
        time.sleep(0.02)
        engine.submit_joints(ticket, maps)
        np.testing.assert_allclose(engine.collect(ticket).logits, formula(wanted), atol=0.02)
        assert engine.gpu_times.copy_ms + engine.gpu_times.work_ms < 20
    for _ in range(3):
        engine.drop(engine.begin_frame(frame))
        with pytest.raises(EngineInputError, match="got 13"):
            engine.submit_joints(engine.begin_frame(frame), np.zeros((13, 2, 3)))
        with pytest.raises(EngineInputError, match="joints of this frame were not submitted"):
            engine.collect(engine.begin_frame(frame))
    with pytest.raises(EngineInputError, match="got 13"):
        engine.infer_frame(frame, np.zeros((13, 2, 3)))
    np.testing.assert_allclose(engine.infer(crops(5)).logits, formula(crops(5)), atol=2e-5)
    engine.close()
    assert [memory.freed for memory in context.memories] == [1] * len(context.memories)


def test_the_real_cuda_python_has_every_call_of_the_recorder() -> None:
    driver = load_cuda_bindings()
    if driver is None:
        pytest.skip("cuda-bindings is not installed")
    for name in dir(HostBindings):
        if name.startswith("cu") or name == "CUstream":
            assert callable(getattr(driver, name)), name
    mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
    assert mode.name in dir(driver.CUstreamCaptureMode)
    assert int(driver.CUstream(4711)) == 4711
    assert int(driver.CUresult.CUDA_SUCCESS) == 0

"""The engine with the real pycuda and the real cuda-bindings, on a CUDA driver in host memory (``host_cuda.c``).

``test_host_cuda`` runs this in a separate process, with that driver first on the library path.
"""

import ctypes
import itertools
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.guarded_graph import PROTOTYPES
from support.host_device import PACKAGES
from support.host_tensorrt import CALL, LIBRARY, Plan
from support.tiny_bundle import SIDE, crops, features_formula, formula, novelty_formula

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import EnvironmentMismatchError
from sji_edge.core.preprocess import crops_of_frame, crops_to_image
from sji_edge.core.protocols import EngineSpec
from sji_edge.runtime.cuda.device import CudaContext
from sji_edge.runtime.cuda.driver import ask_driver
from sji_edge.runtime.cuda.graph_capture import GraphRecorder, Work, load_cuda_bindings
from sji_edge.runtime.tensorrt.device_buffers import Profile
from sji_edge.runtime.tensorrt.engine import TensorRtEngine
from sji_edge.runtime.tensorrt.plan import LoadedPlan
from sji_edge.workflows.diagnose import examine

MAX_BATCH = 12
KINDS = [
    "memory",
    "pinned",
    "stream",
    "event",
    "module",
    "graph",
    "exec",
    "retained",
    "pageable",
    "launched",
    "replayed",
]
OUT_OF_MEMORY, ILLEGAL_ADDRESS = 2, 700


def alive() -> dict[str, int]:
    return {name: LIBRARY.host_count(place) for place, name in enumerate(KINDS)}


@pytest.fixture
def another():
    """Another user of the primary context in the process, such as PyTorch."""
    held = ctypes.c_void_p()
    LIBRARY.cuDevicePrimaryCtxRetain(ctypes.byref(held), 0)
    yield
    LIBRARY.cuDevicePrimaryCtxRelease_v2(0)


@pytest.fixture
def engine():
    loaded = LoadedPlan(
        PACKAGES["10"],
        (),
        Plan(formula),
        EngineSpec((SIDE, SIDE, 1), 2, MAX_BATCH, "tensorrt", "fp32"),
        Profile(1, 4, MAX_BATCH),
    )
    made = TensorRtEngine(CudaContext(), loaded)
    yield made
    LIBRARY.host_fail(b"", 0, 0)
    made.close()
    left = alive()
    assert not any(left[name] for name in KINDS[:8]), left
    assert left["pageable"] == 0
    assert LIBRARY.host_depth() == 0


def test_the_guard_of_a_plan_answers_beside_the_logits() -> None:
    loaded = LoadedPlan(
        PACKAGES["10"],
        (),
        Plan(lambda batch: (formula(batch), novelty_formula(batch), features_formula(batch))),
        EngineSpec((SIDE, SIDE, 1), 2, MAX_BATCH, "tensorrt", "fp32", guarded=True, features=PROTOTYPES),
        Profile(1, 4, MAX_BATCH),
    )
    before = alive()
    made = TensorRtEngine(CudaContext(), loaded)
    for size in (1, 5, MAX_BATCH, 3, 5):
        batch = crops(size, seed=size)
        output = in_thread(lambda batch=batch: made.infer(batch))
        np.testing.assert_allclose(output.logits, formula(batch), atol=2e-5)
        np.testing.assert_allclose(output.novelty, novelty_formula(batch), atol=2e-5)
        np.testing.assert_allclose(output.features, features_formula(batch), atol=2e-5)
    made.close()
    assert {name: alive()[name] for name in KINDS[:8]} == {name: before[name] for name in KINDS[:8]}


def in_thread(work):
    """Run in another thread, as the infer stage does with an engine that the main thread opened."""
    answers: list = []

    def run() -> None:
        answers.append(work())
        answers.append(LIBRARY.host_depth())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert answers[1:] == [0], "the thread ends with a context on its stack, or died"
    return answers[0]


def test_the_driver_says_what_is_there() -> None:
    driver = ask_driver()
    assert (driver.missing, driver.cuda) == ("", "13.0")
    assert driver.devices[0].compute_capability == "8.6"


def test_doctor_shows_the_gpu(tmp_path: Path) -> None:
    found = {(one.area, one.name): one for one in examine(tmp_path)}
    assert found["GPU", "NVIDIA driver"].value.endswith("CUDA 13.0")
    assert found["GPU", "GPU 0"].value == "Host CUDA, compute capability 8.6, 1.0 GiB"
    assert (found["GPU", "GPU 0"].state, found["GPU", "GPU 0"].hint) == ("ok", "")


def test_batches_are_recorded_and_replayed_and_each_keeps_its_answer(engine) -> None:
    before = alive()["replayed"]
    kept = []
    for seed, size in enumerate([1, 5, 3, 12, 5, 5, 1, 12, 3, 3, 1, 1, 12, 12]):
        batch = crops(size, seed=seed)
        kept.append((engine.infer(batch).logits, formula(batch)))
        assert engine.gpu_times.work_ms >= 0
    for logits, wanted in kept:
        np.testing.assert_allclose(logits, wanted, atol=2e-5)
    assert engine.graph_failure == ""
    assert alive()["replayed"] > before


def test_it_works_in_another_thread_than_it_was_opened_in(engine) -> None:
    batch = crops(7)
    for _ in range(4):
        np.testing.assert_allclose(in_thread(lambda: engine.infer(batch).logits), formula(batch), atol=2e-5)
    assert in_thread(lambda: engine.bare_ms(7)) >= 0


def test_a_frame_is_cut_by_the_kernel_with_the_arguments_that_pycuda_packs(engine) -> None:
    spec = PreprocessSpec(height=SIDE, width=SIDE, channels=1)
    rng = np.random.default_rng(0)
    for number, shape in enumerate([(60, 80)] * 4 + [(50, 90, 3)] * 4 + [(60, 80)] * 2):
        frame = rng.integers(0, 256, shape, dtype=np.uint8)
        count = 3 + number % 2
        boxes = np.column_stack(
            [rng.uniform(22, 28, (count, 2)), rng.uniform(10, 30, (count, 2)), rng.uniform(-1, 1, count)]
        )
        maps = crops_to_image(boxes, spec)
        wanted = np.empty((count, *spec.shape), np.uint8)
        crops_of_frame(frame, maps, wanted)
        logits = in_thread(lambda frame=frame, maps=maps: engine.infer_frame(frame, maps).logits)
        np.testing.assert_allclose(logits, formula(wanted), atol=0.02)
    assert alive()["module"] == 1
    assert engine.graph_failure == ""


def test_two_frames_under_way_do_not_mix(engine) -> None:
    batches = [crops(4, seed=seed) for seed in range(20)]
    tickets = [engine.submit(batches[0])]
    for earlier, batch in itertools.pairwise(batches):
        tickets.append(engine.submit(batch))
        np.testing.assert_allclose(engine.collect(tickets.pop(0)).logits, formula(earlier), atol=2e-5)
    engine.drop(tickets.pop())


@pytest.mark.parametrize(
    "call", ["cuStreamSynchronize", "cuMemcpyHtoDAsync_v2", "cuEventRecord", "cuLaunchKernel"]
)
def test_a_failing_call_is_one_line_and_not_a_traceback_of_pycuda(engine, call: str) -> None:
    frame = np.zeros((40, 40), np.uint8)
    maps = np.array([[[1.0, 0, 5], [0, 1, 5]]])
    LIBRARY.host_fail(call.encode(), ILLEGAL_ADDRESS, 0)
    with pytest.raises(EnvironmentMismatchError, match=f"the GPU failed: {call.removesuffix('_v2')}"):
        in_thread_raising(lambda: engine.infer_frame(frame, maps))
    LIBRARY.host_fail(b"", 0, 0)
    np.testing.assert_allclose(engine.infer(crops(2)).logits, formula(crops(2)), atol=2e-5)


def in_thread_raising(work) -> None:
    raised: list[EnvironmentMismatchError] = []

    def run() -> None:
        try:
            work()
        except EnvironmentMismatchError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    raise raised[0]


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_recording_that_breaks_leaves_the_answers_right(engine, after: int) -> None:
    # The first copy is the warm-up's, the second is recorded.
    LIBRARY.host_fail(b"cuMemcpyHtoDAsync_v2", ILLEGAL_ADDRESS, after)
    batch = crops(5)
    if after == 1:
        np.testing.assert_allclose(engine.infer(batch).logits, formula(batch), atol=2e-5)
        LIBRARY.host_fail(b"", 0, 0)
        assert "cuMemcpyHtoDAsync" in engine.graph_failure
    LIBRARY.host_fail(b"", 0, 0)
    np.testing.assert_allclose(engine.infer(batch).logits, formula(batch), atol=2e-5)


def test_another_user_of_the_primary_context_keeps_it(another) -> None:
    context = CudaContext()
    with context.current():
        context.load_kernel()
        context.stream()
    assert alive()["retained"] == 2
    context.close()
    left = alive()
    # We leave nothing in a context that lives on.
    assert {name: left[name] for name in KINDS[:8]} == {**dict.fromkeys(KINDS[:8], 0), "retained": 1}


def test_the_benchmark_measures(engine) -> None:
    from benchmarks.gpu_loop import measure

    frames = [np.random.default_rng(seed).integers(0, 256, (60, 80), dtype=np.uint8) for seed in range(3)]
    maps = np.array([[[1.0, 0, 5], [0, 1, 5]]] * 4)
    times = measure(engine, frames, maps, 200)
    assert min(times.bare, times.host_copy, times.copy, times.cut) > 0
    assert times.cut < times.work
    # What the targets allow: the copies are no part of the GPU's time.
    met = replace(times, bare=1.0, host_copy=0.4, copy=0.6, work=1.25, p50=2.5, p99=3.75, memory_change=0)
    assert met.failures() == []
    for wrong in ({"work": 1.26}, {"p50": 2.51}, {"p99": 3.8}, {"memory_change": 1}):
        assert len(replace(met, **wrong).failures()) == 1
    assert times.p50 <= times.p99
    assert times.memory_change == 0


def test_running_out_of_memory_is_reported_with_a_remedy() -> None:
    context = CudaContext()
    with context.current():
        LIBRARY.host_fail(b"cuMemAlloc_v2", OUT_OF_MEMORY, 0)
        with pytest.raises(
            EnvironmentMismatchError, match="the GPU does not have 10 bytes of free memory"
        ) as caught:
            context.device_memory(10)
        LIBRARY.host_fail(b"", 0, 0)
        assert "smaller max batch" in caught.value.hint
    context.close()
    assert alive()["retained"] == 0


def test_a_gpu_without_a_context_is_reported() -> None:
    LIBRARY.host_fail(b"cuDevicePrimaryCtxRetain", OUT_OF_MEMORY, 0)
    with pytest.raises(EnvironmentMismatchError, match="GPU 0 cannot be used"):
        CudaContext()
    LIBRARY.host_fail(b"", 0, 0)
    with pytest.raises(EnvironmentMismatchError, match="GPU 7 cannot be used"):
        CudaContext(7)


def test_cuda_bindings_alone_record_and_replay(tmp_path: Path) -> None:
    """Without pycuda: a stream by its handle, as the recorder is given it."""
    LIBRARY.cuCtxPushCurrent_v2(ctypes.c_void_p(1))
    handle, before = ctypes.c_void_p(), alive()
    LIBRARY.cuStreamCreate(ctypes.byref(handle), 1)
    ran: list[int] = []
    call = CALL(lambda _: ran.append(1))
    recorder = GraphRecorder(int(handle.value or 0), load_cuda_bindings())
    work = Work(
        ("call",),
        lambda: LIBRARY.host_enqueue(handle, call, None),
        lambda: None,
        lambda: {"answer": np.ones(1)},
        lambda: LIBRARY.cuStreamSynchronize(handle),
    )
    for _ in range(4):
        recorder.run(work)
        LIBRARY.cuStreamSynchronize(handle)
    # The first time it runs plainly and is replayed once.
    assert (len(ran), recorder.failure, recorder.keys) == (5, "", (("call",),))
    recorder.clear()
    assert alive() == {**before, "replayed": before["replayed"] + 4, "stream": before["stream"] + 1}
    LIBRARY.cuStreamDestroy_v2(handle)
    LIBRARY.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))

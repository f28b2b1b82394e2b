"""A TensorRT plan at work: two buffer sets, each with its own stream, execution context and CUDA graphs.

While one set computes, the other's crops can be copied in: ``submit`` the next batch before ``collect`` of the
last. ``infer`` is both at once.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.errors import EngineInputError, EnvironmentMismatchError, SjiError
from sji_edge.runtime.cuda_device import CudaContext
from sji_edge.runtime.cuda_graph import GraphRecorder, load_cuda_bindings
from sji_edge.runtime.cuda_kernel import launch_of
from sji_edge.runtime.device_buffers import BufferSizes, Turns
from sji_edge.runtime.graph import INPUT_NAME, OUTPUT_NAME, check_crops
from sji_edge.runtime.tensorrt_plan import LoadedPlan, load_plan

SETS = 2


@dataclass(slots=True, eq=False)
class BufferSet:
    """One batch's memory, on both sides, and what works on it."""

    stream: Any
    graphs: GraphRecorder
    execution: Any
    crops_host: NDArray[np.uint8]
    logits_host: NDArray[np.float32]
    maps_host: NDArray[np.float64]
    crops: Any
    logits: Any
    maps: Any
    begun: Any
    done: Any
    frame_host: NDArray[np.uint8] | None = None
    frame: Any = None
    count: int = field(default=0)


class TensorRtEngine:
    """A plan on one GPU; see ``core.protocols.Engine``. ``open_plan`` makes it."""

    def __init__(self, context: CudaContext, loaded: LoadedPlan) -> None:
        self.spec = spec = loaded.spec
        self.profile = profile = loaded.profile
        self.gpu_ms = 0.0
        """Time on the GPU of the batch that was collected last, its copies included."""
        self._context: CudaContext | None = context
        # The runtime must outlive its plan.
        self._runtime, self._plan = loaded.runtime, loaded.plan
        self._sizes = BufferSizes.of(spec, profile)
        bindings = load_cuda_bindings()
        with context.current():
            self._turns = Turns([self._new_set(context, bindings) for _ in range(SETS)])
            self._all = [self._turns.take()[1] for _ in range(SETS)]
            for turn in range(SETS):
                self._turns.give_back(turn)

    @property
    def sets(self) -> int:
        """How many batches or frames may be under way at once."""
        return SETS

    @property
    def graph_failure(self) -> str:
        """Why batches run without CUDA graphs; empty where they are recorded."""
        return next((one.graphs.failure for one in self._all if one.graphs.failure), "")

    def prepare(self, batch_sizes: Iterable[int]) -> None:
        """Run and record each batch size on both sets, so that no later batch stops to do so.

        Raises:
            EngineInputError: a size outside 1 to ``spec.max_batch``.
        """
        for size in sorted(set(batch_sizes)):
            for _ in range(SETS):
                self.infer(np.zeros((max(size, 0), *self.spec.crop_shape), np.uint8))

    def infer(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Judge crops; see ``core.protocols.Engine``."""
        return self.collect(self.submit(crops))

    def infer_frame(self, frame: NDArray[np.uint8], maps: NDArray[np.float64]) -> NDArray[np.float32]:
        """Judge the joints of a frame, cut on the GPU; see ``submit_frame``."""
        return self.collect(self.submit_frame(frame, maps))

    def submit(self, crops: NDArray[np.uint8]) -> int:
        """Start on a batch; returns its ticket for ``collect``.

        Raises:
            EngineInputError: crops that do not fit, the engine is closed, or two batches are under way.
            EnvironmentMismatchError: the GPU refused.
        """
        context = self._open_context()
        check_crops(crops, self.spec)
        ticket, one = self._turns.take()
        one.count = len(crops)
        batch = self.profile.run_batch(one.count)

        def enqueue() -> None:
            context.copy_in(one.crops, one.crops_host[: one.count], one.stream)
            self._compute(context, one, batch)

        one.crops_host[: one.count] = crops
        self._start(ticket, one, ("crops", one.count), enqueue)
        return ticket

    def submit_frame(self, frame: NDArray[np.uint8], maps: NDArray[np.float64]) -> int:
        """Start on a frame: it is copied to the GPU once, and one kernel cuts every joint there.

        Args:
            frame: uint8, grey ``(h, w)`` or BGR ``(h, w, 3)``, C-contiguous.
            maps: float64 ``(n, 2, 3)`` of ``core.preprocess.crops_to_image``; the caller has left out joints
                that leave the frame.

        Raises:
            EngineInputError, EnvironmentMismatchError: as ``submit``.
        """
        context = self._open_context()
        launch = launch_of(frame, maps, self.spec.crop_shape, self.spec.max_batch)
        ticket, one = self._turns.take()
        one.count = len(maps)
        batch = self.profile.run_batch(one.count)

        def enqueue() -> None:
            context.copy_in(one.frame, one.frame_host, one.stream)  # type: ignore[arg-type]
            context.copy_in(one.maps, one.maps_host[: one.count], one.stream)
            context.cut(launch, one.frame, one.maps, one.crops, one.stream)
            self._compute(context, one, batch)

        try:
            with context.current():
                context.load_kernel()
                self._room_for_frame(context, one, frame)
        except BaseException:
            self._turns.give_back(ticket)
            raise
        one.frame_host[...] = frame  # type: ignore[index]
        one.maps_host[: one.count] = maps
        self._start(ticket, one, ("frame", one.count, frame.shape), enqueue)
        return ticket

    def bare_ms(self, crops: int) -> float:
        """Run the network alone on what the buffers hold and return its time on the GPU, for comparison."""
        context = self._open_context()
        ticket, one = self._turns.take()
        one.count = crops
        batch = self.profile.run_batch(crops)
        self._start(ticket, one, ("bare", crops), lambda: self._execute(one, batch))
        self._turns.give_back(ticket)
        self._on_gpu(context, one.stream.synchronize)
        elapsed: float = one.done.time_since(one.begun)
        return elapsed

    def collect(self, ticket: int) -> NDArray[np.float32]:
        """Wait for a batch and return its logits, float32 ``(n, classes)``, the caller's to keep.

        Raises:
            EngineInputError: no such batch is under way.
            EnvironmentMismatchError: the GPU failed.
        """
        context = self._open_context()
        one = self._turns.give_back(ticket)
        self._on_gpu(context, one.stream.synchronize)
        self.gpu_ms = one.done.time_since(one.begun)
        return one.logits_host[: one.count].copy()

    def drop(self, ticket: int) -> None:
        """Give up a batch that is under way; what goes wrong meanwhile is let go."""
        with suppress(SjiError):
            self.collect(ticket)

    def close(self) -> None:
        """Give back the GPU's memory; a second call does nothing."""
        context, self._context = self._context, None
        if context is None:
            return
        with context.current():
            for one in self._all:
                one.stream.synchronize()
                one.graphs.clear()
                one.execution = None
                for memory in (one.crops, one.logits, one.maps, one.frame):
                    if memory is not None:
                        memory.free()
            # Streams, events and page-locked memory are freed with their last reference, and that in the context.
            del one
            self._all.clear()
            self._turns.clear()
            self._plan = self._runtime = None
        context.close()

    def _open_context(self) -> CudaContext:
        if self._context is None:
            raise EngineInputError("this engine is closed")
        return self._context

    def _compute(self, context: CudaContext, one: BufferSet, batch: int) -> None:
        self._execute(one, batch)
        context.copy_out(one.logits_host[: one.count], one.logits, one.stream)

    def _execute(self, one: BufferSet, batch: int) -> None:
        if not one.execution.set_input_shape(INPUT_NAME, (batch, *self.spec.crop_shape)):
            raise EnvironmentMismatchError(f"TensorRT takes no batch of {batch}")
        if not one.execution.execute_async_v3(one.stream.handle):
            raise EnvironmentMismatchError("TensorRT could not start the batch")

    def _start(self, ticket: int, one: BufferSet, key: tuple[Any, ...], enqueue: Callable[[], None]) -> None:
        context = self._open_context()

        def timed() -> None:
            one.begun.record(one.stream)
            one.graphs.run(key, enqueue, one.stream.synchronize)
            one.done.record(one.stream)

        try:
            self._on_gpu(context, timed)
        except BaseException:
            self._turns.give_back(ticket)
            raise

    @staticmethod
    def _on_gpu(context: CudaContext, work: Callable[[], Any]) -> None:
        with context.current():
            try:
                work()
            except RuntimeError as error:  # pycuda.driver.Error and its kinds
                raise EnvironmentMismatchError(f"the GPU failed: {error}") from error

    def _room_for_frame(self, context: CudaContext, one: BufferSet, frame: NDArray[np.uint8]) -> None:
        if one.frame_host is not None and one.frame_host.shape == frame.shape:
            return
        # Recordings hold the old address.
        one.graphs.clear()
        if one.frame is not None:
            one.frame.free()
        one.frame_host, one.frame = None, None
        one.frame_host = context.host_memory(frame.shape, np.uint8)
        one.frame = context.device_memory(frame.nbytes)

    def _new_set(self, context: CudaContext, bindings: Any | None) -> BufferSet:
        batch = self.profile.run_batch(self.spec.max_batch)
        stream = context.stream()
        execution = self._plan.create_execution_context()
        if execution is None:
            raise EnvironmentMismatchError("TensorRT gave no execution context: the GPU has no room for it")
        crops = context.device_memory(self._sizes.crops)
        logits = context.device_memory(self._sizes.logits)
        for name, memory in ((INPUT_NAME, crops), (OUTPUT_NAME, logits)):
            if not execution.set_tensor_address(name, int(memory)):
                raise EnvironmentMismatchError(f"TensorRT takes no address for {name}")
        return BufferSet(
            stream=stream,
            graphs=GraphRecorder(int(stream.handle), bindings),
            execution=execution,
            crops_host=context.host_memory((batch, *self.spec.crop_shape), np.uint8),
            logits_host=context.host_memory((batch, self.spec.classes), np.float32),
            maps_host=context.host_memory((batch, 2, 3), np.float64),
            crops=crops,
            logits=logits,
            maps=context.device_memory(self._sizes.maps),
            begun=context.event(),
            done=context.event(),
        )


def open_plan(trt: Any, engine_file: Path, *, max_batch: int, backend: str, precision: str) -> TensorRtEngine:
    """Load a plan on the first GPU; see ``TensorRtBackend.open``."""
    context = CudaContext()
    try:
        with context.current():
            loaded = load_plan(trt, engine_file, max_batch, backend, precision)
        return TensorRtEngine(context, loaded)
    except BaseException:
        context.close()
        raise

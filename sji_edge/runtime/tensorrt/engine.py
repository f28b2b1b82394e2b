"""Runs a TensorRT plan on two buffer sets, each with its own stream, execution contexts and CUDA graphs.

While one set computes, crops can be copied into the other: call ``submit`` for the next batch before ``collect`` for
the last. ``infer`` does both at once.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from traceback import clear_frames
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.errors import EngineInputError, EnvironmentMismatchError, SjiError
from sji_edge.core.protocols import EngineOutput
from sji_edge.core.text import one_line
from sji_edge.runtime.cuda.crop_kernel import check_frame, launch_of, to_fixed
from sji_edge.runtime.cuda.device import CudaContext
from sji_edge.runtime.cuda.graph_capture import Work, load_cuda_bindings
from sji_edge.runtime.onnx_graph import check_crops
from sji_edge.runtime.slots import Turns
from sji_edge.runtime.tensorrt.buffer_set import (
    BEGUN,
    COPIED,
    CUT,
    DONE,
    RESUMED,
    BufferSet,
    GpuTimes,
    new_set,
)
from sji_edge.runtime.tensorrt.calls import undisturbed
from sji_edge.runtime.tensorrt.execution import Chosen
from sji_edge.runtime.tensorrt.plan import LoadedPlan, load_plan

SETS = 2
RUNS = 2
"""Runs of each prepared batch size on each set: the first is recorded, the second replays the recording."""

Given = TypeVar("Given")


class TensorRtEngine:
    """A plan on one GPU; see ``core.protocols.Engine``. ``open_plan`` makes it."""

    def __init__(self, context: CudaContext, loaded: LoadedPlan) -> None:
        self.spec = spec = loaded.spec
        self.profile = profile = loaded.profile
        self.gpu_times = GpuTimes()
        """GPU times of the batch or frame that was collected last."""
        self._context: CudaContext | None = context
        self._loaded: LoadedPlan | None = loaded
        bindings = load_cuda_bindings()
        self.cut_failure = ""
        """Why the GPU cannot cut joints; empty if it can."""
        with context.current():
            try:
                context.load_kernel()
            except EnvironmentMismatchError as error:
                self.cut_failure = error.message
            self._turns = Turns([new_set(context, loaded, spec, profile, bindings) for _ in range(SETS)])
            self._all = [self._turns.take()[1] for _ in range(SETS)]
            for turn in range(SETS):
                self._turns.give_back(turn)

    @property
    def sets(self) -> int:
        """How many batches or frames may be in flight at once."""
        return SETS

    @property
    def graph_failure(self) -> str:
        """Why batches run without CUDA graphs; empty if they run with them."""
        return next((one.graphs.failure for one in self._all if one.graphs.failure), "")

    @property
    def notes(self) -> tuple[str, ...]:
        """What makes this engine slower than it could be: no CUDA graphs, no cut on the GPU."""
        found = []
        if self.graph_failure:
            found.append(f"batches run without CUDA graphs, which is slower: {self.graph_failure}")
        if self.cut_failure:
            found.append(f"the host cuts the joints instead of the GPU, which is slower: {self.cut_failure}")
        return tuple(found)

    def prepare(self, batch_sizes: Iterable[int]) -> None:
        """Run and record batch sizes on both sets, so that no later batch has to; any other runs as the next larger.

        Between the smallest and the largest, every doubling is prepared too: at most half of a batch is filling.

        Raises:
            EngineInputError: a size outside 1 to ``spec.max_batch``.
        """
        context = self._open_context()
        wanted = sorted(set(batch_sizes))
        # The given sizes come first: there is room for a limited number of contexts.
        sizes = [*wanted, *_doublings(wanted)]
        batches = [self.profile.run_batch(size) for size in sizes]
        for one in self._all:
            for batch in batches:
                self._on_gpu(context, partial(one.executions.add, batch))
            one.executions.seal()
        for size in np.repeat(sizes, RUNS * SETS):
            self.infer(np.zeros((int(size), *self.spec.crop_shape), np.uint8))
        if self._loaded is not None and self._loaded.kernels is not None:
            self._on_gpu(context, self._loaded.kernels.keep)

    def infer(self, crops: NDArray[np.uint8]) -> EngineOutput:
        """Judge crops; see ``core.protocols.Engine``."""
        return self.collect(self.submit(crops))

    def infer_frame(self, frame: NDArray[np.uint8], maps: NDArray[np.float64]) -> EngineOutput:
        """Judge the joints of a frame, cut on the GPU; see ``submit_frame``."""
        return self.collect(self.submit_frame(frame, maps))

    def submit(self, crops: NDArray[np.uint8]) -> int:
        """Start a batch; returns its ticket for ``collect``.

        Raises:
            EngineInputError: crops that do not fit, the engine is closed, or two batches are in flight already.
            EnvironmentMismatchError: the GPU refused.
        """
        context = self._open_context()
        check_crops(crops, self.spec)
        ticket, one = self._turns.take()
        one.count = len(crops)

        def enqueue(chosen: Chosen) -> None:
            context.copy_in(one.crops, one.crops_host[: chosen.batch], one.stream)
            self._compute(context, one, chosen)

        one.framed = False
        one.crops_host[: one.count] = crops
        self._start(ticket, one, ("crops",), enqueue)
        return ticket

    def submit_frame(self, frame: NDArray[np.uint8], maps: NDArray[np.float64]) -> int:
        """Start a frame: it is copied to the GPU once, and one kernel cuts every joint there.

        Args:
            frame: uint8, grey ``(h, w)`` or BGR ``(h, w, 3)``, C-contiguous.
            maps: float64 ``(n, 2, 3)`` of ``core.preprocess.crops_to_image``, without joints that leave the frame.

        Raises:
            EngineInputError, EnvironmentMismatchError: as ``submit``.
        """
        launch_of(frame, maps, self.spec.crop_shape, self.spec.max_batch)
        ticket = self.begin_frame(frame)
        self.submit_joints(ticket, maps)
        return ticket

    def begin_frame(self, frame: NDArray[np.uint8]) -> int:
        """Start copying a frame to the GPU; see ``core.protocols.FrameEngine``."""
        context = self._open_context()
        if self.cut_failure:
            raise EnvironmentMismatchError(self.cut_failure)
        check_frame(frame)
        ticket, one = self._turns.take()

        def copied() -> None:
            one.room_for_frame(context, frame)
            one.frame_host[...] = frame  # type: ignore[index]
            one.marks.put(BEGUN)
            context.copy_in(one.frame, one.frame_host, one.stream)  # type: ignore[arg-type]
            one.marks.put(COPIED)

        one.framed = one.awaits_joints = True
        self._enqueue(ticket, one, copied)
        return ticket

    def submit_joints(self, ticket: int, maps: NDArray[np.float64]) -> None:
        """Start judging the joints of a frame that was begun; see ``core.protocols.FrameEngine``."""
        context, one = self._open_context(), self._all[ticket]
        if not one.awaits_joints or one.frame_host is None:
            raise EngineInputError("no frame of this ticket was begun")
        try:
            launch = launch_of(one.frame_host, maps, self.spec.crop_shape, self.spec.max_batch)
        except BaseException:
            self.drop(ticket)
            raise
        one.awaits_joints = False
        one.count = len(maps)
        one.maps_host[: one.count] = to_fixed(maps)
        # A joint that left the frame is filled up with another one, which is cut twice.
        one.maps_host[one.count :] = one.maps_host[0]

        def enqueue(chosen: Chosen) -> None:
            context.copy_in(one.maps, one.maps_host[: chosen.batch], one.stream)
            context.cut(launch.of_batch(chosen.batch), one.frame, one.maps, one.crops, one.stream)
            one.marks.put(CUT, recorded=one.graphs.recording)
            self._compute(context, one, chosen)

        self._start(ticket, one, ("frame", one.frame_host.shape), enqueue)

    def cut_frame(self, frame: NDArray[np.uint8], maps: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Judge a frame and return the crops that the GPU cut for it; see ``core.protocols.FrameEngine``."""
        context = self._open_context()
        ticket = self.submit_frame(frame, maps)
        self.collect(ticket)
        one = self._all[ticket]

        def crops() -> NDArray[np.uint8]:
            context.copy_out(one.crops_host[: one.count], one.crops, one.stream)
            one.stream.synchronize()
            return one.crops_host[: one.count].copy()

        return self._on_gpu(context, crops)

    def bare_ms(self, crops: int) -> float:
        """Run only the network, on what the buffers hold, and return its GPU time, for comparison.

        Raises:
            EngineInputError: no crops, or more than the engine takes.
        """
        context = self._open_context()
        self.profile.run_batch(crops)
        ticket, one = self._turns.take()
        one.count, one.framed = crops, False
        self._start(ticket, one, ("bare",), lambda chosen: self._execute(one, chosen))
        self._turns.give_back(ticket)
        return self._finished(context, one).work_ms

    def collect(self, ticket: int) -> EngineOutput:
        """Wait for a batch and return its answer, the caller's to keep.

        Raises:
            EngineInputError: no such batch is in flight.
            EnvironmentMismatchError: the GPU failed.
        """
        context = self._open_context()
        one = self._turns.give_back(ticket)
        if one.awaits_joints:
            one.awaits_joints = False
            self._on_gpu(context, one.stream.synchronize)
            raise EngineInputError("the joints of this frame were not submitted")
        self.gpu_times = self._finished(context, one)
        return EngineOutput(**one.answers())

    def drop(self, ticket: int) -> None:
        """Abandon a batch that is in flight; errors are ignored."""
        with suppress(SjiError):
            self.collect(ticket)

    def close(self) -> None:
        """Release the GPU's memory, even after a failure; a second call does nothing."""
        context, self._context = self._context, None
        if context is None:
            return
        with suppress(SjiError), context.current():
            for one in self._all:
                one.free(context.errors)
            self._all.clear()
            self._turns.clear()
            if self._loaded is not None:
                self._loaded.free()
            self._loaded = None
        context.close()

    def _open_context(self) -> CudaContext:
        if self._context is None:
            raise EngineInputError("this engine is closed")
        return self._context

    def _compute(self, context: CudaContext, one: BufferSet, chosen: Chosen) -> None:
        # A network that silently does nothing must not leave the answers of the last board.
        for output in one.outputs.values():
            context.poison(output.device, output.host[: chosen.batch].size, one.stream)
        self._execute(one, chosen)
        for output in one.outputs.values():
            context.copy_out(output.host[: chosen.batch], output.device, one.stream)

    def _execute(self, one: BufferSet, chosen: Chosen) -> None:
        if not chosen.execution.execute_async_v3(one.stream.handle):
            why = "no reason was given" if self._loaded is None else self._loaded.log.latest()
            raise EnvironmentMismatchError(f"TensorRT could not start the batch: {why}")

    def _start(
        self, ticket: int, one: BufferSet, kind: tuple[Any, ...], enqueue: Callable[[Chosen], None]
    ) -> None:
        def timed() -> None:
            chosen = one.executions.of(self.profile.run_batch(one.count))
            key = (*kind, chosen.batch) if chosen.stays else None
            work = Work(key, lambda: enqueue(chosen), one.poison, one.answers, one.stream.synchronize)
            one.marks.put(RESUMED)
            one.graphs.run(work)
            one.marks.put(DONE)

        self._enqueue(ticket, one, timed)

    def _enqueue(self, ticket: int, one: BufferSet, work: Callable[[], None]) -> None:
        """Put work on a set's stream; after a failure the ticket is free again."""
        context = self._open_context()
        try:
            self._on_gpu(context, work)
        except BaseException:
            # Work that was enqueued before the failure still reads the page-locked memory.
            with suppress(SjiError):
                self._on_gpu(context, one.stream.synchronize)
            one.awaits_joints = False
            self._turns.give_back(ticket)
            raise

    def _finished(self, context: CudaContext, one: BufferSet) -> GpuTimes:
        """Wait for a set's work and return its GPU times."""

        def waited() -> GpuTimes:
            one.stream.synchronize()
            return one.gpu_times()

        return self._on_gpu(context, waited)

    @staticmethod
    def _on_gpu(context: CudaContext, work: Callable[[], Given]) -> Given:
        with context.current():
            try:
                return work()
            except EnvironmentMismatchError as error:
                # The error's frames hold streams and page-locked memory, which must not outlive the context.
                clear_frames(error.__traceback__)
                raise
            except context.errors as error:
                clear_frames(error.__traceback__)
                raise EnvironmentMismatchError(f"the GPU failed: {one_line(error)}") from error


def _doublings(sizes: list[int]) -> list[int]:
    """Return the doublings of the smallest batch size that lie below the largest and are not among the sizes."""
    found, size = [], sizes[0] if sizes else 1
    while size < max(sizes, default=0):
        found.append(size)
        size *= 2
    return [size for size in found if size not in sizes]


def open_plan(
    trt: Any,
    engine_file: Path,
    *,
    max_batch: int,
    backend: str,
    precision: str,
    content: bytes | None = None,
) -> TensorRtEngine:
    """Load a plan on the first GPU; see ``TensorRtBackend.open``."""
    context = CudaContext()

    def opened() -> TensorRtEngine:
        return TensorRtEngine(context, load_plan(trt, engine_file, max_batch, backend, precision, content))

    try:
        # After an error, GPU objects are freed at once, while the context is current.
        with context.current(), undisturbed():
            return opened()
    except BaseException:
        context.close()
        raise

"""The memory of one batch, on host and device, with its stream, execution contexts, CUDA graphs and events."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.protocols import EngineSpec
from sji_edge.runtime.cuda.device import CudaContext
from sji_edge.runtime.cuda.graph_capture import GraphRecorder
from sji_edge.runtime.cuda.marks import Marks
from sji_edge.runtime.onnx_graph import INPUT_NAME
from sji_edge.runtime.tensorrt.device_buffers import BufferSizes, Profile, output_shapes
from sji_edge.runtime.tensorrt.execution import MAX_OWN, Executions, scratch_bytes
from sji_edge.runtime.tensorrt.plan import LoadedPlan

BEGUN, COPIED, RESUMED, CUT, DONE = MARKS = ("begun", "copied", "resumed", "cut", "done")
"""A frame's copy runs from ``begun`` to ``copied``, perhaps long before ``resumed``, when its joints are known."""

STAGES = ((RESUMED, DONE), (BEGUN, COPIED), (RESUMED, CUT))


@dataclass(frozen=True, slots=True)
class GpuTimes:
    """GPU time of a batch or a frame, in milliseconds.

    Attributes:
        work_ms: everything but a frame's copy: crops or maps in, cut, network, answers out.
        copy_ms: a frame's copy to the GPU; 0 for a batch of crops.
        cut_ms: the part of ``work_ms`` that cuts a frame's joints; 0 for a batch of crops.
    """

    work_ms: float = 0.0
    copy_ms: float = 0.0
    cut_ms: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class OutputBuffer:
    """One output of the plan: page-locked float32 ``(batch, ...)`` on the host, and its memory on the device."""

    host: NDArray[np.float32]
    device: Any


@dataclass(slots=True, eq=False)
class BufferSet:
    """See ``new_set``; call its methods only while the context is current. ``outputs`` by name."""

    stream: Any
    graphs: GraphRecorder
    executions: Executions
    crops_host: NDArray[np.uint8]
    maps_host: NDArray[np.int64]
    outputs: Mapping[str, OutputBuffer]
    crops: Any
    maps: Any
    scratch: Any
    marks: Marks
    frame_host: NDArray[np.uint8] | None = None
    frame: Any = None
    count: int = field(default=0)
    framed: bool = field(default=False)
    awaits_joints: bool = field(default=False)

    def answers(self) -> dict[str, NDArray[np.float32]]:
        """Return copies of what the last batch left on the host, without the rows that filled it up."""
        return {name: output.host[: self.count].copy() for name, output in self.outputs.items()}

    def gpu_times(self) -> GpuTimes:
        """Return the GPU times of what ran last; the stream must be idle."""
        stages = STAGES if self.framed else STAGES[:1]
        return GpuTimes(*(self.marks.ms(*stage) for stage in stages))

    def poison(self) -> None:
        """Fill the host's outputs with NaN, which no verdict is made of."""
        for output in self.outputs.values():
            output.host.fill(np.nan)

    def room_for_frame(self, context: CudaContext, frame: NDArray[np.uint8]) -> None:
        """Allocate memory for frames of this shape, if there is none yet; nothing may be in flight.

        Raises:
            EnvironmentMismatchError: there is not enough memory.
        """
        if self.frame_host is not None and self.frame_host.shape == frame.shape:
            return
        # CUDA graphs of frames hold the old address.
        self.graphs.clear("frame")
        if self.frame is not None:
            self.frame.free()
        self.frame_host, self.frame = None, None
        memory = context.device_memory(frame.nbytes)
        self.frame_host = context.host_memory(frame.shape, np.uint8)
        self.frame = memory

    def free(self, errors: tuple[type[Exception], ...]) -> None:
        """Release everything, in whatever state it is; the set cannot be used afterwards.

        Stream, events and page-locked memory are freed with their last reference. An error's frames may still hold
        the set, so the set drops its references.
        """
        with suppress(*errors):
            self.stream.synchronize()
        self.graphs.clear()
        self.executions.clear()
        outputs = [output.device for output in self.outputs.values()]
        for memory in (self.crops, *outputs, self.maps, self.scratch, self.frame):
            if memory is not None:
                with suppress(*errors):
                    memory.free()
        self.marks.free()
        for name in ("stream", "marks", "crops_host", "maps_host", "outputs", "frame_host"):
            delattr(self, name)


def new_set(
    context: CudaContext, loaded: LoadedPlan, spec: EngineSpec, profile: Profile, bindings: Any | None
) -> BufferSet:
    """Make a buffer set for a plan.

    Args:
        context: the CUDA context; must be current.
        loaded: the plan.
        spec: the engine's spec.
        profile: the plan's optimization profile.
        bindings: cuda-python's driver module; None: no CUDA graphs are recorded.

    Raises:
        EnvironmentMismatchError: the GPU or the host does not have enough memory.
    """
    sizes = BufferSizes.of(spec, profile)
    batch = profile.run_batch(spec.max_batch)
    stream = context.stream()
    crops = context.device_memory(sizes.crops)
    outputs = {
        name: OutputBuffer(
            context.host_memory((batch, *shape), np.float32), context.device_memory(sizes.outputs[name])
        )
        for name, shape in output_shapes(spec).items()
    }
    size = scratch_bytes(loaded.plan)
    scratch = context.device_memory(size)
    executions = Executions(
        loaded.trt,
        loaded.plan,
        spec.crop_shape,
        {INPUT_NAME: int(crops), **{name: int(output.device) for name, output in outputs.items()}},
        (int(scratch), size),
        MAX_OWN if bindings is not None else 0,
        loaded.kernels,
    )
    # The largest batch needs the most memory: a shortage shows now and not during a run.
    executions.of(batch)
    return BufferSet(
        stream=stream,
        graphs=GraphRecorder(int(stream.handle), bindings, context.errors),
        executions=executions,
        crops_host=context.host_memory((batch, *spec.crop_shape), np.uint8),
        maps_host=context.host_memory((batch, 2, 3), np.int64),
        outputs=outputs,
        crops=crops,
        maps=context.device_memory(sizes.maps),
        scratch=scratch,
        marks=Marks(MARKS, context, stream, bindings),
    )

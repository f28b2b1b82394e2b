"""The memory of one batch, on host and device, with its stream, execution contexts, CUDA graphs and events."""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.protocols import EngineSpec
from sji_edge.runtime.cuda.device import CudaContext
from sji_edge.runtime.cuda.graph_capture import GraphRecorder
from sji_edge.runtime.onnx_graph import INPUT_NAME, outputs_of
from sji_edge.runtime.tensorrt.device_buffers import BufferSizes, Profile, output_shapes
from sji_edge.runtime.tensorrt.execution import MAX_OWN, Executions, scratch_bytes
from sji_edge.runtime.tensorrt.plan import LoadedPlan


@dataclass(slots=True, eq=False)
class BufferSet:
    """See ``new_set``; call its methods only while the context is current.

    ``outputs`` and ``outputs_host`` hold logits, novelty and features, as many of them as the plan gives.
    """

    stream: Any
    graphs: GraphRecorder
    executions: Executions
    crops_host: NDArray[np.uint8]
    outputs_host: list[NDArray[np.float32]]
    maps_host: NDArray[np.float64]
    crops: Any
    outputs: list[Any]
    maps: Any
    scratch: Any
    begun: Any
    done: Any
    frame_host: NDArray[np.uint8] | None = None
    frame: Any = None
    count: int = field(default=0)

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
        for memory in (self.crops, *self.outputs, self.maps, self.scratch, self.frame):
            if memory is not None:
                with suppress(*errors):
                    memory.free()
        held = ("crops_host", "outputs_host", "maps_host", "frame_host")
        for name in ("stream", "begun", "done", *held):
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
    outputs = [context.device_memory(size) for size in sizes.outputs]
    names = outputs_of(spec)
    size = scratch_bytes(loaded.trt, loaded.plan)
    scratch = context.device_memory(size) if size else None
    executions = Executions(
        loaded.trt,
        loaded.plan,
        spec.crop_shape,
        {INPUT_NAME: int(crops), **dict(zip(names, map(int, outputs), strict=True))},
        None if scratch is None else (int(scratch), size),
        MAX_OWN if bindings is not None else 0,
    )
    # The largest batch needs the most memory: a shortage shows now and not during a run.
    executions.of(batch)
    return BufferSet(
        stream=stream,
        graphs=GraphRecorder(int(stream.handle), bindings, context.errors),
        executions=executions,
        crops_host=context.host_memory((batch, *spec.crop_shape), np.uint8),
        outputs_host=[context.host_memory((batch, *shape), np.float32) for shape in output_shapes(spec)],
        maps_host=context.host_memory((batch, 2, 3), np.float64),
        crops=crops,
        outputs=outputs,
        maps=context.device_memory(sizes.maps),
        scratch=scratch,
        begun=context.event(),
        done=context.event(),
    )

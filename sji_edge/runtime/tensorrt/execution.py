"""The execution contexts of one buffer set: one for each batch size, all on the same scratch memory.

A recorded CUDA graph holds on to what its execution context was when it was recorded, and another input shape changes
that: memory may move, and so may what the kernels are told. So a batch size that is recorded has a context of its own,
which never takes another shape. NVIDIA advises the same: one context for each graph, the memory shared between them.
Their work goes to one stream, so no two use that memory at once.
"""

from collections.abc import Mapping
from typing import Any

from sji_edge.core.errors import EnvironmentMismatchError
from sji_edge.runtime.onnx_graph import INPUT_NAME

MAX_OWN = 16
"""Batch sizes that get a context of their own; others share one, which is never recorded."""

NEAR = 1.25
"""A batch that nobody prepared for runs as a greater one that was, up to this many times its size: a new context costs
the line a stop, with TensorRT for RTX one as long as its kernels take to compile."""

LEAST_SCRATCH = 256


def scratch_bytes(trt: Any, plan: Any) -> int:
    """Return how much memory the contexts of a plan share; 0 where each has its own (8.6)."""
    if not hasattr(trt, "ExecutionContextAllocationStrategy"):
        return 0
    size = getattr(plan, "device_memory_size_v2", None)
    return max(LEAST_SCRATCH, int(plan.device_memory_size if size is None else size))


class Executions:
    """Execution contexts by batch size.

    Args:
        trt: the package.
        plan: whose contexts they are.
        crop_shape: of one crop of the input.
        addresses: of the input and the output on the device, by name.
        scratch: address and bytes of the memory that they share; None: each allocates its own.
        own: batch sizes that get a context of their own; 0 where nothing is recorded.
    """

    def __init__(
        self,
        trt: Any,
        plan: Any,
        crop_shape: tuple[int, int, int],
        addresses: Mapping[str, int],
        scratch: tuple[int, int] | None,
        own: int = MAX_OWN,
    ) -> None:
        self._trt, self._plan = trt, plan
        self._crop_shape = crop_shape
        self._addresses = dict(addresses)
        self._scratch = scratch
        self._limit = own
        self._own: dict[int, Any] = {}
        self._shared: Any = None

    def add(self, batch: int) -> None:
        """Get a context of its own ready for a batch size, where there is room for one more.

        Raises:
            EnvironmentMismatchError: the GPU has no room for it, or TensorRT takes no such batch.
        """
        if batch not in self._own and len(self._own) < self._limit:
            made = self._new()
            self._set_batch(made, batch)
            self._own[batch] = made

    def of(self, batch: int) -> tuple[Any, bool]:
        """Return a context for a batch size, or for one little greater, and whether it stays so: it may be recorded.

        Raises:
            EnvironmentMismatchError: as ``add``.
        """
        near = [size for size in self._own if batch <= size <= NEAR * batch]
        if not near:
            self.add(batch)
            near = [batch] if batch in self._own else []
        if near:
            return self._own[min(near)], True
        if self._shared is None:
            self._shared = self._new()
        self._set_batch(self._shared, batch)
        return self._shared, False

    def clear(self) -> None:
        """Let go of all contexts."""
        self._own.clear()
        self._shared = self._plan = None

    def _new(self) -> Any:
        execution = self._created()
        if execution is None:
            raise EnvironmentMismatchError("TensorRT gave no execution context: the GPU has no room for it")
        if self._scratch is not None:
            execution.set_device_memory(*self._scratch)
        for name, address in self._addresses.items():
            if not execution.set_tensor_address(name, address):
                raise EnvironmentMismatchError(f"TensorRT takes no address for {name}")
        return execution

    def _created(self) -> Any:
        if self._scratch is None:
            return self._plan.create_execution_context()
        mine = self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
        strategies = getattr(self._trt, "DynamicShapesKernelSpecializationStrategy", None)
        if strategies is None:
            return self._plan.create_execution_context(mine)
        # TensorRT for RTX compiles kernels for a shape when it meets it. Left to itself it does so beside the first
        # runs, and a recording made meanwhile would keep the slower kernels for ever.
        config = self._plan.create_runtime_config()
        config.set_execution_context_allocation_strategy(mine)
        config.dynamic_shapes_kernel_specialization_strategy = strategies.EAGER
        return self._plan.create_execution_context(config)

    def _set_batch(self, execution: Any, batch: int) -> None:
        if not execution.set_input_shape(INPUT_NAME, (batch, *self._crop_shape)):
            raise EnvironmentMismatchError(f"TensorRT takes no batch of {batch}")

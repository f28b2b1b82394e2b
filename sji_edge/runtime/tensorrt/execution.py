"""The execution contexts of one buffer set: one for each batch size, all on the same scratch memory.

A recorded CUDA graph refers to its execution context as it was at recording, and another input shape changes that:
memory and kernel arguments may move. So every batch size that is recorded has its own context, which never gets
another shape. NVIDIA advises the same: one context for each graph, with shared memory. All contexts use one stream, so
no two use the memory at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sji_edge.core.errors import EnvironmentMismatchError
from sji_edge.runtime.onnx_graph import INPUT_NAME
from sji_edge.runtime.tensorrt.runtime_cache import RuntimeCache

MAX_OWN = 16
"""Number of batch sizes that get their own context; the others share one, which is never recorded."""

LEAST_SCRATCH = 256


def scratch_bytes(plan: Any) -> int:
    """Return how many bytes the contexts of a plan share."""
    size = getattr(plan, "device_memory_size_v2", None)
    return max(LEAST_SCRATCH, int(plan.device_memory_size if size is None else size))


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """An execution context, the batch size that it runs, and whether it keeps that size, so that it can be recorded."""

    execution: Any
    batch: int
    stays: bool


class Executions:
    """Execution contexts by batch size.

    Until ``seal`` is called, each new batch size gets its own context. Afterwards a batch size without one runs as the
    next larger one, filled up: a new context would stop the line, with TensorRT for RTX for as long as its kernels take
    to compile. The largest batch size always has a context where batches are recorded.

    Args:
        trt: the package.
        plan: the plan.
        crop_shape: shape of one crop.
        addresses: device addresses of the input and the outputs, by name.
        scratch: address and bytes of the memory that all contexts share.
        own: number of batch sizes that get their own context; 0 if nothing is recorded.
        kernels: what TensorRT for RTX has compiled already.
    """

    def __init__(
        self,
        trt: Any,
        plan: Any,
        crop_shape: tuple[int, int, int],
        addresses: Mapping[str, int],
        scratch: tuple[int, int],
        own: int = MAX_OWN,
        kernels: RuntimeCache | None = None,
    ) -> None:
        self._trt, self._plan = trt, plan
        self._crop_shape = crop_shape
        self._addresses = dict(addresses)
        self._scratch = scratch
        self._limit = own
        self._kernels = kernels
        self._own: dict[int, Any] = {}
        self._sealed = False
        self._shared: Any = None
        self._config: Any = None

    def add(self, batch: int) -> None:
        """Prepare a context for a batch size, unless the maximum number is reached.

        Raises:
            EnvironmentMismatchError: the GPU does not have enough memory, or TensorRT refuses the batch size.
        """
        if batch not in self._own and len(self._own) < self._limit:
            made = self._new()
            self._set_batch(made, batch)
            self._own[batch] = made

    def seal(self) -> None:
        """Make no more contexts, except by ``add``."""
        self._sealed = True

    def of(self, batch: int) -> Chosen:
        """Return a context that runs at least this many crops.

        Raises:
            EnvironmentMismatchError: as ``add``.
        """
        if not self._sealed:
            self.add(batch)
        larger = [size for size in self._own if size >= batch]
        if batch in self._own or (self._sealed and larger):
            size = min(larger)
            return Chosen(self._own[size], size, True)
        if self._shared is None:
            self._shared = self._new()
        self._set_batch(self._shared, batch)
        return Chosen(self._shared, batch, False)

    def clear(self) -> None:
        """Drop all contexts."""
        self._own.clear()
        self._shared = self._config = self._plan = None

    def _new(self) -> Any:
        execution = self._created()
        if execution is None:
            raise EnvironmentMismatchError(
                "TensorRT created no execution context: the GPU does not have enough memory"
            )
        if hasattr(execution, "set_device_memory"):
            execution.set_device_memory(*self._scratch)
        else:
            # Up to 10.0.
            execution.device_memory = self._scratch[0]
        for name, address in self._addresses.items():
            if not execution.set_tensor_address(name, address):
                raise EnvironmentMismatchError(f"TensorRT refuses an address for {name}")
        return execution

    def _created(self) -> Any:
        strategies = getattr(self._trt, "ExecutionContextAllocationStrategy", None)
        if strategies is None:
            return self._plan.create_execution_context_without_device_memory()
        mine = strategies.USER_MANAGED
        if not hasattr(self._trt, "DynamicShapesKernelSpecializationStrategy"):
            return self._plan.create_execution_context(mine)
        if self._config is None:
            self._config = self._runtime_config(mine)
        return self._plan.create_execution_context(self._config)

    def _runtime_config(self, strategy: Any) -> Any:
        """Return TensorRT for RTX's configuration of all contexts of this set.

        It compiles kernels for a shape when it first sees it, by default while the first batches run. A CUDA graph
        recorded meanwhile would keep the slower kernels forever.
        """
        config = self._plan.create_runtime_config()
        config.set_execution_context_allocation_strategy(strategy)
        kinds = self._trt.DynamicShapesKernelSpecializationStrategy
        config.dynamic_shapes_kernel_specialization_strategy = kinds.EAGER
        if self._kernels is not None:
            self._kernels.attach(config)
        return config

    def _set_batch(self, execution: Any, batch: int) -> None:
        if not execution.set_input_shape(INPUT_NAME, (batch, *self._crop_shape)):
            raise EnvironmentMismatchError(f"TensorRT refuses a batch of {batch}")

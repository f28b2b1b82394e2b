"""Uses the GPU through pycuda: its primary context, page-locked memory, streams, the crop kernel.

pycuda is imported only here, and only when an engine is opened, because its import fails without a driver. PyTorch uses
the device's primary context in the same process; a separate context (``pycuda.autoinit``) would invalidate PyTorch's
handles.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.errors import EnvironmentMismatchError
from sji_edge.core.extras import load
from sji_edge.core.text import one_line
from sji_edge.runtime.cuda.crop_kernel import FUNCTION, SIGNATURE, Launch, kernel_code
from sji_edge.runtime.cuda.driver import pop_context

NAN_BITS = 0xFFFF_FFFF
"""A float32 NaN."""


class CudaContext:
    """The primary context of one GPU; call every other method within ``current``.

    Args:
        index: index of the GPU.

    Raises:
        MissingExtraError: pycuda is not installed.
        EnvironmentMismatchError: it does not load, or the GPU cannot be used.
    """

    def __init__(self, index: int = 0) -> None:
        try:
            self.cuda: Any = load("pycuda.driver", "running on a GPU")
        except ImportError as error:
            raise EnvironmentMismatchError(
                f"pycuda is installed, but does not load: {one_line(error)}",
                hint="build it against this machine's CUDA; see docs/how-to/tensorrt.md",
            ) from error
        self.errors: tuple[type[Exception], ...] = (self.cuda.Error, RuntimeError)
        """What a call on the GPU may raise. pycuda's errors, even its ``RuntimeError``, derive from ``Exception``;
        TensorRT and cuda-python raise Python's ``RuntimeError``."""
        try:
            self.cuda.init()
            self._thread = threading.get_ident()
            self._context: Any = self.cuda.Device(index).retain_primary_context()
        except self.errors as error:
            raise EnvironmentMismatchError(f"GPU {index} cannot be used: {one_line(error)}") from error

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the context current in this thread; an engine may be opened in one thread and used in another.

        Raises:
            EnvironmentMismatchError: the GPU failed.
        """
        try:
            self._context.push()
        except self.errors as error:
            raise EnvironmentMismatchError(f"the GPU failed: {one_line(error)}") from error
        try:
            yield
        finally:
            self.cuda.Context.pop()

    def stream(self) -> Any:
        """Return a new stream that does not wait for the default one."""
        return self.cuda.Stream(1)

    def event(self) -> Any:
        """Return a new event, with ``record``, ``synchronize`` and ``time_since`` in milliseconds."""
        return self.cuda.Event()

    def device_memory(self, size: int) -> Any:
        """Allocate bytes on the GPU; raises ``EnvironmentMismatchError`` if it does not have enough."""
        try:
            return self.cuda.mem_alloc(size)
        except self.errors as error:
            raise EnvironmentMismatchError(
                f"the GPU does not have {size} bytes of free memory: {one_line(error)}",
                hint="build the engine with a smaller max batch, or stop other programs on this GPU",
            ) from error

    def host_memory(self, shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
        """Allocate page-locked memory; only from there can a copy overlap with computation."""
        try:
            array: NDArray[Any] = self.cuda.pagelocked_empty(shape, dtype)
        except self.errors as error:
            raise EnvironmentMismatchError(
                f"cannot allocate page-locked memory of shape {shape}: {one_line(error)}",
                hint="free memory, or raise the system's limit for locked memory",
            ) from error
        return array

    def copy_in(self, device: Any, host: NDArray[Any], stream: Any) -> None:
        """Enqueue a copy to the GPU."""
        self.cuda.memcpy_htod_async(device, host, stream)

    def copy_out(self, host: NDArray[Any], device: Any, stream: Any) -> None:
        """Enqueue a copy from the GPU."""
        self.cuda.memcpy_dtoh_async(host, device, stream)

    def poison(self, device: Any, values: int, stream: Any) -> None:
        """Enqueue filling float32 values on the GPU with NaN."""
        self.cuda.memset_d32_async(device, NAN_BITS, values, stream)

    @cached_property
    def _crop_kernel(self) -> Any:
        module = self.cuda.module_from_buffer(kernel_code())
        return module.get_function(FUNCTION).prepare(SIGNATURE)

    def load_kernel(self) -> None:
        """Load the crop kernel now; raises ``EnvironmentMismatchError`` if it has no code for this GPU."""
        try:
            self._crop_kernel  # noqa: B018 - loading it is the point
        except self.errors as error:
            raise EnvironmentMismatchError(
                f"the crop kernel does not load here: {one_line(error)}",
                hint="sji-edge doctor says which drivers it needs",
            ) from error

    def cut(self, launch: Launch, frame: Any, maps: Any, crops: Any, stream: Any) -> None:
        """Enqueue the crop kernel; ``frame``, ``maps`` and ``crops`` are device memory."""
        self._crop_kernel.prepared_async_call(
            launch.grid, launch.block, stream, int(frame), *launch.frame, int(maps), int(crops), *launch.crop
        )

    def close(self) -> None:
        """Release the primary context; PyTorch keeps its own hold on it.

        pycuda pushes the context in order to release it, but releasing does not pop a primary context. In a thread
        other than the one that retained it, pycuda keeps it until the process ends. The kernel's module is unloaded
        first, within the context; otherwise PyTorch's reference to the context would keep the module alive.
        """
        with suppress(EnvironmentMismatchError), self.current():
            self.__dict__.pop("_crop_kernel", None)
        self._context.detach()
        if threading.get_ident() == self._thread:
            pop_context()

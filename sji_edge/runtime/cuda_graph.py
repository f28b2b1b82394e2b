"""Recording what a stream is given as one CUDA graph, with cuda-python where it is installed.

pycuda knows no graphs, but a stream is a stream: cuda-python captures on its handle.
"""

import importlib
from collections.abc import Callable, Hashable
from typing import Any

from sji_edge.core.errors import EnvironmentMismatchError
from sji_edge.runtime.graph import one_line

MAX_GRAPHS = 32
"""Recordings that one stream keeps; batch sizes beyond them run unrecorded."""


def load_cuda_bindings() -> Any | None:
    """Import cuda-python's driver module, or return None: without it the loop works, only slower."""
    try:
        return importlib.import_module("cuda.bindings.driver")
    except ImportError:
        return None


class GraphRecorder:
    """The recordings of one stream.

    Args:
        handle: of the stream.
        bindings: cuda-python's driver module; None records nothing.
    """

    def __init__(self, handle: int, bindings: Any | None) -> None:
        self._driver = bindings
        self._stream = None if bindings is None else bindings.CUstream(handle)
        self._recorded: dict[Hashable, Any] = {}
        self.failure = "" if bindings is not None else "cuda-python is not installed"

    @property
    def keys(self) -> tuple[Hashable, ...]:
        """What is recorded."""
        return tuple(self._recorded)

    def run(self, key: Hashable, enqueue: Callable[[], None], wait: Callable[[], None]) -> None:
        """Give the stream its work, from the recording where there is one.

        Args:
            key: same key, same work: same addresses and sizes.
            enqueue: puts the work on the stream.
            wait: until the stream is idle.
        """
        if key in self._recorded:
            self._check("cuGraphLaunch", self._driver.cuGraphLaunch(self._recorded[key], self._stream))  # type: ignore[union-attr]
            return
        enqueue()
        if self.failure or len(self._recorded) >= MAX_GRAPHS:
            return
        # That was the warm-up: lazy allocations during a capture would break it.
        wait()
        try:
            self._recorded[key] = self._capture(enqueue)
        except (EnvironmentMismatchError, RuntimeError) as error:  # pycuda's errors are of the latter kind
            self.failure = one_line(error)

    def clear(self) -> None:
        """Drop every recording, as when an address changes."""
        for graph in self._recorded.values():
            self._driver.cuGraphExecDestroy(graph)  # type: ignore[union-attr]
        self._recorded.clear()

    def _capture(self, enqueue: Callable[[], None]) -> Any:
        driver: Any = self._driver
        mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._check("cuStreamBeginCapture", driver.cuStreamBeginCapture(self._stream, mode))
        try:
            enqueue()
        except BaseException:
            driver.cuStreamEndCapture(self._stream)
            raise
        graph = self._check("cuStreamEndCapture", driver.cuStreamEndCapture(self._stream))
        try:
            return self._check("cuGraphInstantiate", driver.cuGraphInstantiate(graph, 0))
        finally:
            driver.cuGraphDestroy(graph)

    def _check(self, call: str, answer: tuple[Any, ...]) -> Any:
        """Return what a call of cuda-python gave beside its result code."""
        result, *values = answer
        if int(result) != 0:
            raise EnvironmentMismatchError(f"{call} failed: {result.name}")
        return values[0] if values else None

"""Records the work of a stream as one CUDA graph, with cuda-python if it is installed.

pycuda has no CUDA graphs, but cuda-python can capture on the handle of pycuda's stream.
"""

import importlib
from collections.abc import Callable
from typing import Any

from sji_edge.core.errors import EnvironmentMismatchError
from sji_edge.core.text import one_line

Key = tuple[Any, ...]
"""Identifies a CUDA graph: a kind of work, then its sizes."""

MAX_GRAPHS = 64
"""Maximum number of CUDA graphs that one stream keeps; further ones run without. TensorRT's engine records three kinds
of work for each of 16 batch sizes."""


def load_cuda_bindings() -> Any | None:
    """Import cuda-python's driver module, or return None; without it the loop is only slower."""
    try:
        return importlib.import_module("cuda.bindings.driver")
    except ImportError:
        return None


class GraphRecorder:
    """The CUDA graphs of one stream.

    Args:
        handle: the stream's handle.
        bindings: cuda-python's driver module; None: nothing is recorded.
        errors: exceptions that the recorded work may raise; it then runs without a graph from there on.
    """

    def __init__(
        self, handle: int, bindings: Any | None, errors: tuple[type[Exception], ...] = (RuntimeError,)
    ) -> None:
        self._driver = bindings
        self._errors: tuple[type[Exception], ...] = (EnvironmentMismatchError, *errors)
        self._stream = None if bindings is None else bindings.CUstream(handle)
        self._recorded: dict[Key, Any] = {}
        self.failure = "" if bindings is not None else "cuda-python is not installed"

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys that are recorded."""
        return tuple(self._recorded)

    def run(self, key: Key | None, enqueue: Callable[[], None], wait: Callable[[], None]) -> None:
        """Run work on the stream, from its CUDA graph if there is one.

        Args:
            key: identifies the work, with its addresses and sizes; None: the work is not recorded.
            enqueue: puts the work on the stream.
            wait: waits until the stream is idle.
        """
        if key in self._recorded:
            self._check("cuGraphLaunch", self._driver.cuGraphLaunch(self._recorded[key], self._stream))  # type: ignore[union-attr]
            return
        enqueue()
        if key is None or self.failure or len(self._recorded) >= MAX_GRAPHS:
            return
        # The warm-up run: lazy allocations would break a capture.
        wait()
        try:
            self._recorded[key] = self._capture(enqueue)
        except self._errors as error:
            self.failure = one_line(error)

    def clear(self, kind: str = "") -> None:
        """Drop the CUDA graphs of one kind, as when an address changes; without a kind, all of them."""
        for key in [key for key in self._recorded if not kind or key[0] == kind]:
            self._driver.cuGraphExecDestroy(self._recorded.pop(key))  # type: ignore[union-attr]

    def _capture(self, enqueue: Callable[[], None]) -> Any:
        driver: Any = self._driver
        mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._check("cuStreamBeginCapture", driver.cuStreamBeginCapture(self._stream, mode))
        try:
            enqueue()
        except BaseException:
            result, half = driver.cuStreamEndCapture(self._stream)
            if int(result) == 0:
                driver.cuGraphDestroy(half)
            raise
        graph = self._check("cuStreamEndCapture", driver.cuStreamEndCapture(self._stream))
        try:
            return self._check("cuGraphInstantiate", driver.cuGraphInstantiate(graph, 0))
        finally:
            driver.cuGraphDestroy(graph)

    def _check(self, call: str, answer: tuple[Any, ...]) -> Any:
        """Return the values of a cuda-python call without its result code."""
        result, *values = answer
        if int(result) != 0:
            raise EnvironmentMismatchError(f"{call} failed: {result.name}")
        return values[0] if values else None

"""Recording what a stream is given as one CUDA graph, with cuda-python where it is installed.

pycuda knows no graphs, but a stream is a stream: cuda-python captures on its handle.
"""

import importlib
from collections.abc import Callable
from typing import Any

from sji_edge.core.errors import EnvironmentMismatchError
from sji_edge.core.text import one_line

Key = tuple[Any, ...]
"""What a recording is of: a kind of work, then its sizes."""

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
        errors: what the work that is recorded may raise; then it runs unrecorded from there on.
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
        """What is recorded."""
        return tuple(self._recorded)

    def run(self, key: Key | None, enqueue: Callable[[], None], wait: Callable[[], None]) -> None:
        """Give the stream its work, from the recording where there is one.

        Args:
            key: same key, same work: same addresses and sizes; None: not to be recorded.
            enqueue: puts the work on the stream.
            wait: until the stream is idle.
        """
        if key in self._recorded:
            self._check("cuGraphLaunch", self._driver.cuGraphLaunch(self._recorded[key], self._stream))  # type: ignore[union-attr]
            return
        enqueue()
        if key is None or self.failure or len(self._recorded) >= MAX_GRAPHS:
            return
        # That was the warm-up: lazy allocations during a capture would break it.
        wait()
        try:
            self._recorded[key] = self._capture(enqueue)
        except self._errors as error:
            self.failure = one_line(error)

    def clear(self, kind: str = "") -> None:
        """Drop the recordings of a kind, as when an address changes; without one all of them."""
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
        """Return what a call of cuda-python gave beside its result code."""
        result, *values = answer
        if int(result) != 0:
            raise EnvironmentMismatchError(f"{call} failed: {result.name}")
        return values[0] if values else None

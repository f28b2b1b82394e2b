"""Marks moments on a stream, and tells the time between them."""

from collections.abc import Sequence
from typing import Any

from sji_edge.core.errors import EnvironmentMismatchError
from sji_edge.runtime.cuda.device import CudaContext

EXTERNAL = 1
"""``CU_EVENT_RECORD_EXTERNAL``: an event that is recorded into a CUDA graph is set by each replay."""


class Marks:
    """Named events of one stream.

    With cuda-python, whose events can be recorded into a CUDA graph, they are its events, else pycuda's.

    Args:
        names: of the marks.
        context: the CUDA context; must be current here and in every call.
        stream: pycuda's stream.
        bindings: cuda-python's driver module, or None.
    """

    def __init__(self, names: Sequence[str], context: CudaContext, stream: Any, bindings: Any | None) -> None:
        self._stream, self._driver = stream, bindings
        if bindings is None:
            self._events = {name: context.event() for name in names}
            return
        self._handle = bindings.CUstream(int(stream.handle))
        self._events = {name: self._done("cuEventCreate", bindings.cuEventCreate(0)) for name in names}

    def put(self, name: str, *, recorded: bool = False) -> None:
        """Mark the moment when the stream's work so far is done.

        Args:
            name: of the mark.
            recorded: the stream is being recorded at this moment.
        """
        if self._driver is None:
            self._events[name].record(self._stream)
        else:
            flags = EXTERNAL if recorded else 0
            answer = self._driver.cuEventRecordWithFlags(self._events[name], self._handle, flags)
            self._done("cuEventRecord", answer)

    def ms(self, earlier: str, later: str) -> float:
        """Return the milliseconds between two marks that the stream has passed."""
        first, last = self._events[earlier], self._events[later]
        if self._driver is None:
            return float(last.time_since(first))
        return float(self._done("cuEventElapsedTime", self._driver.cuEventElapsedTime(first, last)))

    def free(self) -> None:
        """Drop the events, whatever became of the device."""
        if self._driver is not None:
            for event in self._events.values():
                self._driver.cuEventDestroy(event)
        self._events.clear()

    @staticmethod
    def _done(call: str, answer: tuple[Any, ...]) -> Any:
        result, *values = answer
        if int(result) != 0:
            raise EnvironmentMismatchError(f"the GPU failed: {call} failed: {result.name}")
        return values[0] if values else None

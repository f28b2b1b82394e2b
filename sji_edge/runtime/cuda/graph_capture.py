"""Records the work of a stream as one CUDA graph, with cuda-python if it is installed.

pycuda has no CUDA graphs, but cuda-python can capture on the handle of pycuda's stream. A recording is used only after
it gave, bit by bit, the answer of the plain run: a capture that CUDA accepts may be empty or hold an old address.
"""

import importlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True, slots=True)
class Work:
    """Work for a stream.

    Attributes:
        key: identifies the work, with its addresses and sizes; None: it is not recorded.
        enqueue: puts the work on the stream.
        poison: overwrites the host's answers, so that those of an earlier run cannot be taken for new ones.
        answers: returns copies of the host's answers; called when the stream is idle.
        wait: waits until the stream is idle.
    """

    key: Key | None
    enqueue: Callable[[], None]
    poison: Callable[[], None]
    answers: Callable[[], Mapping[str, NDArray[Any]]]
    wait: Callable[[], None]


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
        self.recording = False
        """Whether work that is put on the stream is recorded at this moment, and does not run."""
        self.failure = "" if bindings is not None else "cuda-python is not installed"

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys that are recorded."""
        return tuple(self._recorded)

    def run(self, work: Work) -> None:
        """Run work on the stream, from its CUDA graph if there is one; else run it plainly, record it and replay it.

        A recording that fails, or whose replay gives another answer than the plain run, is dropped, ``failure`` says
        why, and all work runs plainly from there on.
        """
        work.poison()
        if work.key in self._recorded:
            self._launch(self._recorded[work.key])
            return
        work.enqueue()
        if work.key is None or self.failure or len(self._recorded) >= MAX_GRAPHS:
            return
        # The plain run comes first: lazy allocations would break a capture.
        work.wait()
        plain = work.answers()
        try:
            graph = self._capture(work.enqueue)
        except self._errors as error:
            self.failure = one_line(error)
            self._settle(work)
            return
        self._recorded[work.key] = graph
        work.poison()
        self._launch(graph)
        work.wait()
        if not _same(plain, work.answers()):
            self.clear()
            self.failure = "a replayed recording gave another answer than the same batch without a recording"
            work.poison()
            work.enqueue()

    def clear(self, kind: str = "") -> None:
        """Drop the CUDA graphs of one kind, as when an address changes; without a kind, all of them."""
        for key in [key for key in self._recorded if not kind or key[0] == kind]:
            self._driver.cuGraphExecDestroy(self._recorded.pop(key))  # type: ignore[union-attr]

    def _capture(self, enqueue: Callable[[], None]) -> Any:
        driver: Any = self._driver
        mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._check("cuStreamBeginCapture", driver.cuStreamBeginCapture(self._stream, mode))
        self.recording = True
        try:
            enqueue()
        except BaseException:
            result, half = driver.cuStreamEndCapture(self._stream)
            if int(result) == 0:
                driver.cuGraphDestroy(half)
            raise
        finally:
            self.recording = False
        graph = self._check("cuStreamEndCapture", driver.cuStreamEndCapture(self._stream))
        try:
            made = self._check("cuGraphInstantiate", driver.cuGraphInstantiate(graph, 0))
        finally:
            driver.cuGraphDestroy(graph)
        try:
            # Otherwise the first launch uploads it.
            self._check("cuGraphUpload", driver.cuGraphUpload(made, self._stream))
        except BaseException:
            driver.cuGraphExecDestroy(made)
            raise
        return made

    def _launch(self, graph: Any) -> None:
        self._check("cuGraphLaunch", self._driver.cuGraphLaunch(graph, self._stream))  # type: ignore[union-attr]

    def _settle(self, work: Work) -> None:
        """Run work once more after a failed capture; the answers of the plain run stay.

        The CUDA runtime inside TensorRT keeps the capture's error, and reports it at its next call.
        """
        with suppress(*self._errors):
            work.enqueue()
        with suppress(*self._errors):
            work.wait()

    def _check(self, call: str, answer: tuple[Any, ...]) -> Any:
        """Return the values of a cuda-python call without its result code."""
        result, *values = answer
        if int(result) != 0:
            raise EnvironmentMismatchError(f"{call} failed: {result.name}")
        return values[0] if values else None


def _same(plain: Mapping[str, NDArray[Any]], replayed: Mapping[str, NDArray[Any]]) -> bool:
    """Compare answers bit by bit, so that NaN equals itself."""
    return plain.keys() == replayed.keys() and all(
        np.array_equal(plain[name].view(np.uint8), replayed[name].view(np.uint8)) for name in plain
    )

"""Yields frames from a device; a separate thread grabs them, so that a hung driver blocks nobody."""

import dataclasses
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.clock import Clock
from sji_edge.core.errors import SourceError
from sji_edge.core.protocols import Frame
from sji_edge.streams.cameras.capture import frame_of


@dataclass(frozen=True, slots=True, eq=False)
class Grabbed:
    """The result of a grab: an image or the reason why there is none, and how many frames were lost before it."""

    image: NDArray[np.generic] | None
    error: str = ""
    missed: int = 0

    @classmethod
    def nothing(cls) -> Self:
        """Nothing so far: ask again, unless the source was closed meanwhile."""
        return cls(None)


class Grabber(Protocol):
    """An open device. One thread calls both methods."""

    def grab(self) -> Grabbed | None:
        """Wait for the next image; None at the end of the stream.

        Raises:
            SourceError: the device is lost.
        """

    def release(self) -> None:
        """Close the device."""


@runtime_checkable
class Stoppable(Protocol):
    """A grabber whose ``grab`` can be ended from another thread."""

    def stop(self) -> None:
        """End a ``grab`` that is waiting."""


Answer = tuple[Grabbed | None, int] | Exception | None
"""A grabbed frame and its time; the error; or None after a close."""

RELEASE_S = 0.5
"""How long a close waits for the driver, so that the device can be opened again right after."""


class LiveSource:
    """Yields the frames of a device until it is closed or lost.

    Args:
        grabber: the open device; it belongs to this source from now on.
        label: names the frames and the source in errors; holds no secret.
        clock: stamps each frame when the device delivers it.
        colour: False brings colour to grey.
        timeout_s: a device that gives no frame for this long is lost; None waits, as for a trigger.
        free_running: whether the device takes frames at its own pace.
    """

    def __init__(
        self,
        grabber: Grabber,
        label: str,
        clock: Clock,
        colour: bool = True,
        *,
        timeout_s: float | None,
        free_running: bool = True,
    ) -> None:
        self.free_running = free_running
        self._grabber = grabber
        self._label = label
        self._clock = clock
        self._colour = colour
        self._timeout_s = timeout_s
        self._asked: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="grab", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            while self._asked.get() and not self._closed.is_set():
                try:
                    self._answers.put((self._grab(), self._clock.monotonic_ns()))
                except Exception as error:  # noqa: BLE001 - raised again by the thread that iterates
                    self._answers.put(error)
        finally:
            self._grabber.release()

    def _grab(self) -> Grabbed | None:
        while not self._closed.is_set():
            grabbed = self._grabber.grab()
            if grabbed is None or grabbed.image is not None or grabbed.error:
                return grabbed
        return None

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames; raises ``SourceError`` when the device stops delivering them."""
        index = 0
        while not self._closed.is_set():
            self._asked.put(True)
            try:
                answer = self._answers.get(timeout=self._timeout_s)
            except queue.Empty:
                raise SourceError(
                    f"{self._label} delivered no frame for {self._timeout_s:g} s, after {index} frames",
                    hint="check its cable and its power",
                ) from None
            if isinstance(answer, Exception):
                raise answer
            if answer is None or self._closed.is_set():
                return
            grabbed, captured_ns = answer
            if grabbed is None:
                return
            yield self._frame(index, grabbed, captured_ns)
            index += 1

    def _frame(self, index: int, grabbed: Grabbed, captured_ns: int) -> Frame:
        name = f"{self._label}#{index:06d}"
        if grabbed.image is None:
            return Frame(index, name, captured_ns, None, grabbed.error, missed=grabbed.missed)
        frame = frame_of(index, name, captured_ns, grabbed.image, self._colour)
        return dataclasses.replace(frame, missed=grabbed.missed)

    def close(self) -> None:
        """End an iteration at once; the device is closed as soon as its driver returns."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._asked.put(False)
        self._answers.put(None)
        if isinstance(self._grabber, Stoppable):
            self._grabber.stop()
        if threading.current_thread() is not self._thread:
            self._thread.join(RELEASE_S)

"""Reconnects a lost source: until a time limit, its frames report that it is away."""

import dataclasses
import threading
from collections.abc import Callable, Iterable, Iterator

from sji_edge.core.clock import Clock
from sji_edge.core.errors import SourceError
from sji_edge.core.protocols import Frame, FrameSource

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 5.0
RECONNECT_S = 30.0
"""Default for how long a live source may stay away; 0 for not at all."""


class ReconnectingSource:
    """Reopens a lost source, with growing pauses.

    A source that cannot be opened the first time is an error. When it is lost later, one frame with ``away`` is
    yielded at once and one after each failed attempt: every loss is recorded, and a long one does not flood the
    records. Frame numbers continue across losses. The time away ends with the next frame, so a device that opens but
    delivers nothing stays away.

    Args:
        reopen: opens the source or raises ``SourceError``; first called by this constructor.
        label: names the frames and the source; contains no secret.
        limit_s: how long it may stay away.
        clock: measures the time away.
        wait: waits for a number of seconds and returns whether the source was closed meanwhile.

    Raises:
        SourceError: it cannot be opened.
    """

    def __init__(
        self,
        reopen: Callable[[], FrameSource],
        label: str,
        limit_s: float,
        clock: Clock,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._reopen = reopen
        self._label = label
        self._limit_s = limit_s
        self._clock = clock
        self._closed = threading.Event()
        self._wait = wait or self._closed.wait
        self._lock = threading.Lock()
        self._source: FrameSource | None = reopen()
        self.free_running = bool(getattr(self._source, "free_running", False))

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames; raises ``SourceError`` when the source stays away for too long."""
        for index, frame in enumerate(self._frames()):
            yield dataclasses.replace(frame, index=index, name=f"{self._label}#{index:06d}")

    def _frames(self) -> Iterator[Frame]:
        lost_ns: int | None = None
        wait_s = FIRST_WAIT_S
        while not self._closed.is_set():
            try:
                for frame in self._opened():
                    lost_ns, wait_s = None, FIRST_WAIT_S
                    yield frame
                return
            except SourceError as error:
                lost = error
            self._let_go()
            now_ns = self._clock.monotonic_ns()
            lost_ns = now_ns if lost_ns is None else lost_ns
            yield Frame(0, "", now_ns, None, lost.message, away=True)
            left_s = self._limit_s - (self._clock.monotonic_ns() - lost_ns) / 1e9
            if left_s <= 0:
                raise SourceError(
                    f"{self._label} did not come back within {self._limit_s:g} s: {lost.message}",
                    hint=lost.hint,
                ) from lost
            if self._wait(min(wait_s, left_s)):
                return
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def _opened(self) -> Iterable[Frame]:
        with self._lock:
            source = self._source
        if source is not None:
            return source
        source = self._reopen()
        with self._lock:
            if not self._closed.is_set():
                self._source = source
                return source
        source.close()
        return ()

    def _let_go(self) -> None:
        with self._lock:
            source, self._source = self._source, None
        if source is not None:
            source.close()

    def close(self) -> None:
        """End an iteration, and close the source."""
        self._closed.set()
        self._let_go()


def reconnecting(reopen: Callable[[], FrameSource], label: str, limit_s: float, clock: Clock) -> FrameSource:
    """Return the source that ``reopen`` opens; unless ``limit_s`` is 0, one that reconnects."""
    return ReconnectingSource(reopen, label, limit_s, clock) if limit_s > 0 else reopen()

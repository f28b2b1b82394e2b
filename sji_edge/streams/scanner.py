"""Reads serial numbers from a scanner: one a line, from a device, a named pipe or the standard input.

A scanner at a serial port sends a line for each code; one that acts as a keyboard types it into the standard input. Set
the port's speed with ``stty`` before the run.
"""

import os
import selectors
import sys
import threading
from collections import deque
from pathlib import Path

from sji_edge.core.clock import Clock
from sji_edge.core.errors import SourceError

MAX_LINE = 1000
MAX_WAITING = 1000
"""Lines that nobody took; the oldest are dropped first."""
POLL_S = 0.2


class LineScanner:
    """Receives lines in a thread of its own, each with the time at which it was complete.

    Args:
        path: a device such as ``/dev/ttyACM0``, a pipe or a file; ``-`` for the standard input.
        clock: stamps the lines.

    Raises:
        SourceError: it cannot be opened.
    """

    def __init__(self, path: str, clock: Clock) -> None:
        self._clock = clock
        self._name = "the standard input" if path == "-" else path
        self._lines: deque[tuple[int, str]] = deque(maxlen=MAX_WAITING)
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._failure = ""
        try:
            own = (
                sys.stdin.fileno()
                if path == "-"
                else os.open(Path(path), os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
            )
        except (OSError, ValueError) as error:
            raise SourceError(
                f"cannot open the scanner {self._name}: {error}",
                hint="name its device, such as /dev/ttyACM0, or - for a scanner that types",
            ) from error
        self._own = None if path == "-" else own
        self._thread = threading.Thread(target=self._receive, args=(own,), name="scanner", daemon=True)
        self._thread.start()

    @property
    def failure(self) -> str:
        """Why no more lines will come; empty while the scanner works."""
        return self._failure

    def take(self, until_ns: int) -> list[str]:
        """Remove and return the lines that were complete at a time of the clock, the oldest first."""
        taken = []
        with self._lock:
            while self._lines and self._lines[0][0] <= until_ns:
                taken.append(self._lines.popleft()[1])
        return taken

    def _receive(self, descriptor: int) -> None:
        rest = b""
        try:
            with selectors.DefaultSelector() as ready:
                try:
                    ready.register(descriptor, selectors.EVENT_READ)
                    waits = True
                except (PermissionError, OSError):
                    # A plain file is always ready.
                    waits = False
                while not self._closed.is_set():
                    if waits and not ready.select(POLL_S):
                        continue
                    piece = os.read(descriptor, 4096)
                    if not piece:
                        self._failure = f"{self._name} was closed"
                        return
                    *whole, rest = (rest + piece).replace(b"\r", b"\n").split(b"\n")
                    self._keep(whole)
                    rest = rest[-MAX_LINE:]
        except OSError as error:
            self._failure = f"{self._name}: {error.strerror}"

    def _keep(self, lines: list[bytes]) -> None:
        now_ns = self._clock.monotonic_ns()
        texts = [line.decode("utf-8", "replace").strip() for line in lines]
        with self._lock:
            self._lines.extend((now_ns, text) for text in texts if text)

    def close(self) -> None:
        """Stop receiving; a second call does nothing."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._thread.join(2 * POLL_S)
        if self._own is not None:
            os.close(self._own)

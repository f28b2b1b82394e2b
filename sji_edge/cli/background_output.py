"""Output that a run never waits for: a bounded queue of text, and a thread that writes it."""

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

MAX_CHUNKS = 2000
"""Maximum number of queued pieces of text, each a line or a table."""
GATHER_S = 0.02
"""How long the thread collects lines before it writes them together, so that it does not wake for each board."""
CLOSE_S = 2.0


class BackgroundOutput:
    """A text stream whose ``write`` neither waits nor raises.

    If the reader is too slow and the queue is full, new text is dropped and its lines are counted; a line in the output
    says how many. If the reader is gone, everything is dropped.

    Args:
        stream: the stream to write to, such as ``sys.stdout``.
        on_failure: called once, from the thread, with the reason why nothing more can be written.
        max_chunks: maximum number of queued pieces of text.
    """

    def __init__(
        self, stream: TextIO, on_failure: Callable[[str], object], *, max_chunks: int = MAX_CHUNKS
    ) -> None:
        self._stream = stream
        self._on_failure = on_failure
        self._max_chunks = max_chunks
        self._waiting: deque[str] = deque()
        self._condition = threading.Condition()
        self._dropped = self._unsaid = 0
        self._failed = self._closed = self._busy = self._stalled = False
        self._thread = threading.Thread(target=self._write_all, name="output", daemon=True)
        self._thread.start()

    @property
    def encoding(self) -> str:
        """Encoding of the stream."""
        return self._stream.encoding or "utf-8"

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """File descriptor of the stream."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Queue text, or drop it if the queue is full."""
        with self._condition:
            if self._failed or self._closed or len(self._waiting) >= self._max_chunks:
                lines = max(1, text.count("\n"))
                self._dropped += lines
                self._unsaid += lines
            else:
                self._waiting.append(text)
                self._condition.notify_all()
        return len(text)

    def flush(self) -> None:
        """Do nothing: the thread writes as soon as it can."""

    @property
    def dropped(self) -> int:
        """Lines that nobody will read."""
        return self._dropped

    def drain(self, timeout_s: float = CLOSE_S) -> bool:
        """Wait until everything is written; False if the reader is too slow. After a timeout, it never waits again."""
        with self._condition:
            written = self._condition.wait_for(
                lambda: self._failed or not (self._waiting or self._busy), 0 if self._stalled else timeout_s
            )
            self._stalled = not written
            return written

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Write the queued text and stop; text that the reader does not take in time is dropped."""
        self.drain(timeout_s)
        with self._condition:
            self._closed = True
            self._dropped += sum(max(1, text.count("\n")) for text in self._waiting)
            self._waiting.clear()
            self._condition.notify_all()
        # A thread that still hangs in a write ends with the process.
        self._thread.join(GATHER_S if self._busy else None)

    def _write_all(self) -> None:
        while (text := self._next()) is not None:
            try:
                self._put(text)
            except (OSError, ValueError) as error:
                self._fail(error)
                return

    def _next(self) -> str | None:
        with self._condition:
            self._busy = False
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return None
            self._busy = True
        time.sleep(GATHER_S)
        with self._condition:
            text = "".join(self._waiting)
            self._waiting.clear()
            if self._unsaid and not self.isatty():
                text += f"({self._unsaid} lines left out here: the reader of this output is too slow)\n"
                self._unsaid = 0
        return text

    def _put(self, text: str) -> None:
        try:
            descriptor = self._stream.fileno()
        except OSError:
            # Not a file of the system, such as a test's buffer.
            self._stream.write(text)
            self._stream.flush()
            return
        # Bypasses the stream: its lock, held by a write that hangs, would stop the interpreter's exit.
        data = text.encode(self.encoding, self._stream.errors or "strict")
        while data:
            try:
                data = data[os.write(descriptor, data) :]
            except BlockingIOError:
                # Another process that shares the pipe made it non-blocking.
                select.select([], [descriptor], [])

    def _fail(self, error: Exception) -> None:
        with self._condition:
            self._failed = True
            self._busy = False
            self._dropped += sum(max(1, text.count("\n")) for text in self._waiting)
            self._waiting.clear()
            self._condition.notify_all()
        self._on_failure(getattr(error, "strerror", None) or str(error))

"""Guards standard output and error: a character that cannot be encoded or a reader that left is no internal error."""

import codecs
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

ERRORS = "sji-edge"
"""Name of the error handler that replaces characters which the terminal's encoding lacks."""
SPELT = {
    "…": "...",
    "–": "-",
    "—": "-",
    "−": "-",
    "→": "->",
    "×": "x",
    "±": "+/-",
    "≤": "<=",
    "≥": ">=",
    "µ": "u",
    "°": " deg",
    "·": ".",
    "•": "*",
    "’": "'",
    "“": '"',
    "”": '"',
}
WAIT_S = 2.0
"""Seconds that a message waits if nobody reads standard error."""


def _spell(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    char = error.object[error.start]
    if "\u2500" <= char <= "\u257f":
        spelt = {"─": "-", "━": "-", "│": "|", "┃": "|"}.get(char, "+")
    elif "\u2800" <= char <= "\u28ff":
        spelt = "*"
    else:
        spelt = SPELT.get(char) or char.encode("ascii", "backslashreplace").decode()
    return spelt, error.start + 1


codecs.register_error(ERRORS, _spell)


class GuardedOutput:
    """A text stream that survives the loss of its reader. Other attributes are those of the wrapped stream.

    Args:
        stream: ``sys.stdout`` or ``sys.stderr``.
        wait_s: how long a write may wait for the reader; None for as long as it takes.
    """

    def __init__(self, stream: TextIO, *, wait_s: float | None = None) -> None:
        self._stream = stream
        self._wait_s = wait_s
        self.failure: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            # Writing to it directly would bypass the guard.
            raise AttributeError(name)
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text; once the reader is gone, drop it."""
        if self.failure is None and self._ready():
            try:
                return self._stream.write(text)
            except OSError as error:
                self._fail(error)
        return len(text)

    def writelines(self, lines: Iterator[str]) -> None:
        """Write several pieces of text."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush; once the reader is gone, do nothing."""
        if self.failure is None and self._ready():
            try:
                self._stream.flush()
            except OSError as error:
                self._fail(error)

    def _ready(self) -> bool:
        if self._wait_s is None:
            return True
        try:
            ready = bool(select.select([], [self._stream], [], self._wait_s)[1])
        except (OSError, ValueError):
            # Not a file of the system, such as a test's buffer.
            return True
        # After one timeout, the reader is not waited for again.
        if not ready:
            self._wait_s = 0.0
        return ready

    def _fail(self, error: OSError) -> None:
        self.failure = error
        # What the stream still holds would fail again when the interpreter ends.
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        except (OSError, ValueError):
            return


@contextmanager
def guarded_output() -> Iterator[GuardedOutput]:
    """Guard standard output and standard error within the block; yield the guard of standard output."""
    before = sys.stdout, sys.stderr
    out = GuardedOutput(_prepared(before[0]))
    err = GuardedOutput(_prepared(before[1]), wait_s=WAIT_S)
    sys.stdout, sys.stderr = cast("TextIO", out), cast("TextIO", err)
    try:
        yield out
        out.flush()
    finally:
        sys.stdout, sys.stderr = before


def _prepared(stream: TextIO | None) -> TextIO:
    """Return a stream that can write every character; python has none where the shell closed the descriptor."""
    if stream is None:
        return Path(os.devnull).open("w", encoding="utf-8")
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors=ERRORS)
    return stream

"""What ``infer`` writes to standard output and standard error, in the background: the line never waits for a log."""

import sys
from types import TracebackType
from typing import IO, Self, cast

from rich.console import Console

from sji_edge.cli.background_output import BackgroundOutput
from sji_edge.cli.render.console import console
from sji_edge.core.text import amount, readable


class RunOutput:
    """A console and a warning channel that never block; closing it reports how many lines were dropped."""

    def __init__(self) -> None:
        self.err = BackgroundOutput(sys.stderr, on_failure=lambda _: None)
        self.out = BackgroundOutput(sys.stdout, on_failure=self._lost)
        self.console: Console = console(cast("IO[str]", self.out))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def line(self, text: str) -> None:
        """Write a line to standard output, not through rich: laying it out costs more than recording a board."""
        self.out.write(f"{text}\n")

    def warn(self, text: str) -> None:
        """Write a warning to standard error."""
        self.err.write(f"warning: {readable(text)}\n")

    def close(self) -> None:
        """Give the readers a moment to take the rest, and report the lines that they did not take."""
        self.out.close()
        if self.out.dropped:
            self.warn(
                f"{amount(self.out.dropped, 'line')} of standard output dropped because its reader was too slow or "
                "gone; no record is affected"
            )
        self.err.close()

    def _lost(self, reason: str) -> None:
        self.warn(f"cannot write to standard output: {reason}; the run goes on and records every board")

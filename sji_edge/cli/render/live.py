"""A run while it runs: one screen on a terminal; elsewhere a line a board, and a status line in JSON."""

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from sji_edge.cli.render.common import console
from sji_edge.cli.render.inference import (
    COLOURS,
    board_line,
    cause_lines,
    latency_table,
    shadow_line,
    verdict_table,
)
from sji_edge.core.protocols import BoardRecord
from sji_edge.inspection.observe.shadow import ShadowReport
from sji_edge.inspection.observe.status_formats import status_line
from sji_edge.inspection.observe.tally import RunSummary
from sji_edge.runtime.bundle.bundle import Bundle

STATUS_S = 10.0
REFRESHES_PER_S = 2
LAST_BOARDS = 8

Figures = Callable[[], tuple[RunSummary, ShadowReport | None]]


class Watch:
    """Shows a run.

    Args:
        bundle: the engine, named on the screen.
        boards: whether each board gets a line; single joints are too many.
        terminal: where to; by default standard output. Status lines go to standard error.
        status_s: seconds between two status lines.
    """

    def __init__(
        self, bundle: Bundle, *, boards: bool, terminal: Console | None = None, status_s: float = STATUS_S
    ) -> None:
        self._bundle = bundle
        self._boards = boards
        self._terminal = terminal or console()
        self._status_s = status_s
        self._last: deque[tuple[str, str]] = deque(maxlen=LAST_BOARDS)

    def board(self, record: BoardRecord) -> None:
        """Show a board that is on record."""
        if not self._boards:
            return
        line = board_line(record)
        self._last.append((record.verdict.value, line))
        if not self._terminal.is_terminal:
            # Not through rich: laying out a line costs more than writing the board's record.
            self._terminal.file.write(f"{line}\n")
            self._terminal.file.flush()

    @contextmanager
    def over(self, figures: Figures) -> Iterator[None]:
        """Watch what runs inside the block."""
        if self._terminal.is_terminal:
            with Live(
                get_renderable=lambda: self.screen(*figures()),
                console=self._terminal,
                refresh_per_second=REFRESHES_PER_S,
                transient=True,
            ):
                yield
            return
        done = threading.Event()
        reporter = threading.Thread(target=self._report, args=(figures, done), name="status", daemon=True)
        reporter.start()
        try:
            yield
        finally:
            done.set()
            reporter.join()

    def screen(self, summary: RunSummary, shadow: ShadowReport | None) -> Group:
        """Lay out the one screen: counts, causes, latencies, the last boards."""
        manifest = self._bundle.manifest
        parts: list[RenderableType] = [
            Text(
                f"{manifest.name} ({manifest.backend} {manifest.precision})  {summary.wall_s:.0f} s  "
                f"{summary.joints_per_s:.0f} joints/s  {summary.in_flight} in flight"
            ),
            verdict_table(summary),
        ]
        parts += [Text.from_markup(line) for line in cause_lines(summary)]
        if summary.latency:
            parts.append(latency_table(summary))
        if shadow is not None:
            parts.append(Text.from_markup(shadow_line(shadow)))
        parts += [
            Text(line, COLOURS[verdict], overflow="ellipsis", no_wrap=True) for verdict, line in self._last
        ]
        return Group(*parts, Text("Ctrl-C ends the run", "dim"))

    def _report(self, figures: Figures, done: threading.Event) -> None:
        while not done.wait(self._status_s):
            sys.stderr.write(status_line(*figures()) + "\n")
            sys.stderr.flush()

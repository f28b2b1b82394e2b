"""A run while it runs: one screen on a terminal; elsewhere a line for each board, and status lines in JSON."""

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from sji_edge.cli.render.inference import (
    COLOURS,
    board_line,
    cause_lines,
    engine_lines,
    engine_name,
    latency_table,
    places_line,
    print_result,
    shadow_line,
    verdict_table,
)
from sji_edge.cli.run_output import RunOutput
from sji_edge.core.left_out import LeftOut, in_one_line
from sji_edge.core.protocols import BoardRecord
from sji_edge.core.text import amount, readable
from sji_edge.inspection.judging.places import Places
from sji_edge.inspection.observe.shadow import ShadowReport
from sji_edge.inspection.observe.status_formats import status_line
from sji_edge.inspection.observe.tally import RunSummary
from sji_edge.recipe.board import Recipe
from sji_edge.workflows.inspect.request import EngineFacts, RunListener, RunResult

if TYPE_CHECKING:
    from sji_edge.workflows.engines.golden_check import GoldenReplay

STATUS_S = 10.0
REFRESHES_PER_S = 2
LAST_BOARDS = 8

Figures = Callable[[], tuple[RunSummary, ShadowReport | None]]


class RunScreen(RunListener):
    """Shows a run in progress. Boards get a line each only if the run has a recipe: single joints are too many.

    Args:
        output: where to.
        on_begin: called when the loop starts.
        status_s: seconds between two status lines on standard error.
    """

    def __init__(
        self,
        output: RunOutput,
        *,
        on_begin: Callable[[], object] = lambda: None,
        status_s: float = STATUS_S,
    ) -> None:
        self._output = output
        self._on_begin = on_begin
        self._status_s = status_s
        self._engine: EngineFacts | None = None
        self._last: deque[tuple[str, str]] = deque(maxlen=LAST_BOARDS)
        self._stop_watching: Callable[[], None] = lambda: None

    def engine_opened(self, engine: EngineFacts) -> None:
        """Show the engine, why it was chosen, and what differs on this machine."""
        self._engine = engine
        for line in engine_lines(engine):
            self._output.console.print(line, markup=False)

    def stream_opened(self, left_out: tuple[LeftOut, ...]) -> None:
        """Print the files that the stream does not read."""
        if left_out:
            self._output.line(in_one_line(left_out))

    def places_learned(self, recipe: Recipe, places: Places | None) -> None:
        """Say whether joints are compared with enrolled boards."""
        self._output.line(readable(places_line(recipe, places)))

    def golden_replayed(self, replay: "GoldenReplay") -> None:
        """Say that the engine still decides as PyTorch did."""
        self._output.line(
            f"golden crops replayed: {amount(replay.flips, 'flip')} in {amount(replay.crops, 'crop')}, gate passed"
        )

    def metrics_served(self, url: str) -> None:
        """Say where the metrics are."""
        self._output.line(f"metrics: {url}")

    def warned(self, text: str) -> None:
        """Write a warning to standard error."""
        self._output.warn(text)

    def begun(self, figures: Figures) -> None:
        """Start the screen, or the thread that writes status lines."""
        self._on_begin()
        start = self._live if self._output.console.is_terminal else self._status_lines
        self._stop_watching = start(figures)

    def board(self, record: BoardRecord) -> None:
        """Show a board that is on record."""
        if not record.recipe_sha256:
            return
        line = board_line(record)
        self._last.append((record.verdict.value, line))
        if not self._output.console.is_terminal:
            self._output.line(line)

    def ended(self, result: RunResult) -> None:
        """Stop watching and print the closing tables, once the lines before them are written."""
        self._stop_watching()
        self._output.out.drain()
        print_result(self._output.console, result)

    def screen(self, summary: RunSummary, shadow: ShadowReport | None) -> Group:
        """Lay out the one screen: counts, causes, latencies, the last boards."""
        engine = "" if self._engine is None else readable(engine_name(self._engine))
        parts: list[RenderableType] = [
            Text(
                f"{engine}  {summary.wall_s:.0f} s  {summary.joints_per_s:.0f} joints/s  "
                f"{summary.in_flight} in flight"
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

    def _live(self, figures: Figures) -> Callable[[], None]:
        live = Live(
            get_renderable=lambda: self.screen(*figures()),
            console=self._output.console,
            refresh_per_second=REFRESHES_PER_S,
            transient=True,
        )
        live.start()
        return live.stop

    def _status_lines(self, figures: Figures) -> Callable[[], None]:
        done = threading.Event()

        def report() -> None:
            while not done.wait(self._status_s):
                self._output.err.write(status_line(*figures()) + "\n")

        reporter = threading.Thread(target=report, name="status", daemon=True)
        reporter.start()

        def stop() -> None:
            done.set()
            reporter.join()

        return stop

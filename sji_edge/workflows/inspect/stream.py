"""An open source with the judge that is warm for it, and what a run must know about it before it begins."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sji_edge.core.clock import Clock
from sji_edge.core.errors import GateError
from sji_edge.core.left_out import LeftOut, in_one_line
from sji_edge.core.protocols import FrameSource, OwnRecipe, Sink
from sji_edge.inspection.judging.judge import BoardJudge
from sji_edge.inspection.judging.layout import Layout
from sji_edge.inspection.loop import Inspection, OnWork
from sji_edge.inspection.outputs.disk_space import FreeSpace
from sji_edge.inspection.outputs.recorder import OnBoard
from sji_edge.inspection.settings import RunSettings
from sji_edge.recipe.board import Recipe
from sji_edge.streams.spec import left_out_of, runs_free


@dataclass(frozen=True)
class OpenStream:
    """A source and the judge that is warm for it; ``recipe`` is None where each image shows a single joint."""

    source: FrameSource
    judge: BoardJudge
    layout: Layout
    recipe: Recipe | None
    clock: Clock
    settings: RunSettings

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Files that the source finds but does not read as frames."""
        return left_out_of(self.source)

    def inspection(
        self,
        sinks: Sequence[Sink],
        *,
        stop: Callable[[], bool] = lambda: False,
        on_board: Sequence[OnBoard] = (),
        on_work: OnWork | None = None,
        space: FreeSpace | None = None,
        database: Path | None = None,
    ) -> Inspection:
        """Return the loop over this stream, ready to run; see ``Inspection`` for the arguments."""
        return Inspection(
            self.source,
            self.judge,
            sinks,
            self.clock,
            self.settings.loop(runs_free(self.source)),
            stop=stop,
            on_board=on_board,
            on_work=on_work,
            space=space,
            database=database,
            left_out=lambda: self.left_out,
        )


def require_complete(source: FrameSource, strict: bool) -> None:
    """Raise ``GateError`` if ``strict`` is set and the source leaves something out."""
    if strict and (left_out := left_out_of(source)):
        raise GateError(
            f"the stream is not read completely; {in_one_line(left_out)}",
            hint="move or convert these files, or switch off strict checking",
        )


def own_recipe(source: OwnRecipe) -> Recipe:
    """Read the recipe of the board that a source draws itself."""
    with tempfile.TemporaryDirectory() as place:
        source.write_recipe(Path(place) / "recipe")
        return Recipe.load(Path(place) / "recipe")


def run_name(utc: str) -> str:
    """Return a run's name from its start: ``20250131T080910.123456Z``."""
    return utc.replace("+00:00", "Z").replace("-", "").replace(":", "")

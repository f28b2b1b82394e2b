"""A source of generated boards: a line without hardware. ``streams`` registers it by name."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from pydantic import Field

from sji_edge.core.clock import Clock
from sji_edge.core.errors import SourceError
from sji_edge.core.files import new_folder
from sji_edge.core.options import Options, SizePx, read_options
from sji_edge.core.preprocess import Image
from sji_edge.core.protocols import Frame
from sji_edge.data.synthetic.boards import SyntheticBoards, write_recipe
from sji_edge.data.synthetic.codes import MatrixKind


class SyntheticOptions(Options):
    """Board type and pace.

    Without ``fps`` each frame shows a new board, drawn on demand. With ``fps``, ``boards`` different boards are drawn
    before the first frame and shown in turn, because drawing is slower than a camera. ``code`` prints each board's
    serial number on it, as ``data-matrix`` or ``qr``. ``panel`` (columns x rows) makes it a panel of units, of which
    ``skip_rate`` is the share that is marked to be skipped.
    """

    seed: int = Field(default=0, ge=0)
    joints: int = Field(default=100, ge=1, le=10_000)
    defect_rate: float = Field(default=0.1, ge=0, le=1)
    size: SizePx | None = None
    frames: int | None = Field(default=None, ge=1)
    fps: float | None = Field(default=None, gt=0, le=1000)
    boards: int = Field(default=8, ge=2, le=1000)
    code: MatrixKind | None = None
    panel: SizePx | None = None
    skip_rate: float = Field(default=0, ge=0, le=1)


class SyntheticStream:
    """Yields frames of one board type, endlessly or ``frames`` of them; knows that board's recipe.

    Args:
        options: see ``SyntheticOptions``.
        clock: stamps and paces the frames.
        wait: waits for some seconds and returns whether the source was closed meanwhile.

    Raises:
        UsageError: the joints do not fit the frame.
    """

    def __init__(
        self, options: SyntheticOptions, clock: Clock, wait: Callable[[float], bool] | None = None
    ) -> None:
        self._options = options
        self._clock = clock
        self._boards = SyntheticBoards(
            options.seed,
            options.joints,
            options.defect_rate,
            frame=options.size,
            faultless_every=0,
            code=options.code,
            panel=options.panel,
            skip_rate=options.skip_rate,
        )
        self._closed = threading.Event()
        self._wait = wait or self._closed.wait
        self.free_running = options.fps is not None
        self.stored = not self.free_running

    @classmethod
    def open(
        cls, target: str, options: dict[str, str], *, clock: Clock, colour: bool, skip: frozenset[Path]
    ) -> Self:
        """Make a board type; there is no target, frames are always grey, and ``skip`` does not apply.

        Raises:
            SourceError: a target was given.
            UsageError: an unknown option or a wrong value.
        """
        del colour, skip
        if target:
            raise SourceError(
                f"a synthetic stream has no name (got {target!r})",
                hint="for example 'synthetic://?defect-rate=0.1&fps=30&seed=0'",
            )
        return cls(read_options(SyntheticOptions, options, "a synthetic source"), clock)

    def write_recipe(self, folder: Path) -> None:
        """Make a folder with ``board.json``, ``joints.csv`` and ``golden.png``."""
        with new_folder(folder) as temporary:
            write_recipe(temporary, self._boards)

    def __iter__(self) -> Iterator[Frame]:
        """Yield grey frames, named after their board."""
        fps, limit = self._options.fps, self._options.frames
        drawn = self._draw_ahead() if fps else []
        due_ns = self._clock.monotonic_ns()
        index = 0
        while not self._closed.is_set() and (limit is None or index < limit):
            board = index % len(drawn) if drawn else index
            image = drawn[board] if drawn else self._boards.render(index).image
            if fps and self._late(due_ns):
                return
            if self._closed.is_set():
                return
            now_ns = self._clock.monotonic_ns()
            name = f"synthetic-{self._options.seed}-{board:04d}#{index:06d}"
            yield Frame(index, name, now_ns, image)
            index += 1
            if fps:
                # A consumer that was late does not get a burst afterwards.
                due_ns = max(due_ns, self._clock.monotonic_ns() - round(1e9 / fps)) + round(1e9 / fps)

    def _draw_ahead(self) -> list[Image]:
        wanted = min(self._options.boards, self._options.frames or self._options.boards)
        drawn: list[Image] = []
        while len(drawn) < wanted and not self._closed.is_set():
            drawn.append(self._boards.render(len(drawn)).image)
        return drawn

    def _late(self, due_ns: int) -> bool:
        """Wait until a frame is due; return True if the source was closed."""
        left_s = (due_ns - self._clock.monotonic_ns()) / 1e9
        return left_s > 0 and self._wait(left_s)

    def close(self) -> None:
        """End the iteration after the frame that is being drawn."""
        self._closed.set()

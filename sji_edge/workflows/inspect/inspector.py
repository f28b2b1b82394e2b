"""The inspector: an engine, a recipe and a judge that together turn frames into verdicts."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import count
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.clock import Clock, SystemClock
from sji_edge.core.errors import DataError, UsageError
from sji_edge.core.files import StrPath
from sji_edge.core.findings import parse_settings
from sji_edge.core.images.read import MAX_PIXELS
from sji_edge.core.protocols import BoardRecord, Engine, Frame, FrameSource, OwnRecipe, Sink
from sji_edge.inspection.judging.engine_watch import EngineWatch
from sji_edge.inspection.judging.frame_job import Deadlines, Model
from sji_edge.inspection.judging.judge import BoardJudge
from sji_edge.inspection.judging.layout import ImageLayout, Layout, RecipeLayout
from sji_edge.inspection.judging.places import Places
from sji_edge.inspection.judging.serials import BoardSerials, SerialSource
from sji_edge.inspection.observe.tally import RunSummary
from sji_edge.inspection.outputs.recorder import OnBoard
from sji_edge.inspection.settings import RunSettings
from sji_edge.recipe.board import Recipe
from sji_edge.runtime.bundle.bundle import Bundle, environment_changes, open_engine
from sji_edge.streams.spec import is_stored, open_source
from sji_edge.workflows.engines.open import ChosenBundle, choose_bundle
from sji_edge.workflows.inspect.places import known_places
from sji_edge.workflows.inspect.request import EngineFacts
from sji_edge.workflows.inspect.serials import board_serials, open_serial_source
from sji_edge.workflows.inspect.stream import OpenStream, own_recipe, require_complete, run_name

if TYPE_CHECKING:
    from sji_edge.workflows.engines.golden_check import GoldenReplay

FRAMES_DECODED = 4
"""A file with more pixels than this number of frames is refused before it is decoded; a smaller one is `wrong-size`."""


class Inspector:
    """Judges single frames, or all frames of a stream. Use it as a context manager, or call ``close``.

    One thread at a time may use it, for one thing at a time.

    Args:
        engine: engine folder; None for the newest released engine in ``engines`` that can run here. Or an engine
            that is already chosen and verified.
        recipe: recipe folder, or a loaded recipe. Without one, each frame shows a single joint, unless the source
            of a run knows its own board.
        engines: folder that holds all engines.
        threads: CPU threads of the engine; 0 lets the backend choose.
        require_signature: public key (PEM) that must have signed the engine; None accepts an unsigned one.
        clock: for captures, latencies and records; None for the machine's own.
        bit_depth: bits that the samples of 16-bit images use, 9 to 16; None: all 16, and images that leave the upper
            ones unused are refused. For image files and the golden image.

    Raises:
        UsageError: no engine is released, the recipe cannot be used, or the bit depth is wrong.
        BundleError: the engine is altered, not signed by that key, or cannot run here.
        GateError: the engine failed its parity gate.
        RecipeError: a signature is required, and the recipe has limits looser than the signed engine's.

    Example:
        >>> with Inspector("engines/amplifier", recipe="boards/amplifier") as inspector:
        ...     board = inspector.judge(frame)
    """

    def __init__(
        self,
        engine: StrPath | ChosenBundle | None = None,
        *,
        recipe: StrPath | Recipe | None = None,
        engines: StrPath = "engines",
        threads: int = 0,
        require_signature: StrPath | None = None,
        clock: Clock | None = None,
        bit_depth: int | None = None,
    ) -> None:
        if bit_depth is not None and not 9 <= bit_depth <= 16:
            raise UsageError(f"the bit depth must be 9 to 16 (got {bit_depth})")
        chosen = engine
        if not isinstance(chosen, ChosenBundle):
            chosen = choose_bundle(
                None if chosen is None else Path(chosen),
                engines=Path(engines),
                require_signature=None if require_signature is None else Path(require_signature),
            )
        self._chosen, self._bundle = chosen, chosen.bundle
        self._facts = _facts(chosen)
        loaded = Recipe.load(Path(recipe), bit_depth) if isinstance(recipe, str | PathLike) else recipe
        self._judge_with(open_engine(self._bundle, threads), loaded, clock or SystemClock(), bit_depth)

    def _judge_with(
        self, engine: Engine, recipe: Recipe | None, clock: Clock, bit_depth: int | None = None
    ) -> None:
        self._bit_depth = bit_depth
        self._engine, self._recipe, self._clock = engine, recipe, clock
        self._numbers = count()
        self._single: BoardJudge | None = None
        self._watch = EngineWatch(engine, clock)
        self._places: dict[str, Places] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the engine, or leave that to a call that is still running; a second call does nothing."""
        self._watch.close()

    @property
    def engine(self) -> EngineFacts:
        """The engine that judges, and why it was chosen."""
        return self._facts

    @property
    def bundle(self) -> Bundle:
        """The verified engine bundle."""
        return self._bundle

    @property
    def gives_features(self) -> bool:
        """Whether the engine describes joints, so that they can be compared with enrolled boards."""
        return self._engine.spec.features > 0

    def judge(self, frame: NDArray[np.uint8], *, name: str = "") -> BoardRecord:
        """Judge one frame. What prevents a verdict becomes an ERROR record with its cause, not an exception.

        Args:
            frame: uint8, grey ``(height, width)`` or BGR ``(height, width, 3)``; not modified.
            name: the frame's name in the record; by default a number.

        Returns:
            The board's verdict and cause, and score and verdict of each joint; ``latency_ns`` by stage.

        Raises:
            DataError: the frame has another dtype or shape.
        """
        pixels = _checked(frame)
        if self._single is None:
            # The same picture may be judged twice; only a camera that repeats itself is a fault.
            self._single = self._warm_judge(
                self._layout(self._recipe),
                self._recipe,
                run_name(self._clock.utc()),
                live=False,
                serials=board_serials(self._recipe, None, self._clock),
            )
        number = next(self._numbers)
        shown = Frame(number, name or f"frame#{number:06d}", self._clock.monotonic_ns(), pixels)
        return self._single.judge(shown).record

    def run(
        self,
        source: StrPath | FrameSource,
        *,
        sinks: Sequence[Sink] = (),
        policy: str | None = None,
        max_frames: int | None = None,
        max_age_ms: float | None = None,
        takt_ms: float | None = None,
        stop_on: int = 0,
        low_latency: bool = False,
        strict: bool = False,
        serial_from: str = "",
        on_board: Callable[[BoardRecord], object] | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> RunSummary:
        """Judge a stream until it ends.

        Args:
            source: what ``--stream`` takes, such as ``"camera0"`` or ``"frames/"``, or a source; a source that is
                passed in is not closed.
            sinks: receive every record, in this order; they are not closed.
            policy: ``every`` judges each frame, ``latest`` drops queued frames when a newer one arrives; None takes
                ``latest`` for a free-running camera and ``every`` for everything else.
            max_frames: stop after this number of frames.
            max_age_ms: a frame older than this when its processing starts is ERROR.
            takt_ms: a verdict later than this after the capture is ERROR.
            stop_on: stop when one joint fails on this number of boards in a row; 0 for never.
            low_latency: process one frame at a time, without handing it from thread to thread.
            strict: refuse a source that leaves something out, such as files of other formats or sub-folders; without
                it, the summary's ``left_out`` says what was left out.
            serial_from: ``name:PATTERN`` or ``scanner:PATH``: where serial numbers come from instead of the code on the
                board.
            on_board: called with every board that is on record; it must not wait.
            stop: polled throughout the run; once it returns True, the run ends when the frames in flight are on record.

        Returns:
            Counts by verdict and cause, and latencies by stage.

        Raises:
            UsageError: a setting or the source's name is wrong.
            SourceError: the source cannot be opened, was lost, or gave no frame.
            OutputError: a sink failed.
            GateError: ``stop_on`` was reached, no joint got a verdict, or ``strict`` is set and something is left out.
        """
        settings = parse_settings(
            RunSettings,
            {
                "policy": policy,
                "max_frames": max_frames,
                "max_age_ms": max_age_ms,
                "takt_ms": takt_ms,
                "stop_on": stop_on,
                "low_latency": low_latency,
                "strict": strict,
            },
        )
        with self.open_stream(source, settings, serial_from=serial_from) as stream:
            call: list[OnBoard] = []
            if on_board is not None:
                call.append(lambda _, judgement: on_board(judgement.record))
            summary = stream.inspection(sinks, stop=stop, on_board=call).run()
            require_complete(stream.source, settings.strict)
            return summary

    @contextmanager
    def open_stream(
        self,
        source: StrPath | FrameSource,
        settings: RunSettings,
        *,
        run: str = "",
        ignore_existing: bool = False,
        serial_from: str = "",
    ) -> Iterator[OpenStream]:
        """Open a source and warm up a judge for it; closes the source that it opened.

        Args:
            source: what ``--stream`` takes, or a source.
            settings: how the loop will treat its frames.
            run: name of the run, with which every board's name begins; empty takes the time.
            ignore_existing: skip the files that a watched folder already holds.
            serial_from: ``name:PATTERN`` or ``scanner:PATH``: where serial numbers come from instead of the code on the
                board.

        Raises:
            UsageError: ``serial_from`` is neither of the two.
            GateError: the settings are strict, and the source leaves something out.
        """
        with ExitStack() as stack:
            outside = None
            if serial_from:
                outside = stack.enter_context(closing(open_serial_source(serial_from, self._clock)))
            if isinstance(source, str | PathLike):
                source = stack.enter_context(closing(self._open(fspath(source), ignore_existing)))
            yield self._stream(source, settings, run, outside)

    def _open(self, source: str, ignore_existing: bool) -> FrameSource:
        skip = [self._recipe.golden_path] if self._recipe else []
        return open_source(
            source,
            self._clock,
            skip=skip,
            ignore_existing=ignore_existing,
            bit_depth=self._bit_depth,
            max_pixels=self._max_pixels(),
        )

    def plain_judge(self, recipe: Recipe) -> BoardJudge:
        """Return a warm judge for stored images that compares no joint with enrolled boards."""
        layout = RecipeLayout(recipe, self._bundle.preprocess, self._bundle.thresholds)
        return self._warm_judge(layout, recipe, "enrolled", live=False, on_device=False)

    def beside(self, recipe: Recipe | None) -> BoardJudge:
        """Return a warm judge for boards that another engine judges as well, with their frames cut by the host."""
        return self._warm_judge(self._layout(recipe), recipe, "beside", live=False, on_device=False)

    def replay_golden(self, judge: BoardJudge) -> "GoldenReplay":
        """Check the engine against its golden crops, in batches of the size that ``judge`` uses.

        Raises:
            GateError: the engine fails its gate.
        """
        # A run without this check starts sooner without its imports.
        from sji_edge.workflows.engines.golden_check import replay_golden

        return replay_golden(self._bundle, self._engine, batch=min(judge.joints, judge.max_batch))

    def model(self) -> Model:
        """What a judge must know about the engine's model."""
        card = self._bundle.card
        return Model(card.classes, card.good_index, self._bundle.preprocess, self._bundle.engine_sha256)

    def reference_layout(self, recipe: Recipe | None) -> Layout:
        """The joints with the thresholds of the reference graph instead of the engine's."""
        return self._layout(recipe, reference=True)

    def _stream(
        self, source: FrameSource, settings: RunSettings, run: str, outside: SerialSource | None
    ) -> OpenStream:
        require_complete(source, settings.strict)
        recipe = self._recipe
        if recipe is None and isinstance(source, OwnRecipe):
            recipe = own_recipe(source)
        layout = self._layout(recipe)
        judge = self._warm_judge(
            layout,
            recipe,
            run or run_name(self._clock.utc()),
            deadlines=settings.deadlines(is_stored(source)),
            live=not is_stored(source),
            alone=settings.low_latency,
            # The shadow judges the same crops again, so they must be cut where it can read them.
            on_device=settings.shadow is None,
            serials=board_serials(recipe, outside, self._clock),
        )
        return OpenStream(source, judge, layout, recipe, self._clock, settings)

    def _max_pixels(self) -> int | None:
        """Return the size limit of an image file; None for the general one."""
        if self._recipe is None:
            return None
        width, height = self._recipe.board.frame
        return min(FRAMES_DECODED * width * height, MAX_PIXELS)

    def _warm_judge(
        self,
        layout: Layout,
        recipe: Recipe | None,
        run: str,
        *,
        deadlines: Deadlines | None = None,
        live: bool,
        alone: bool = True,
        on_device: bool = True,
        serials: BoardSerials | None = None,
    ) -> BoardJudge:
        # Without a recipe the engine would get one joint at a time, and another size of frame for each.
        on_device = on_device and recipe is not None
        judge = BoardJudge(
            self._engine,
            self.model(),
            layout,
            self._clock,
            run,
            deadlines=deadlines,
            on_device=on_device,
            live=live,
            watch=self._watch,
            serials=serials,
        )
        golden = None if recipe is None else recipe.golden
        judge.warm_up([] if golden is None else [golden], alone=alone)
        return judge

    def _layout(self, recipe: Recipe | None, *, reference: bool = False) -> Layout:
        bundle = self._bundle
        thresholds = bundle.manifest.reference_thresholds if reference else bundle.thresholds
        if recipe is None:
            return ImageLayout(bundle.preprocess, thresholds)
        self._chosen.check_recipe(recipe)
        places = None if reference else self.places(recipe)
        return RecipeLayout(recipe, bundle.preprocess, thresholds, places)

    def places(self, recipe: Recipe) -> Places | None:
        """Learn what is usual at each joint's place from the recipe's enrolled boards; done once for each recipe.

        Returns:
            None without enrolled boards, or if the engine gives no features.

        Raises:
            RecipeError: an enrolled board cannot be read or aligned.
        """
        if recipe.enrolled is None or not self._engine.spec.features:
            return None
        if recipe.sha256 not in self._places:
            self._places[recipe.sha256] = known_places(
                lambda: self.plain_judge(recipe), recipe, self._bundle.engine_sha256, self._clock
            )
        return self._places[recipe.sha256]


def _facts(chosen: ChosenBundle) -> EngineFacts:
    bundle, manifest = chosen.bundle, chosen.bundle.manifest
    return EngineFacts(
        name=manifest.name,
        backend=manifest.backend,
        precision=manifest.precision,
        sha256=bundle.engine_sha256,
        thresholds=bundle.thresholds,
        why=chosen.why,
        changes=tuple(environment_changes(bundle)),
    )


def _checked(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if frame.dtype != np.uint8 or not (frame.ndim == 2 or (frame.ndim == 3 and frame.shape[2] == 3)):
        raise DataError(
            f"the frame is {frame.dtype} {frame.shape}; it must be uint8, (height, width) or (height, width, 3) in BGR"
        )
    return np.ascontiguousarray(frame)

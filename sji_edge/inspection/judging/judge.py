"""Judges a frame: checks it, locates and cuts its joints, runs the engine, and decides."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from sji_edge.core.clock import Clock
from sji_edge.core.errors import EngineInputError, EnvironmentMismatchError, SjiError
from sji_edge.core.preprocess import Image, crops_of_frame
from sji_edge.core.protocols import Engine, Frame, NotingEngine
from sji_edge.inspection.faults import Cause, Fault
from sji_edge.inspection.judging.board_records import RecordMaker
from sji_edge.inspection.judging.engine_path import EnginePath
from sji_edge.inspection.judging.engine_watch import EngineWatch
from sji_edge.inspection.judging.frame_job import Deadlines, Judgement, Model, Stopwatch, Work
from sji_edge.inspection.judging.layout import Layout, Placement, unit_maps
from sji_edge.inspection.judging.serials import BoardSerials

MAX_SPAN = 32


class BoardJudge:
    """Judges frames in three steps, each of which may run in its own thread: ``prepare``, ``infer``, ``decide``.

    ``start`` and ``finish`` are the two halves of ``infer``, for an engine that works ahead.

    Args:
        engine: takes the model's crops; after ``warm_up`` only the second step uses it.
        model: the meaning of the logits.
        layout: the joints of a frame.
        clock: for latencies and records.
        run: prefix of every board's name, so that no two runs share a name.
        deadlines: time limits.
        on_device: let an engine that can do so cut the joints itself; the host then has no crops.
        live: the frames come from a camera, which never takes the same image twice; stored images may be equal.
        watch: surrounds the engine's calls. Pass the one through which the engine will be closed.
        serials: finds the boards' serial numbers; None: nobody asks for them.

    Raises:
        EngineInputError: the engine's crops or classes differ from the model's.
    """

    def __init__(
        self,
        engine: Engine,
        model: Model,
        layout: Layout,
        clock: Clock,
        run: str,
        *,
        deadlines: Deadlines | None = None,
        on_device: bool = False,
        live: bool = True,
        watch: EngineWatch | None = None,
        serials: BoardSerials | None = None,
    ) -> None:
        spec = engine.spec
        if spec.crop_shape != model.preprocess.shape or spec.classes != len(model.classes):
            raise EngineInputError(
                f"the engine takes {spec.crop_shape} crops and gives {spec.classes} classes, "
                f"its card says {model.preprocess.shape} and {len(model.classes)}",
                hint="rebuild the engine",
            )
        if layout.limits.novelty is not None and not spec.guarded:
            raise EngineInputError(
                "the bundle has a limit for the guard's novelty, but its engine has no guard",
                hint="build the engine again with sji-edge build-engine",
            )
        if layout.places is not None and not spec.features:
            raise EngineInputError(
                "the recipe has enrolled boards, but the engine gives no features to compare joints by",
                hint="train with a guard, and build the engine again",
            )
        self._engine = engine
        self._model = model
        self._layout = layout
        self._checks = layout.checks(live=live)
        self._joint_checks = layout.joint_checks()
        self._clock = clock
        self._serials = serials
        self._records = RecordMaker(
            model,
            layout,
            clock,
            run,
            holds_back=serials is not None and serials.holds_back,
            stops=serials is not None and serials.stops,
        )
        self._deadlines = deadlines or Deadlines()
        self.own_buffer = self.new_buffer()
        self._watch = watch or EngineWatch(engine, clock)
        self._path = EnginePath(engine, on_device=on_device and self.joints <= spec.max_batch)

    @property
    def joints(self) -> int:
        """Number of joints of every frame."""
        return len(self._layout.limits.lower)

    @property
    def max_batch(self) -> int:
        """Maximum number of crops in one call of the engine."""
        return self._engine.spec.max_batch

    @property
    def span(self) -> int:
        """Maximum number of queued frames whose joints go to the engine together, in one batch."""
        return min(MAX_SPAN, max(1, self.max_batch // max(1, self.joints)))

    @property
    def depth(self) -> int:
        """Number of ``start`` calls that may be ahead of ``finish``.

        It is 1 if a takt counts the work alone: with two frames in the engine, neither's own time is known.
        """
        alone = self._deadlines.takt_ns is not None and not self._deadlines.waits
        return 1 if alone else self._path.depth

    @property
    def notes(self) -> tuple[str, ...]:
        """What makes the engine slower than it could be, as far as the calls until now have shown it."""
        return self._engine.notes if isinstance(self._engine, NotingEngine) else ()

    def new_buffer(self) -> Image:
        """Return a buffer for the crops of one frame, to be reused."""
        return np.zeros((self.joints, *self._engine.spec.crop_shape), np.uint8)

    def warm_up(self, frames: Sequence[Image] = (), *, alone: bool = False) -> None:
        """Run everything once, so that the first board is not the slowest.

        Args:
            frames: images to align and cut once, such as the recipe's golden image; the results are discarded. An
                engine that cuts must cut them as the host does; without any, it is given noise.
            alone: each frame goes to the engine by itself, as with ``low_latency``.

        Raises:
            EnvironmentMismatchError: the engine did not answer in time, or cuts differently from the host.
        """
        if alone:
            self._path.one_at_a_time()
        whole, rest = divmod(self.joints, self.max_batch)
        # An engine that cuts gets one frame at a time.
        together = 0 if whole or alone or self._path.on_device else self.span * self.joints
        sizes = {self.max_batch if whole else 0, rest, together} - {0}
        limit_ns = self._deadlines.warm_up_ns
        self._watch.run(lambda: self._engine.prepare(sizes), limit_ns)
        for start in range(0, self.joints, self.max_batch):
            crops = self.own_buffer[start : start + self.max_batch]
            self._watch.run(partial(_infer, self._engine, crops), limit_ns)
        placed = [(pixels, self._layout.place(pixels)) for pixels in frames]
        shown = [(pixels, place) for pixels, place in placed if isinstance(place, Placement)]
        rehearsal = None if shown or not self._path.on_device else self._layout.rehearsal()
        for pixels, placement in [*shown, *([] if rehearsal is None else [rehearsal])]:
            if self._path.on_device:
                self._watch.run(partial(self._path.warm_up, pixels, placement), limit_ns)
            else:
                self._cut(pixels, placement, self.own_buffer)

    def judge(self, frame: Frame, acquire_ns: int = 0) -> Judgement:
        """Judge one frame. Whatever prevents a verdict becomes an ERROR record, never an exception.

        Args:
            frame: a frame of the source.
            acquire_ns: time spent waiting for it.
        """
        work = self.prepare(frame, self.own_buffer, acquire_ns, ahead=True)
        self.infer([work])
        return self.decide(work)

    def prepare(self, frame: Frame, buffer: Image, acquire_ns: int = 0, *, ahead: bool = False) -> Work:
        """Check a frame, locate its joints, cut them into ``buffer``, and check that each can be seen.

        Args:
            frame: a frame of the source.
            buffer: of ``new_buffer``; in use until the frame is decided.
            acquire_ns: time spent waiting for the frame.
            ahead: let an engine that cuts copy the frame meanwhile. Only where this thread is the one that will submit
                the frame, and the next one.
        """
        watch = Stopwatch(self._clock, frame.captured_ns, acquire_ns)
        work = Work(frame, watch, buffer, buffer[:0])
        if ahead and frame.pixels is not None:
            work.ticket = self._begun(frame.pixels)
        self._prepare(work, buffer)
        if work.fault is not None:
            self._give_up(work)
        return work

    def _prepare(self, work: Work, buffer: Image) -> None:
        frame, watch = work.frame, work.watch
        if self._serials is not None:
            work.serial = self._serials.of_frame(frame)
        work.fault = self._checks.fault(frame) or self._age_fault(work)
        watch.lap("check")
        if work.fault is not None or frame.pixels is None:
            return
        placement = self._layout.place(frame.pixels)
        watch.lap("align")
        if self._serials is not None and self._serials.reads:
            aligned = placement.alignment if isinstance(placement, Placement) else None
            work.serial = self._serials.on_board(frame.pixels, aligned)
            watch.lap("code")
        if isinstance(placement, Fault):
            work.fault = placement
            return
        work.placement = placement
        work.fault = None if self._serials is None else self._serials.fault(work.serial)
        if work.fault is not None:
            return
        if self._serials is not None and self._serials.reads_units:
            skipped = None if placement.skips is None else placement.skips.skipped
            work.unit_serials = self._serials.on_units(
                frame.pixels, unit_maps(self._layout, placement), skipped
            )
            watch.lap("code")
        if self._path.on_device:
            maps = placement.maps[placement.inside]
            work.hidden = self._joint_checks.in_frame(frame.pixels, maps, placement.inside)
            watch.lap("check")
        else:
            work.crops = self._cut(frame.pixels, placement, buffer)
            work.hidden = self._joint_checks.in_crops(work.crops, placement.inside)
            watch.lap("crop")

    def _begun(self, pixels: Image) -> int | None:
        """Begin a frame early; where the engine fails at that, it fails again when it is asked."""
        if not self._path.on_device:
            return None
        try:
            with self._watch:
                return self._path.begin(pixels)
        except SjiError:
            return None

    def _give_up(self, work: Work) -> None:
        ticket, work.ticket = work.ticket, None
        if ticket is not None:
            with self._watch:
                self._path.drop(ticket)

    def infer(self, works: Sequence[Work]) -> None:
        """Run the engine on the crops of some frames, in one batch if they fit."""
        self.start(works)
        self.finish(works)

    def start(self, works: Sequence[Work]) -> None:
        """Submit some frames to the engine. Call ``finish`` in the same order."""
        for work in works:
            work.watch.begin()
            if work.fault is None:
                work.fault = self._age_fault(work)
                if work.fault is not None:
                    self._give_up(work)
        self._ask(self._path.submit, works)

    def finish(self, works: Sequence[Work]) -> None:
        """Wait until frames that were started have their logits or a fault."""
        self._ask(self._path.answer, works)

    def _ask(self, engine: Callable[[Sequence[Work]], None], works: Sequence[Work]) -> None:
        able = [work for work in works if work.fault is None]
        try:
            with self._watch:
                engine(able)
        except Exception as error:  # noqa: BLE001 - whatever the engine raises, the board is on record as ERROR
            found = error.message if isinstance(error, SjiError) else f"{type(error).__name__}: {error}"
            for work in (work for work in able if work.logits is None):
                work.watch.lap("infer")
                work.fault, work.failure = Fault(Cause.ENGINE, found), error

    def decide(self, work: Work) -> Judgement:
        """Turn logits into a record. A verdict that comes after the takt is ERROR."""
        work.watch.begin()
        if work.fault is not None or work.placement is None or work.hidden is None or work.logits is None:
            return self._records.error(work, work.fault or Fault(Cause.ENGINE, "the engine gave no answer"))
        judgement = self._records.judged(work, work.placement, work.hidden, work.logits)
        late = self._over(work, self._deadlines.takt_ns, Cause.LATE)
        return self._records.error(work, late) if late else judgement

    def stalled(self) -> EnvironmentMismatchError | None:
        """Return the error that ends the run if an engine call does not return; see ``EngineWatch.stalled``."""
        return self._watch.stalled(self._deadlines.engine_ns)

    def given_up(self, frame: Frame, error: EnvironmentMismatchError) -> Judgement:
        """Return the ERROR judgement of a frame that waits for a stalled engine."""
        work = Work(frame, Stopwatch(self._clock, frame.captured_ns), self.own_buffer, self.own_buffer[:0])
        return self._records.error(work, Fault(Cause.STALLED, error.message))

    def _cut(self, pixels: Image, placement: Placement, buffer: Image) -> Image:
        maps = placement.maps if placement.inside.all() else placement.maps[placement.inside]
        crops: Image = buffer[: len(maps)]
        crops_of_frame(pixels, maps, crops)
        return crops

    def _age_fault(self, work: Work) -> Fault | None:
        return self._over(work, self._deadlines.max_age_ns, Cause.TOO_OLD)

    def _over(self, work: Work, limit_ns: int | None, cause: Cause) -> Fault | None:
        if limit_ns is None:
            return None
        waits, waited_ns = self._deadlines.waits, work.watch.stages["wait"]
        age_ns = work.watch.age_ns() - (0 if waits else waited_ns)
        if age_ns <= limit_ns:
            return None
        since = f"since capture ({waited_ns / 1e6:.1f} ms queued)" if waits else "of work"
        return Fault(cause, f"{age_ns / 1e6:.1f} ms {since}, limit {limit_ns / 1e6:g} ms")


def _infer(engine: Engine, crops: Image) -> None:
    engine.infer(crops)

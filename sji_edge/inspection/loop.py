"""The run: frames in, board records out, every frame accounted for."""

from collections.abc import Callable, Sequence

from sji_edge.core.clock import Clock
from sji_edge.core.errors import OutputError, SourceError
from sji_edge.core.protocols import Frame, FrameSource, Sink
from sji_edge.inspection.judge import BoardJudge, Judgement
from sji_edge.inspection.tally import RunSummary, Tally

OnBoard = Callable[[Frame, Judgement], None]


class Inspection:
    """Judges every frame of a source in turn. The caller opens and closes source, engine and sinks.

    Args:
        source: gives the frames.
        judge: makes a record of each.
        sinks: take each record, in this order: the durable one first, so that what a later one shows is kept.
        clock: for latencies.
        max_frames: stop after so many; None for no limit.
        stop: asked before each frame; True ends the run with the frames so far on record.
        on_board: called after a board is on record.
    """

    def __init__(
        self,
        source: FrameSource,
        judge: BoardJudge,
        sinks: Sequence[Sink],
        clock: Clock,
        *,
        max_frames: int | None = None,
        stop: Callable[[], bool] = lambda: False,
        on_board: OnBoard | None = None,
    ) -> None:
        self._source = source
        self._judge = judge
        self._sinks = sinks
        self._clock = clock
        self._max_frames = max_frames
        self._stop = stop
        self._on_board = on_board
        self._tally = Tally()
        self._started_ns = clock.monotonic_ns()
        self._ended_ns = self._started_ns

    def run(self) -> RunSummary:
        """Judge until the source ends, ``max_frames`` is reached, or ``stop`` says so.

        Raises:
            SourceError: the source was lost, or gave no frame at all.
            OutputError: a sink failed; the board in flight is counted as not recorded.
            Exception: what the engine raised; the board in flight is on record as ERROR.
        """
        self._started_ns = self._clock.monotonic_ns()
        try:
            self._judge_all()
        finally:
            self._ended_ns = self._clock.monotonic_ns()
        if not self._tally.captured and not self._stop():
            raise SourceError("the stream ended without a frame, so nothing was judged")
        return self.summary()

    def summary(self) -> RunSummary:
        """Return what was counted so far; after an exception too."""
        return self._tally.summary((self._ended_ns - self._started_ns) / 1e9)

    def _judge_all(self) -> None:
        frames = iter(self._source)
        while not self._stop() and (self._max_frames is None or self._tally.captured < self._max_frames):
            asked_ns = self._clock.monotonic_ns()
            frame = next(frames, None)
            if frame is None:
                return
            judgement = self._judge.judge(frame, self._clock.monotonic_ns() - asked_ns)
            self._record(frame, judgement)
            if self._on_board is not None:
                self._on_board(frame, judgement)
            if judgement.failure is not None:
                raise judgement.failure

    def _record(self, frame: Frame, judgement: Judgement) -> None:
        begun_ns = self._clock.monotonic_ns()
        try:
            for sink in self._sinks:
                sink.write(judgement.record)
        except OutputError:
            self._tally.add_unrecorded()
            raise
        done_ns = self._clock.monotonic_ns()
        self._tally.add(judgement, done_ns - begun_ns, done_ns - frame.captured_ns)

"""Runs an inspection: takes frames from a source, records boards, and accounts for every frame.

The stages run in their own threads, connected by bounded channels: acquire → prepare (align and crop) → infer →
decide → record. Only the infer stage calls the engine; recording happens in the caller's thread. With
``low_latency`` a single thread prepares, infers and decides, which saves the time to hand frames over.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sji_edge.core.clock import Clock
from sji_edge.core.errors import EnvironmentMismatchError, GateError, OutputError, SourceError
from sji_edge.core.left_out import LeftOut
from sji_edge.core.preprocess import Image
from sji_edge.core.protocols import Frame, FrameSource, Sink
from sji_edge.inspection.channel import Channel
from sji_edge.inspection.faults import Cause, Fault
from sji_edge.inspection.judging.frame_job import Judgement, Work
from sji_edge.inspection.judging.judge import BoardJudge
from sji_edge.inspection.observe.alarm import ProcessAlarm
from sji_edge.inspection.observe.empty_run import nothing_judged
from sji_edge.inspection.observe.tally import RunSummary, Tally
from sji_edge.inspection.outputs.disk_space import FreeSpace
from sji_edge.inspection.outputs.recorder import OnBoard, Recorder
from sji_edge.inspection.tuning import opencv_in_one_thread, short_pauses

OnWork = Callable[[Work], None]
Captured = tuple[Frame, int]
"""A frame, and the nanoseconds spent waiting for it."""

POLL_S = 0.1
JOIN_S = 1.0


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How the loop treats frames.

    Attributes:
        policy: ``every`` makes the source wait for room; ``latest`` drops the oldest queued frame for a new one.
        queue: maximum number of queued frames.
        low_latency: process one frame at a time in a single thread.
        max_frames: stop after this number of frames; None for no limit.
        stop_on: stop when a joint fails on this number of boards in a row; 0 for never.
    """

    policy: Literal["every", "latest"] = "every"
    queue: int = 4
    low_latency: bool = False
    max_frames: int | None = None
    stop_on: int = 0


class Inspection:
    """Judges the frames of a source. The caller opens and closes source, engine and sinks.

    Args:
        source: yields the frames.
        judge: makes a record of each frame.
        sinks: receive each record in this order. Put the durable one first: whatever a later one shows is then kept.
        clock: for latencies.
        settings: policy and bounds.
        stop: polled throughout the run; once it returns True, the run ends when the frames in flight are on record.
        on_board: each is called in this order, in the caller's thread, after a board is on record. One that raises an
            ``OutputError`` ends the run and is not called again.
        space: ends the run before the disk is full, with the boards in flight on record.
        on_work: called by the infer stage after the engine has judged a frame; it must not wait.
        database: the file in which one of the sinks records boards, for messages that say where to look them up.
        left_out: returns what the source does not read; called at the start and at the end of the run.
    """

    def __init__(
        self,
        source: FrameSource,
        judge: BoardJudge,
        sinks: Sequence[Sink],
        clock: Clock,
        settings: LoopSettings | None = None,
        *,
        stop: Callable[[], bool] = lambda: False,
        on_board: Sequence[OnBoard] = (),
        on_work: OnWork | None = None,
        space: FreeSpace | None = None,
        database: Path | None = None,
        left_out: Callable[[], tuple[LeftOut, ...]] = tuple,
    ) -> None:
        self._settings = settings or LoopSettings()
        self._source = source
        self._judge = judge
        self._clock = clock
        self._stop_asked = stop
        self._on_work = on_work
        self._find_left_out = left_out
        self._left_out: tuple[LeftOut, ...] = ()
        self._tally = Tally()
        alarm = ProcessAlarm(self._settings.stop_on, database)
        self._recorder = Recorder(sinks, self._tally, clock, alarm, on_board, space)
        self._in_flight: dict[int, Frame] = {}
        self._at_source = False
        self._ending = self._alarmed = False
        self._error: BaseException | None = None
        self._broken: Fault | None = None
        self._started_ns = self._ended_ns = clock.monotonic_ns()
        self._span = 1 if self._settings.low_latency else judge.span
        self._frames: Channel[Captured] = Channel(self._settings.queue)
        self._prepared: Channel[Work] = Channel(max(2, self._span))
        self._inferred: Channel[Work] = Channel(max(2, self._span))
        self._judged: Channel[tuple[Frame, Judgement]] = Channel(max(2, self._span))
        self._buffers: Channel[Image] = Channel((judge.depth + 1) * self._span)

    def run(self) -> RunSummary:
        """Judge until the source ends, ``max_frames`` is reached, or ``stop`` returns True.

        Raises:
            SourceError: the source was lost, or yielded no frame.
            OutputError: a sink failed, and the boards in flight are counted as not recorded; or the disk is
                nearly full, and they are on record.
            GateError: a joint failed on ``stop_on`` boards in a row, and queued frames are counted but not judged; or
                no joint got a verdict.
            EnvironmentMismatchError: an engine call did not return in time. The boards in flight are on record as
                ERROR. The call may still be running, so close the engine through the judge's ``EngineWatch``.
            Exception: raised by the engine; the boards in flight are on record as ERROR.
        """
        with short_pauses(alert=self._settings.low_latency), opencv_in_one_thread():
            left = self._run_stages()
        if self._error is not None:
            raise self._error
        if not left.captured and not self._stop():
            raise SourceError("the stream ended without a frame, so nothing was judged")
        summary = self.summary()
        if not self._stop_asked() and (empty := nothing_judged(summary)) is not None:
            raise empty
        return summary

    def _run_stages(self) -> RunSummary:
        """Run to the end; return the counts before the frames that nobody will record are added."""
        self._left_out = self._find_left_out()
        self._started_ns = self._clock.monotonic_ns()
        stages = self._start()
        try:
            self._record_all()
        except BaseException:
            self._abort()
            raise
        finally:
            for stage in stages:
                stage.join(JOIN_S)
            self._ended_ns = self._clock.monotonic_ns()
            self._left_out = self._find_left_out()
            left = self.summary()
            self._tally.add_unrecorded(Cause.ABANDONED, left.in_flight)
        return left

    def summary(self) -> RunSummary:
        """Return the counts so far. Any thread may call it, also after an exception."""
        ended = self._ended_ns if self._ended_ns > self._started_ns else self._clock.monotonic_ns()
        return replace(self._tally.summary((ended - self._started_ns) / 1e9), left_out=self._left_out)

    def _stop(self) -> bool:
        return self._ending or self._stop_asked()

    def _start(self) -> list[threading.Thread]:
        if self._settings.low_latency:
            stages = [self._acquire, self._judge_each]
        else:
            for _ in range((self._judge.depth + 1) * self._span):
                self._buffers.put(self._judge.new_buffer())
            stages = [self._acquire, self._prepare, self._infer, self._decide]
        threads = [
            threading.Thread(target=self._guarded, args=(stage,), name=stage.__name__.strip("_"), daemon=True)
            for stage in stages
        ]
        for thread in threads:
            thread.start()
        return threads

    def _guarded(self, stage: Callable[[], None]) -> None:
        try:
            stage()
        except BaseException as error:  # noqa: BLE001 - raised again by the caller's thread
            self._error = self._error or error
            self._abort()

    def _abort(self) -> None:
        for channel in (self._frames, self._prepared, self._inferred, self._judged, self._buffers):
            channel.abort()

    def _acquire(self) -> None:
        limit, captured = self._settings.max_frames, 0
        try:
            frames = iter(self._source)
            while not self._stop() and (limit is None or captured < limit):
                asked_ns = self._clock.monotonic_ns()
                self._at_source = True
                frame = next(frames, None)
                self._at_source = False
                if frame is None or self._alarmed:
                    break
                # A copy, because a source may yield the same frame object twice.
                if not self._take((replace(frame), self._clock.monotonic_ns() - asked_ns)):
                    break
                captured += 1
        except SourceError as error:
            # Frames that arrived before the source was lost are still judged.
            self._error = self._error or error
        finally:
            self._frames.close()

    def _take(self, captured: Captured) -> bool:
        """Queue a frame; return False when the run is ending. A frame that came after the stop was never captured."""
        missed = captured[0].missed
        self._tally.capture(1 + missed)
        self._tally.add_unrecorded(Cause.MISSED, missed)
        self._in_flight[id(captured[0])] = captured[0]
        if self._settings.policy == "every":
            taken = self._frames.put(captured)
        else:
            taken, displaced = self._frames.put_latest(captured)
            if displaced is not None and self._landed(displaced[0]):
                self._tally.add_unrecorded(Cause.DISPLACED)
        if not taken and self._landed(captured[0]):
            if self._alarmed:
                self._tally.add_unrecorded(Cause.NOT_BEGUN)
            elif self._stop():
                self._tally.capture(-1)
        return taken

    def _landed(self, frame: Frame) -> bool:
        """Remove a frame from those in flight; return False if another thread has removed it and accounts for it."""
        return self._in_flight.pop(id(frame), None) is not None

    def _judge_each(self) -> None:
        while (captured := self._frames.get()) is not None:
            work = self._judge.prepare(captured[0], self._judge.own_buffer, captured[1], ahead=True)
            self._finish_works(self._start_works([work]))
            self._judged.put((work.frame, self._judge.decide(work)))
        self._judged.close()

    def _prepare(self) -> None:
        while (captured := self._frames.get()) is not None:
            buffer = self._buffers.get()
            if buffer is None:
                return
            self._prepared.put(self._judge.prepare(captured[0], buffer, captured[1]))
        self._prepared.close()

    def _infer(self) -> None:
        under_way: deque[list[Work]] = deque()
        while True:
            # Wait for an answer only if there is nothing else to give to the engine meanwhile.
            first = self._prepared.get_waiting() if under_way else self._prepared.get()
            if first is not None:
                under_way.append(self._start_works(self._with_waiting(first)))
            elif not under_way:
                break
            if first is None or len(under_way) >= self._judge.depth:
                works = under_way.popleft()
                self._finish_works(works)
                for work in works:
                    self._buffers.put(work.buffer)
                    self._inferred.put(work)
        self._inferred.close()

    def _with_waiting(self, first: Work) -> list[Work]:
        works = [first]
        while len(works) < self._span and (more := self._prepared.get_waiting()) is not None:
            works.append(more)
        return works

    def _start_works(self, works: list[Work]) -> list[Work]:
        for work in works:
            work.fault = work.fault or self._broken
        self._judge.start(works)
        return works

    def _finish_works(self, works: list[Work]) -> None:
        self._judge.finish(works)
        for work in works:
            if work.failure is not None:
                self._broken = work.fault
                self._error = self._error or work.failure
                self._ending = True
            if self._on_work is not None:
                self._on_work(work)

    def _decide(self) -> None:
        while (work := self._inferred.get()) is not None:
            self._judged.put((work.frame, self._judge.decide(work)))
        self._judged.close()

    def _record_all(self) -> None:
        while not self._judged.ended:
            item = self._judged.get(POLL_S)
            if self._at_source and self._stop():
                # The frame that the source waits for would come after the stop.
                self._frames.close()
            if item is not None and self._landed(item[0]):
                if (reason := self._recorder.record(*item)) is not None:
                    self._end(reason)
            elif item is None and (stall := self._judge.stalled()) is not None:
                self._give_up(stall)
                return

    def _give_up(self, stall: EnvironmentMismatchError) -> None:
        """Record every frame in flight as ERROR, and abandon the thread that waits for the engine."""
        self._error = self._error or stall
        self._ending = True
        self._abort()
        for frame in list(self._in_flight.values()):
            if self._landed(frame):
                self._recorder.record(frame, self._judge.given_up(frame, stall))

    def _end(self, reason: OutputError | GateError) -> None:
        """Take no more frames. Queued ones are still judged; after an alarm, only work that has begun is finished."""
        self._error = self._error or reason
        self._ending = True
        if isinstance(reason, GateError):
            self._alarmed = True
            waiting = [frame for frame, _ in self._frames.abort() if self._landed(frame)]
            self._tally.add_unrecorded(Cause.NOT_BEGUN, len(waiting))

"""The last stage: writes a board to every sink, and handles sinks that fail."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from sji_edge.core.clock import Clock
from sji_edge.core.errors import GateError, OutputError
from sji_edge.core.protocols import BoardRecord, Frame, SerialMemory, Sink
from sji_edge.inspection.faults import Cause, Fault
from sji_edge.inspection.judging.board_records import as_error
from sji_edge.inspection.judging.frame_job import Judgement
from sji_edge.inspection.observe.alarm import ProcessAlarm
from sji_edge.inspection.observe.tally import Tally
from sji_edge.inspection.outputs.disk_space import FreeSpace

OnBoard = Callable[[Frame, Judgement], object]


class Recorder:
    """Records boards one after the other.

    Args:
        sinks: receive each record in this order. Put the durable one first: whatever a later one shows is then kept.
        tally: counts the boards on record.
        clock: for latencies.
        alarm: examines each board on record.
        on_board: each is called after a board is on record; an ``OutputError`` ends the run.
        space: checks the disks after each board.
    """

    def __init__(
        self,
        sinks: Sequence[Sink],
        tally: Tally,
        clock: Clock,
        alarm: ProcessAlarm,
        on_board: Sequence[OnBoard] = (),
        space: FreeSpace | None = None,
    ) -> None:
        self._sinks = list(sinks)
        self._tally = tally
        self._clock = clock
        self._alarm = alarm
        self._on_board = list(on_board)
        self._space = space
        self._failure: OutputError | None = None
        self._memory = next((sink for sink in sinks if isinstance(sink, SerialMemory)), None)

    def record(self, frame: Frame, judgement: Judgement) -> OutputError | GateError | None:
        """Record a board; return the error that ends the run, if any.

        After a sink has failed, the boards in flight are recorded as ERROR in the sinks before it, which still work.
        """
        if self._failure is not None:
            self._mark(judgement, self._failure)
            return None
        begun_ns = self._clock.monotonic_ns()
        if self._memory is not None and _has_serial(judgement.record):
            try:
                judgement = replace(judgement, record=_with_retests(judgement.record, self._memory))
            except OutputError as error:
                return self._failed(judgement.record, 0, error)
        for number, sink in enumerate(self._sinks):
            try:
                sink.write(judgement.record)
            except OutputError as error:
                return self._failed(judgement.record, number, error)
        done_ns = self._clock.monotonic_ns()
        self._tally.add(judgement, done_ns - begun_ns, done_ns - frame.captured_ns)
        failure = self._show(frame, judgement)
        shortage = None if self._space is None else self._space.shortage()
        return failure or shortage or self._alarm.after(judgement.record)

    def _failed(self, record: BoardRecord, written: int, error: OutputError) -> OutputError:
        """Keep the sinks that still work, those before the one that failed."""
        self._sinks = self._sinks[:written]
        self._failure = error
        self._count_partly(record, written)
        return error

    def _show(self, frame: Frame, judgement: Judgement) -> OutputError | None:
        """Call each of ``on_board``. One that fails is not called again; the others are, for the boards in flight."""
        failure: OutputError | None = None
        for show in list(self._on_board):
            try:
                show(frame, judgement)
            except OutputError as error:
                self._on_board.remove(show)
                failure = failure or error
        return failure

    def _mark(self, judgement: Judgement, failure: OutputError) -> None:
        fault = Fault(Cause.NOT_RECORDED, failure.message)
        record = as_error(judgement.record, fault)
        written = 0
        try:
            for sink in self._sinks:
                sink.write(record)
                written += 1
        except OutputError:
            # The first failure is reported; nothing can be recorded from now on.
            self._sinks = []
        self._count_partly(record, written)

    def _count_partly(self, record: BoardRecord, sinks: int) -> None:
        if sinks:
            self._tally.add_partly(Cause.NOT_RECORDED, record)
        else:
            self._tally.add_unrecorded(Cause.NOT_RECORDED)


def _has_serial(record: BoardRecord) -> bool:
    return bool(record.serial) or any(unit.serial for unit in record.units)


def _with_retests(record: BoardRecord, memory: SerialMemory) -> BoardRecord:
    """Say how often each serial number of a board was seen before."""
    units = tuple(
        replace(unit, retest=memory.times_seen(unit.serial)) if unit.serial else unit for unit in record.units
    )
    return replace(record, retest=memory.times_seen(record.serial) if record.serial else 0, units=units)

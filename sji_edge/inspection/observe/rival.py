"""A second engine that judges the same boards beside the deployed one, in its own thread; it never decides anything."""

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace

from sji_edge.core.protocols import Frame
from sji_edge.core.verdict import Verdict
from sji_edge.inspection.channel import Channel
from sji_edge.inspection.judging.frame_job import Judgement
from sji_edge.inspection.outputs.pool.keeper import PoolKeeper, disagreements

QUEUE = 4
"""Maximum number of boards that wait for the second engine."""
NICENESS = 10
CLOSE_S = 5.0


@dataclass(frozen=True, slots=True)
class RivalReport:
    """How two engines compare on the boards that both judged.

    Attributes:
        name: of the second engine.
        boards: that both judged.
        joints: of these boards.
        skipped: boards that the second engine did not judge, because it was busy or had failed.
        only_rival: joints that only the second engine calls: REVIEW or FAIL.
        only_deployed: joints that only the deployed engine calls.
        other: other joints with different verdicts, such as REVIEW and FAIL.
        failure: why the second engine stopped early; empty otherwise.
    """

    name: str
    boards: int = 0
    joints: int = 0
    skipped: int = 0
    only_rival: int = 0
    only_deployed: int = 0
    other: int = 0
    failure: str = ""


class Rival:
    """Judges boards again with a second engine, at lower priority if the system allows that.

    Args:
        name: of the second engine.
        judge: judges a frame with it; called in the rival's thread only.
        open_keeper: opens what keeps the disagreements; entered and left in the rival's thread.
        waits: ``take`` waits for room, so that every board is judged: right for stored frames, wrong for a line.
    """

    def __init__(
        self,
        name: str,
        judge: Callable[[Frame], Judgement],
        open_keeper: Callable[[], AbstractContextManager[PoolKeeper]],
        *,
        waits: bool,
    ) -> None:
        self._judge = judge
        self._open_keeper = open_keeper
        self._waits = waits
        self._lock = threading.Lock()
        self._report = RivalReport(name)
        self._boards: Channel[tuple[Frame, Judgement]] = Channel(QUEUE)
        self._thread = threading.Thread(target=self._run, name="rival", daemon=True)
        self._thread.start()

    def take(self, frame: Frame, judgement: Judgement) -> None:
        """Take a board that the deployed engine judged; one that was not aligned has nothing to compare."""
        if frame.pixels is None or judgement.placement is None:
            return
        full = len(self._boards) >= QUEUE and not self._waits
        if full or not self._thread.is_alive() or not self._boards.put((frame, judgement)):
            self._skip()

    def report(self) -> RivalReport:
        """Return the counts so far. Any thread may call it."""
        with self._lock:
            return self._report

    def close(self) -> RivalReport:
        """Judge the boards that wait, for a few seconds at most unless it waits for each; count the rest as skipped."""
        self._boards.close()
        self._thread.join(None if self._waits else CLOSE_S)
        while self._boards.get_waiting() is not None:
            self._skip()
        self._thread.join(CLOSE_S)
        return self.report()

    def _skip(self) -> None:
        with self._lock:
            self._report = replace(self._report, skipped=self._report.skipped + 1)

    def _run(self) -> None:
        with suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        try:
            with self._open_keeper() as keeper:
                while (board := self._boards.get()) is not None:
                    self._compare(*board, keeper)
        except Exception as error:  # noqa: BLE001 - kept for the report; the line goes on without a second engine
            with self._lock:
                failure = f"{type(error).__name__}: {error}"
                self._report = replace(self._report, failure=failure, skipped=self._report.skipped + 1)
            self._boards.close()

    def _compare(self, frame: Frame, judgement: Judgement, keeper: PoolKeeper) -> None:
        other = self._judge(frame)
        places = disagreements(judgement.record, other.record)
        keeper.keep_disagreements(frame, judgement, other)
        one, two = judgement.record.joints, other.record.joints
        differ = sum(mine.verdict is not yours.verdict for mine, yours in zip(one, two, strict=True))
        only_rival = sum(one[place].verdict is Verdict.PASS for place in places)
        with self._lock:
            before = self._report
            self._report = replace(
                before,
                boards=before.boards + 1,
                joints=before.joints + len(one),
                only_rival=before.only_rival + only_rival,
                only_deployed=before.only_deployed + len(places) - only_rival,
                other=before.other + differ - len(places),
            )

"""The process alarm: stops a run in which the same joint fails on board after board."""

import shlex
from pathlib import Path

from sji_edge.core.errors import GateError
from sji_edge.core.protocols import BoardRecord
from sji_edge.core.text import amount
from sji_edge.core.verdict import Verdict


class ProcessAlarm:
    """Counts for each joint the boards in a row on which it failed; an ERROR does not change the count.

    Args:
        boards: number of boards in a row that raises the alarm; 0 for never.
        database: database that records the boards, for the hint; None if there is none.
    """

    def __init__(self, boards: int, database: Path | None = None) -> None:
        self._limit = boards
        self._database = database
        self._streaks: dict[str, int] = {}

    def after(self, record: BoardRecord) -> GateError | None:
        """Count a board; return the alarm if it is due."""
        if not self._limit:
            return None
        for joint in record.joints:
            if joint.verdict is Verdict.FAIL:
                self._streaks[joint.refdes] = self._streaks.get(joint.refdes, 0) + 1
            elif joint.verdict is not Verdict.ERROR:
                self._streaks.pop(joint.refdes, None)
        due = [name for name, streak in self._streaks.items() if streak >= self._limit]
        if not due:
            return None
        return GateError(
            f"process alarm: {', '.join(due)} failed on {amount(self._limit, 'board')} in a row, "
            f"the last one is {record.frame_name}; the run was stopped",
            hint=f"check the soldering process before the next board, or whether these are false calls"
            f"{self._command(due[0])}",
        )

    def _command(self, refdes: str) -> str:
        if self._database is None:
            return ""
        words = ["--refdes", refdes, "--database", str(self._database)]
        return f": sji-edge inspections joints {shlex.join(words)}"

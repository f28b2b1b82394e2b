"""The process alarm: one joint failing board after board is no chance."""

import shlex
from pathlib import Path

from sji_edge.core.errors import GateError
from sji_edge.core.protocols import BoardRecord
from sji_edge.core.text import amount
from sji_edge.core.verdict import Verdict


class ProcessAlarm:
    """Counts boards in a row on which a joint failed; a joint that was not judged leaves its count as it is.

    Args:
        boards: in a row that raise the alarm; 0 never does.
        database: where the boards are on record, for the hint; None where they are in none.
    """

    def __init__(self, boards: int, database: Path | None = None) -> None:
        self._limit = boards
        self._database = database
        self._streaks: dict[str, int] = {}

    def after(self, record: BoardRecord) -> GateError | None:
        """Count a board; returns the alarm when it is due."""
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
            f"the last of them {record.frame_name}; the run was stopped",
            hint=f"look at the soldering process before the next board, or whether these are false calls"
            f"{self._command(due[0])}",
        )

    def _command(self, refdes: str) -> str:
        if self._database is None:
            return ""
        words = ["--refdes", refdes, "--database", str(self._database)]
        return f": sji-edge inspections joints {shlex.join(words)}"

"""Presents a share of the decided calls once more, without what was decided: how far can answers be trusted?"""

import random
import sqlite3
from dataclasses import dataclass

from sji_edge.core.decisions import DecisionRow
from sji_edge.decisions.read import blind_pairs, meaning, read_decisions, standing
from sji_edge.metrics.agreement import Agreement, cohen_kappa
from sji_edge.review.records import Records

RECENT = 500
"""Decisions to draw from."""
APART = 5
"""At least so many decisions lie between the first answer and its repeat."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """A decided call that is presented again."""

    board_id: int
    position: int


class BlindRepeats:
    """Draws decided calls to be presented again.

    Args:
        share: probability of a repeat after each decision, in [0, 1).
        random: where the chance comes from.
    """

    def __init__(self, share: float, random: random.Random) -> None:
        self._share = share
        self._random = random

    def chosen(self) -> bool:
        """Draw whether a repeat is due after this decision."""
        return self._random.random() < self._share

    def draw(self, records: Records) -> Repeat | None:
        """Return a decided call to present again; None if there is none that fits."""
        with records.reading() as connection:
            return self._one(connection)

    def _one(self, connection: sqlite3.Connection) -> Repeat | None:
        newest = connection.execute("SELECT coalesce(max(id), 0) FROM decisions").fetchone()[0]
        rows = list(read_decisions(connection, after=newest - RECENT))
        repeated = {(row.subject, row.refdes) for row in rows if row.blind}
        fit = [row for row in standing(rows) if row.refdes and not row.blind and meaning(row)]
        fit = [row for row in fit[: -APART or None] if (row.subject, row.refdes) not in repeated]
        if not fit:
            return None
        chosen = self._random.choice(fit)
        query = (
            "SELECT b.id, j.position FROM boards b JOIN joints j ON j.board_id = b.id "
            "WHERE b.board = ? AND j.refdes = ?"
        )
        found = connection.execute(query, (chosen.subject, chosen.refdes)).fetchone()
        return None if found is None else Repeat(*found)


def agreement(rows: list[DecisionRow]) -> Agreement:
    """Return how well blind answers agree with the first ones, as Cohen's κ over what they say of the joint."""
    return cohen_kappa([(meaning(first), meaning(second)) for first, second in blind_pairs(rows)])

"""A board as the station shows it: its record, its joints with their places, and what was decided of each."""

import sqlite3
from dataclasses import dataclass

from sji_edge.core.decisions import DecisionRow
from sji_edge.core.errors import UsageError
from sji_edge.decisions.read import current, read_decisions
from sji_edge.recipe.board import Recipe

BOARD_COLUMNS = (
    "id, board, frame_name, utc, verdict, cause, alignment_residual_px, engine_sha256, recipe_sha256, serial"
)
JOINT_COLUMNS = (
    "position, refdes, verdict, score, lower, upper, label, cause, novelty, novelty_limit, deviation, "
    "coalesce((SELECT p.package FROM packages p WHERE p.recipe_sha256 = ? AND p.refdes = j.refdes), '')"
)


@dataclass(frozen=True, slots=True)
class BoardRow:
    """A board's record."""

    id: int
    board: str
    frame_name: str
    utc: str
    verdict: str
    cause: str
    alignment_residual_px: float | None
    engine_sha256: str
    recipe_sha256: str
    serial: str

    @property
    def run(self) -> str:
        """The run that judged it."""
        return self.board.rpartition("-")[0]


@dataclass(frozen=True, slots=True)
class JointRow:
    """A joint's record, with its package where that is known."""

    position: int
    refdes: str
    verdict: str
    score: float | None
    lower: float
    upper: float
    label: str
    cause: str
    novelty: float | None
    novelty_limit: float | None
    deviation: float | None
    package: str


def read_boards(connection: sqlite3.Connection, ids: list[int]) -> dict[int, BoardRow]:
    """Return the records of some boards by id; those that do not exist are missing."""
    marks = ", ".join("?" * len(ids))
    rows = connection.execute(f"SELECT {BOARD_COLUMNS} FROM boards WHERE id IN ({marks})", ids)
    return {row[0]: BoardRow(*row) for row in rows}


def read_board(connection: sqlite3.Connection, board_id: int) -> BoardRow:
    """Return a board's record; raises ``UsageError`` if there is none."""
    found = read_boards(connection, [board_id]).get(board_id)
    if found is None:
        raise UsageError(f"there is no board {board_id}")
    return found


def read_joints(connection: sqlite3.Connection, board: BoardRow) -> list[JointRow]:
    """Return a board's joints in the recipe's order."""
    query = f"SELECT {JOINT_COLUMNS} FROM joints j WHERE board_id = ? ORDER BY position"
    return [JointRow(*row) for row in connection.execute(query, (board.recipe_sha256, board.id))]


def read_joint(connection: sqlite3.Connection, board: BoardRow, position: int) -> JointRow:
    """Return one joint of a board; raises ``UsageError`` if there is none."""
    query = f"SELECT {JOINT_COLUMNS} FROM joints j WHERE board_id = ? AND position = ?"
    found = connection.execute(query, (board.recipe_sha256, board.id, position)).fetchone()
    if found is None:
        raise UsageError(f"board {board.board} has no joint {position}")
    return JointRow(*found)


def decisions_of(connection: sqlite3.Connection, board: BoardRow) -> dict[str, DecisionRow]:
    """Return what counts for each joint of a board by refdes; the empty one is the board as a whole."""
    rows = read_decisions(connection, board=board.board)
    return {refdes: row for (_, refdes), row in current(rows).items()}


class Recipes:
    """The recipes that a station knows, found by the hash that records hold."""

    def __init__(self, recipes: list[Recipe]) -> None:
        self._by_hash = {recipe.sha256: recipe for recipe in recipes}

    def of(self, board: BoardRow) -> Recipe | None:
        """Return the recipe that a board was judged with; None if the station does not know it."""
        return self._by_hash.get(board.recipe_sha256)

    def __len__(self) -> int:
        return len(self._by_hash)

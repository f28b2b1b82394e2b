"""Verify: which boards wait for an answer, what a board shows, and the answers themselves."""

import random
import sqlite3
from collections.abc import Sequence

from sji_edge.core.decisions import VERIFICATIONS, Decision, DecisionRow
from sji_edge.core.errors import UsageError
from sji_edge.core.verdict import Verdict
from sji_edge.decisions.log import Undo
from sji_edge.review.blind import BlindRepeats
from sji_edge.review.boards import (
    BoardRow,
    JointRow,
    Recipes,
    decisions_of,
    read_board,
    read_boards,
    read_joint,
    read_joints,
)
from sji_edge.review.categories import Categories
from sji_edge.review.open_calls import WHOLE_BOARD, OpenCalls, escalated
from sji_edge.review.pictures import Pictures, roi_of
from sji_edge.review.records import Records
from sji_edge.review.shown import Answered, Given, Person, Said, ShownBoard, ShownJoint, Waiting

QUEUE = 40
"""Boards in a list."""
MAX_SECONDS = 86_400.0
CALLED = (Verdict.REVIEW, Verdict.FAIL, Verdict.ERROR)


class Source:
    """One database with everything that belongs to it."""

    def __init__(self, records: Records, recipes: Recipes, since: str) -> None:
        self.records = records
        self.calls = OpenCalls(records, since)
        self.pictures = Pictures(records, recipes)


class Verification:
    """The work of the view *Verify* over one or more databases. Safe to use from several threads.

    Args:
        sources: the databases.
        recipes: the recipes that the station knows.
        categories: the kinds of defects.
        blind_share: share of decisions after which a decided call is presented again.
        seed: for the choice of those; None for one that nobody knows.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        recipes: Recipes,
        categories: Categories,
        blind_share: float = 0.0,
        seed: int | None = None,
    ) -> None:
        self._sources = list(sources)
        self._recipes = recipes
        self._categories = categories
        self._blind = BlindRepeats(blind_share, random.Random(seed))
        self._due: set[str] = set()

    def source(self, number: int) -> Source:
        """Return a database by its number; raises ``UsageError`` if there is none."""
        if not 0 <= number < len(self._sources):
            raise UsageError(f"there is no source {number}")
        return self._sources[number]

    def open(self) -> int:
        """Count the open calls."""
        return sum(source.calls.count for source in self._refreshed())

    def queue(self, limit: int = QUEUE) -> list[Waiting]:
        """Return the newest boards with open calls."""
        found: list[Waiting] = []
        for number, source in enumerate(self._refreshed()):
            with source.records.reading() as connection:
                found += _waiting(connection, number, source.calls.newest(limit))
        return _newest_first(found)[:limit]

    def escalated(self, limit: int = QUEUE) -> list[Waiting]:
        """Return the newest boards with calls that were handed on and nobody has decided since."""
        found: list[Waiting] = []
        for number, source in enumerate(self._sources):
            with source.records.reading() as connection:
                found += _waiting(connection, number, escalated(connection, limit))
        return _newest_first(found)[:limit]

    def board(self, number: int, board_id: int) -> ShownBoard:
        """Return what a board shows; raises ``UsageError`` if there is none."""
        source = self.source(number)
        with source.records.reading() as connection:
            board = read_board(connection, board_id)
            joints = read_joints(connection, board)
            said = decisions_of(connection, board)
        whole = all(joint.score is None for joint in joints)
        recipe = self._recipes.of(board)
        aligned = recipe is not None and board.alignment_residual_px is not None
        shown = tuple(
            _shown(
                joint,
                said.get(joint.refdes),
                called=not whole and joint.verdict in CALLED,
                box=_box(self._recipes, board, joint) if aligned else None,
            )
            for joint in joints
        )
        return ShownBoard(
            number,
            board.id,
            board.board,
            board.frame_name,
            board.utc,
            board.verdict,
            board.cause,
            recipe.board.frame if recipe is not None and aligned else None,
            _said(said.get("")),
            whole and board.verdict == Verdict.ERROR,
            shown,
            board.serial,
        )

    def next(self, person: Person, after: tuple[int, int] | None = None) -> ShownBoard | None:
        """Return the next board to answer, newest first, or a call to be answered again blind; None if all is done.

        Args:
            person: who will answer it.
            after: source and id of the board before; boards that are older come first, then the newest again.
        """
        if person.name in self._due:
            self._due.discard(person.name)
            if (again := self._repeat()) is not None:
                return again
        waiting = self.queue()
        if after is not None:
            number, board_id = after
            older = [one for one in waiting if (one.source, -one.id) > (number, -board_id)]
            if not older:
                older = [
                    Waiting(number, one, "", "", "", "", count)
                    for one, count in self.source(number).calls.newest(1, before=board_id)
                ]
            waiting = older or [one for one in waiting if (one.source, one.id) != after] or waiting
        return self.board(waiting[0].source, waiting[0].id) if waiting else None

    def _repeat(self) -> ShownBoard | None:
        for number, source in enumerate(self._sources):
            if (chosen := self._blind.draw(source.records)) is None:
                continue
            board = self.board(number, chosen.board_id)
            joint = next(one for one in board.joints if one.position == chosen.position)
            hidden = ShownJoint(
                joint.position, joint.refdes, joint.package, joint.verdict, joint.cause, "", None, joint.lower,
                joint.upper, None, None, None, joint.box, True, None,
            )  # fmt: skip
            return ShownBoard(
                number, board.id, board.board, board.frame_name, board.utc, board.verdict, "", board.frame, None,
                False, (hidden,), board.serial, True,
            )  # fmt: skip
        return None

    def decide(self, person: Person, given: Given) -> Answered:
        """Write an answer; it is on disk when this returns.

        Raises:
            UsageError: a board or joint that does not exist, an answer that does not fit, or a person who may not.
            OutputError: it cannot be written.
        """
        source = self.source(given.source)
        self._check(given)
        with source.records.reading() as connection:
            board = read_board(connection, given.board)
            refdes = ""
            if given.position != WHOLE_BOARD:
                refdes = read_joint(connection, board, given.position).refdes
            before = decisions_of(connection, board).get(refdes)
        seconds = None if given.seconds is None else min(max(given.seconds, 0.0), MAX_SECONDS)
        decision = Decision(
            person.name,
            person.role,
            board.board,
            refdes,
            given.what,
            given.category,
            seconds,
            given.score_shown,
            given.blind,
            f"{person.name}:{given.token}",
        )
        (row,) = source.records.log.append([decision])
        if not given.blind and self._blind.chosen():
            self._due.add(person.name)
        others = () if before is None or given.blind or before.who == person.name else (before,)
        return self._answered(source, given.board, row, others)

    def undo(self, person: Person, number: int, row: int, token: str) -> Answered:
        """Take a decision back; raises as ``DecisionLog.undo``."""
        source = self.source(number)
        undone = source.records.log.undo(Undo(row, person.name, person.role, f"{person.name}:undo:{token}"))
        with source.records.reading() as connection:
            found = connection.execute(
                "SELECT b.id FROM decisions d JOIN boards b ON b.board = d.subject WHERE d.id = ?", (row,)
            ).fetchone()
        return self._answered(source, found[0] if found else 0, undone)

    def _answered(
        self, source: Source, board_id: int, row: int, others: Sequence[DecisionRow] = ()
    ) -> Answered:
        total = self.open()
        said = tuple(one for one in map(_said, others) if one is not None)
        return Answered(row, total, len(source.calls.open_on(board_id)), said)

    def _check(self, given: Given) -> None:
        if given.what not in VERIFICATIONS:
            raise UsageError(f"{given.what} is not an answer to a call")
        if given.category and given.category not in self._categories.defect_names:
            raise UsageError(f"there is no category {given.category[:40]!r}")

    def _refreshed(self) -> list[Source]:
        for source in self._sources:
            source.calls.refresh()
        return self._sources


def _box(recipes: Recipes, board: BoardRow, joint: JointRow) -> tuple[float, ...] | None:
    recipe = recipes.of(board)
    if recipe is None or joint.position >= len(recipe.joints):
        return None
    box = roi_of(recipe, joint.position)
    return (box.x, box.y, box.width, box.height, box.angle_rad)


def _said(row: DecisionRow | None) -> Said | None:
    return None if row is None else Said(row.id, row.who, row.utc, row.what.value, row.category)


def _waiting(connection: sqlite3.Connection, number: int, counts: list[tuple[int, int]]) -> list[Waiting]:
    """Return boards of one database, given their ids and the number of calls that wait on each."""
    boards = read_boards(connection, [board_id for board_id, _ in counts])
    return [
        Waiting(
            number, board_id, board.board, board.frame_name, board.utc, board.verdict, count, board.serial
        )
        for board_id, count in counts
        if (board := boards.get(board_id)) is not None
    ]


def _newest_first(found: list[Waiting]) -> list[Waiting]:
    return sorted(found, key=lambda board: board.utc, reverse=True)


def _shown(
    joint: JointRow, said: DecisionRow | None, *, called: bool, box: tuple[float, ...] | None
) -> ShownJoint:
    return ShownJoint(
        joint.position,
        joint.refdes,
        joint.package,
        joint.verdict,
        joint.cause,
        joint.label,
        joint.score,
        joint.lower,
        joint.upper,
        joint.novelty,
        joint.novelty_limit,
        joint.deviation,
        box,
        called,
        _said(said),
    )

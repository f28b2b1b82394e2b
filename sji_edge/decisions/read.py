"""Reads people's answers: what stands for each subject, where people disagree, and how often they agree blind."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sji_edge.core.decisions import DECISION_COLUMNS, Answer, DecisionRow, Role, Subject

COLUMNS = ", ".join(DECISION_COLUMNS)


def has_decisions(connection: sqlite3.Connection) -> bool:
    """Tell whether a database has the table; an older one, or a pool that nobody labelled, has none."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'decisions'")
    return found.fetchone() is not None


def read_decisions(
    connection: sqlite3.Connection, *, after: int = 0, subject: Subject | None = None, board: str = ""
) -> Iterator[DecisionRow]:
    """Yield rows in the order in which they were written, undone ones and undos included.

    Args:
        connection: open on the database; one without the table yields nothing.
        after: only rows of a higher id.
        subject: only rows about this subject.
        board: only rows about this board or one of its joints, by the name of its record.
    """
    if not has_decisions(connection):
        return
    where, values = "id > ?", [after, *(subject or ())]
    if subject is not None:
        where += " AND subject = ? AND refdes = ?"
    if board:
        where, values = f"{where} AND subject = ?", [*values, board]
    # COLUMNS and the conditions are fixed texts.
    query = f"SELECT {COLUMNS} FROM decisions WHERE {where} ORDER BY id"  # noqa: S608
    for row in connection.execute(query, values):
        number, utc, who, role, name, refdes, what, category, seconds, shown, blind, undoes = row
        yield DecisionRow(
            number,
            utc,
            who,
            Role(role),
            name,
            refdes,
            Answer(what),
            category,
            seconds,
            bool(shown),
            bool(blind),
            undoes,
        )


def standing(rows: Iterable[DecisionRow]) -> list[DecisionRow]:
    """Return the decisions that nobody took back, oldest first."""
    every = list(rows)
    gone = {row.undoes for row in every}
    return [row for row in every if row.what is not Answer.UNDONE and row.id not in gone]


def current(rows: Iterable[DecisionRow]) -> dict[Subject, DecisionRow]:
    """Return the decision that counts for each subject: the last one that stands and was not blind.

    Once an engineer decided, an operator's later answer does not replace it.
    """
    found: dict[Subject, DecisionRow] = {}
    for row in standing(rows):
        if row.blind:
            continue
        before = found.get((row.subject, row.refdes))
        outranked = before is not None and before.role is Role.ENGINEER and row.role is not Role.ENGINEER
        if not outranked:
            found[row.subject, row.refdes] = row
    return found


def meaning(row: DecisionRow) -> str:
    """Return what a decision says of the joint itself: ``good``, or the class of the defect or of the label."""
    return "good" if row.what is Answer.REJECTED else row.category


@dataclass(frozen=True, slots=True)
class Conflict:
    """A subject of which people say different things; ``rows`` holds each one's last answer."""

    subject: Subject
    rows: tuple[DecisionRow, ...]


def conflicts(rows: Iterable[DecisionRow]) -> list[Conflict]:
    """Return the subjects of which people say different things, by their last answers that stand.

    A blind repeat is a voice of its own, also against the same person's first answer. An escalation says nothing of
    the joint. Where an engineer decided, only engineers' answers count, so that an engineer settles a conflict of
    operators.
    """
    voices: dict[Subject, dict[tuple[str, bool], DecisionRow]] = {}
    for row in standing(rows):
        if row.what is not Answer.ESCALATED:
            voices.setdefault((row.subject, row.refdes), {})[row.who, row.blind] = row
    found = []
    for subject, by_voice in voices.items():
        said = list(by_voice.values())
        experts = [row for row in said if row.role is Role.ENGINEER and not row.blind]
        counted = experts or said
        if len({meaning(row) for row in counted}) > 1:
            found.append(Conflict(subject, tuple(counted)))
    return found


def blind_pairs(rows: Iterable[DecisionRow]) -> list[tuple[DecisionRow, DecisionRow]]:
    """Return each blind answer after the last standing answer before it that was not blind."""
    seen: dict[Subject, DecisionRow] = {}
    pairs = []
    for row in standing(rows):
        subject = (row.subject, row.refdes)
        if row.what is Answer.ESCALATED:
            continue
        if not row.blind:
            seen[subject] = row
        elif subject in seen:
            pairs.append((seen[subject], row))
    return pairs


def by_answer(decided: Mapping[Subject, DecisionRow]) -> dict[Answer, int]:
    """Count the current decisions by answer."""
    counts = dict.fromkeys(Answer, 0)
    for row in decided.values():
        counts[row.what] += 1
    return counts

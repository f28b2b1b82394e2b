"""What people answered: the words, one row of the table ``decisions``, and the table itself.

The same table lies in ``inspections.db``, where it answers what a line called, and in a pool's database, where it
labels crops. Its rows are only ever added; triggers refuse every change and every deletion.
"""

from dataclasses import dataclass
from enum import StrEnum


class Answer(StrEnum):
    """What a person decided, in the words of IPC-CFX (IPC-2591) where it has one."""

    CONFIRMED = "DefectConfirmed"
    """The joint has the defect."""
    REJECTED = "DefectRejected"
    """The joint is good: a false call."""
    ACCEPTED = "DefectAccepted"
    """The joint has the defect, and the board may go on with it."""
    ESCALATED = "Escalated"
    """Somebody else must decide."""
    LABELLED = "Labelled"
    """The crop shows the class that ``category`` names."""
    UNDONE = "Undone"
    """The decision that ``undoes`` names counts no longer."""


VERIFICATIONS = (Answer.CONFIRMED, Answer.REJECTED, Answer.ACCEPTED, Answer.ESCALATED)
"""What a person can answer to a call of the line."""


class Role(StrEnum):
    """What a person may do at the station: a viewer decides nothing, an engineer outranks an operator."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ENGINEER = "engineer"


Subject = tuple[str, str]
"""What was decided about: a board's record and a refdes, or a crop's id as text and nothing."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer of one person, before it is written.

    Attributes:
        who: the person's name.
        role: the person's role at that time.
        subject: the name of the board's record, or the id of a crop.
        refdes: the joint; empty for a crop, and for a board as a whole.
        what: the answer.
        category: the kind of defect, or the class of a label; empty where the answer has none.
        seconds: time from the moment at which the person saw the subject; None where it was not measured.
        score_shown: whether the person saw the model's score or verdict.
        blind: whether the subject was presented again, without what had been decided: a measurement of agreement
            that changes nothing.
        token: chosen by who sends the answer. A second answer of the same token is not written again.
    """

    who: str
    role: Role
    subject: str
    refdes: str
    what: Answer
    category: str = ""
    seconds: float | None = None
    score_shown: bool = True
    blind: bool = False
    token: str | None = None


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One row of the table; ``undoes`` is the row that an ``Undone`` takes back."""

    id: int
    utc: str
    who: str
    role: Role
    subject: str
    refdes: str
    what: Answer
    category: str
    seconds: float | None
    score_shown: bool
    blind: bool
    undoes: int | None


def _listed(words: type[StrEnum]) -> str:
    return ", ".join(f"'{word}'" for word in words)


DECISIONS_SCHEMA = (
    f"""CREATE TABLE IF NOT EXISTS decisions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    utc TEXT NOT NULL,
    who TEXT NOT NULL CHECK (who <> ''),
    role TEXT NOT NULL CHECK (role IN ({_listed(Role)})),
    subject TEXT NOT NULL CHECK (subject <> ''),
    refdes TEXT NOT NULL,
    what TEXT NOT NULL CHECK (what IN ({_listed(Answer)})),
    category TEXT NOT NULL,
    seconds REAL CHECK (seconds >= 0),
    score_shown INTEGER NOT NULL CHECK (score_shown IN (0, 1)),
    blind INTEGER NOT NULL CHECK (blind IN (0, 1)),
    undoes INTEGER UNIQUE REFERENCES decisions (id),
    token TEXT UNIQUE,
    CHECK ((what = '{Answer.UNDONE}') = (undoes IS NOT NULL))
)""",
    "CREATE INDEX IF NOT EXISTS decisions_by_subject ON decisions (subject, refdes, id)",
    "CREATE TRIGGER IF NOT EXISTS decisions_stay BEFORE UPDATE ON decisions "
    "BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END",
    "CREATE TRIGGER IF NOT EXISTS decisions_remain BEFORE DELETE ON decisions "
    "BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END",
)
"""The statements that add the table to a database, and do nothing where it exists."""
DECISION_COLUMNS = (
    "id",
    "utc",
    "who",
    "role",
    "subject",
    "refdes",
    "what",
    "category",
    "seconds",
    "score_shown",
    "blind",
    "undoes",
)

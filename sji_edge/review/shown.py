"""What the view *Verify* shows and what it is sent, as plain values."""

from dataclasses import dataclass

from sji_edge.core.decisions import Answer, Role


@dataclass(frozen=True, slots=True)
class Person:
    """Who is logged in, and what that person may do."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Said:
    """What counts for a joint: the decision's id, who took it, when, and what it says."""

    id: int
    who: str
    utc: str
    what: str
    category: str


@dataclass(frozen=True, slots=True)
class ShownJoint:
    """A joint as the page gets it; ``box`` is its centre, size and angle in recipe pixels."""

    position: int
    refdes: str
    package: str
    verdict: str
    cause: str
    label: str
    score: float | None
    lower: float
    upper: float
    novelty: float | None
    novelty_limit: float | None
    deviation: float | None
    box: tuple[float, ...] | None
    called: bool
    said: Said | None


@dataclass(frozen=True, slots=True)
class ShownBoard:
    """A board as the page gets it. ``blind`` says that it shows one decided call again, without what was decided."""

    source: int
    id: int
    board: str
    frame_name: str
    utc: str
    verdict: str
    cause: str
    frame: tuple[int, int] | None
    whole: Said | None
    whole_called: bool
    joints: tuple[ShownJoint, ...]
    serial: str = ""
    blind: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """A board in the list of those that wait for an answer."""

    source: int
    id: int
    board: str
    frame_name: str
    utc: str
    verdict: str
    open: int
    serial: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """The result of an answer: its row, what is still open, and what others said of the same joint."""

    row: int
    open: int
    left: int
    others: tuple[Said, ...] = ()


@dataclass(frozen=True, slots=True)
class Given:
    """An answer as the page sends it; ``position`` -1 is the board as a whole."""

    source: int
    board: int
    position: int
    what: Answer
    category: str
    seconds: float | None
    score_shown: bool
    blind: bool
    token: str

"""What the view *Look* shows, as plain values."""

from dataclasses import dataclass

from sji_edge.metrics.agreement import Agreement


@dataclass(frozen=True, slots=True)
class ListedBoard:
    """A board in the list."""

    source: int
    id: int
    board: str
    frame_name: str
    utc: str
    verdict: str
    cause: str
    serial: str
    called: int


@dataclass(frozen=True, slots=True)
class Bar:
    """How often one joint or package was called, and what people said of those calls."""

    name: str
    package: str
    reviews: int
    fails: int
    errors: int
    confirmed: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Day:
    """One day's figures: boards by verdict, calls, and how people answered them."""

    since: str
    until: str
    boards: dict[str, int]
    calls: int
    answers: dict[str, int]


@dataclass(frozen=True, slots=True)
class Change:
    """A joint that was called more or less often than on the day before."""

    refdes: str
    before: int
    now: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The last 24 hours beside the 24 before, counted back from the newest board."""

    now: Day
    before: Day
    changes: tuple[Change, ...]
    agreement: Agreement
    conflicts: int


@dataclass(frozen=True, slots=True)
class PastJoint:
    """One joint on one board."""

    source: int
    board_id: int
    position: int
    board: str
    utc: str
    verdict: str
    score: float | None
    said: str


@dataclass(frozen=True, slots=True)
class LiveState:
    """The newest run: its last board, counts, latency and faults."""

    source: int
    run: str
    board_id: int
    board: str
    frame_name: str
    utc: str
    verdict: str
    cause: str
    boards: dict[str, int]
    latency_ms: float | None
    latency_p99_ms: float | None
    faults: tuple[tuple[str, str], ...]

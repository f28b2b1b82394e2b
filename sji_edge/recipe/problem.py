"""One fault of a recipe."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a recipe; ``outside`` marks a joint that leaves the frame, ``line`` sorts the faults of a table."""

    text: str
    outside: bool = False
    line: int = 0

"""What is wrong with a recipe, in one line."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of a recipe; ``outside`` marks a joint that leaves the frame."""

    text: str
    outside: bool = False

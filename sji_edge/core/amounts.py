"""Counts as a reader says them."""


def amount(count: int, noun: str) -> str:
    """Return ``1 board``, ``2 boards``; for nouns whose plural ends in s."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"

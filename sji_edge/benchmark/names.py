"""Shortens engine names for a table: a beginning that all of them share is shown once."""

from collections.abc import Sequence

LEAST = 8
"""Shared beginnings shorter than this are not taken off."""


def short_names(names: Sequence[str]) -> tuple[dict[str, str], str]:
    """Take off the beginning that the long names share, up to a hyphen.

    Args:
        names: different names, in order.

    Returns:
        The short name of each, in order, and what was taken off (empty if nothing was).
    """
    long = [name for name in names if "-" in name]
    words = [name.split("-") for name in long]
    # Each keeps at least its last word.
    places = range(min((len(one) - 1 for one in words), default=0))
    equal = next((place for place in places if len({one[place] for one in words}) > 1), len(places))
    shared = "-".join(words[0][:equal]) if words else ""
    if len(long) < 2 or len(shared) < LEAST:
        return {name: name for name in names}, ""
    cut = len(shared) + 1
    return {name: name[cut:] if name in long else name for name in names}, shared

"""What a dataset or a stream does not use, counted and named, so that nothing is left out in silence."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from sji_edge.core.frozen import FrozenModel
from sji_edge.core.text import listing, readable

MAX_EXAMPLES = 3

SINGULARS = (
    (r"^entries that are not regular files$", "entry that is not a regular file"),
    (r"^tables of groups that are not", "table of groups that is not"),
    (r"^rows of (\S+) that name no", r"row of \1 that names no"),
    (r"\b(file|image|sub-folder|part)s\b", r"\1"),
)
"""Patterns of what is left out in the plural, and their singular; the first that fits is used."""


class LeftOut(FrozenModel):
    """Files or rows of one kind that are not used: ``what`` they are, how many, and the first few by name."""

    what: str
    count: int
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        more = ", …" if self.count > len(self.examples) else ""
        named = f" ({', '.join(self.examples)}{more})" if self.examples else ""
        return f"{self.counted}{named}"

    @property
    def counted(self) -> str:
        """How many there are of what, without examples: ``1 hidden image``, ``2 .gif files``."""
        return f"{self.count} {_singular(self.what) if self.count == 1 else self.what}"


def _singular(what: str) -> str:
    for plural, singular in SINGULARS:
        one, found = re.subn(plural, singular, what, count=1)
        if found:
            return one
    return what


def tally(root: Path, found: Iterable[tuple[str, Path]]) -> tuple[LeftOut, ...]:
    """Count paths below ``root`` by what they are, in the order in which each kind was met first."""
    kinds: dict[str, list[str]] = {}
    for what, path in found:
        kinds.setdefault(what, []).append(readable(path.relative_to(root).as_posix()))
    return tuple(
        LeftOut(what=what, count=len(names), examples=tuple(sorted(names)[:MAX_EXAMPLES]))
        for what, names in kinds.items()
    )


def in_one_line(left_out: Sequence[LeftOut]) -> str:
    """Say what was left out in one line; empty when nothing was."""
    return "left out: " + listing([str(one) for one in left_out], len(left_out)) if left_out else ""

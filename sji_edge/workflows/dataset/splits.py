"""Divides joints into splits by group, so that a joint never changes its split when others are added."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sji_edge.core.errors import DataError, UsageError

SPLITS = ("train", "validation", "test")
SEEDS_TRIED = 100
"""Seeds that are searched for the most even division; only to suggest it."""


@dataclass(frozen=True, slots=True)
class SplitRule:
    """Which split a group belongs to depends on its name and on these figures, and on nothing else.

    Attributes:
        seed: another seed gives another division.
        validation: share of the groups for validation.
        test: share of the groups for the test; 0 for no test split.
    """

    seed: int = 0
    validation: float = 0.15
    test: float = 0.15

    def check(self) -> None:
        """Raise ``UsageError`` if the shares leave nothing for a split."""
        if not (0.0 < self.validation < 1.0 and 0.0 <= self.test < 1.0 and self.validation + self.test < 1.0):
            raise UsageError(
                f"the shares of validation and test must leave some for training (got {self.validation:g} and "
                f"{self.test:g})",
                hint="try 0.15 and 0.15",
            )

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that get joints."""
        return SPLITS if self.test else SPLITS[:2]

    def of(self, group: str) -> str:
        """Return the split of a group."""
        digest = hashlib.sha256(f"{self.seed}/{group}".encode("utf-8", "surrogateescape")).digest()
        place = int.from_bytes(digest[:8], "big") / 2**64
        if place < self.test:
            return "test"
        return "validation" if place < self.test + self.validation else "train"


def check_splits(rule: SplitRule, members: Sequence[tuple[str, str]]) -> None:
    """Check that each split has each class that it needs: training all of them, the others good joints and defects.

    Args:
        rule: how groups are divided.
        members: group and class of each joint; the first class of the dataset is the good one.

    Raises:
        DataError: names the split and the class, and a seed that would do.
    """
    if (fault := _fault(rule, members)) is None:
        return
    groups = len({group for group, _ in members})
    others = [SplitRule(seed, rule.validation, rule.test) for seed in range(SEEDS_TRIED)]
    able = [other for other in others if _fault(other, members) is None]
    hint = "label joints of more boards, or of more defects"
    if able:
        best = min(able, key=lambda other: _unevenness(other, members))
        hint = f"choose seed {best.seed}, and keep to it for every later build; or label more boards"
    raise DataError(f"{fault} ({groups} groups, seed {rule.seed})", hint=hint)


def _unevenness(rule: SplitRule, members: Sequence[tuple[str, str]]) -> float:
    """Return how far the shares of each class in the splits are from those that are wanted."""
    wanted = {"validation": rule.validation, "test": rule.test, "train": 1.0 - rule.validation - rule.test}
    whole = Counter(label for _, label in members)
    found = Counter((rule.of(group), label) for group, label in members)
    return sum(
        abs(found[split, label] / count - wanted[split])
        for split in rule.splits
        for label, count in whole.items()
    )


def _fault(rule: SplitRule, members: Sequence[tuple[str, str]]) -> str | None:
    counts: Mapping[str, Counter[str]] = {split: Counter() for split in rule.splits}
    for group, label in members:
        counts[rule.of(group)][label] += 1
    for split in rule.splits:
        for label in sorted({label for _, label in members}):
            if not counts[split][label]:
                return f"the {split} split would have no joint of the class {label}"
    return None

"""Ranks joints by how often they fail: a Pareto by refdes or by package."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, Self

By = Literal["refdes", "package"]


@dataclass(frozen=True, slots=True)
class JointCounts:
    """Verdicts of one joint of one recipe; ``package`` is empty where it is not recorded."""

    recipe: str
    refdes: str
    package: str
    judged: int
    fails: int
    reviews: int
    errors: int

    @property
    def called(self) -> int:
        """Boards on which a person had to look at it: FAIL and REVIEW."""
        return self.fails + self.reviews


@dataclass(frozen=True, slots=True)
class Course:
    """A joint's calls over time: the longest series, and their median distance above the FAIL limit, in logits."""

    in_a_row: int
    median_margin: float | None

    @classmethod
    def of(cls, margins: Sequence[float | None]) -> Self:
        """Build it from one margin per board, in order; None for a board on which the joint passed."""
        runs = [len(list(run)) for called, run in groupby(margins, lambda one: one is not None) if called]
        called = [margin for margin in margins if margin is not None]
        return cls(max(runs, default=0), statistics.median(called) if called else None)


@dataclass(frozen=True, slots=True)
class ParetoRow:
    """One row of a Pareto: how often it was judged, and its verdicts.

    ``fail_rate`` is a share of the boards judged; ``share`` and ``cumulative`` are shares of all FAILs.
    """

    name: str
    judged: int
    fails: int
    reviews: int
    errors: int
    fail_rate: float
    share: float
    cumulative: float


def pareto(counts: Sequence[JointCounts], by: By = "refdes") -> list[ParetoRow]:
    """Sum the counts by refdes or package, without those that always passed; sorted by FAIL, REVIEW, then ERROR."""
    sums: dict[str, tuple[int, int, int, int]] = {}
    for one in counts:
        name = one.refdes if by == "refdes" else one.package
        judged, fails, reviews, errors = sums.get(name, (0, 0, 0, 0))
        sums[name] = judged + one.judged, fails + one.fails, reviews + one.reviews, errors + one.errors
    total = sum(fails for _, fails, _, _ in sums.values())
    seen, causes = 0, []
    for name, (judged, fails, reviews, errors) in sorted(sums.items(), key=_most_fails):
        if not fails + reviews + errors:
            continue
        seen += fails
        share, cumulative = (fails / total, seen / total) if total else (0.0, 0.0)
        rate = fails / judged if judged else 0.0
        causes.append(ParetoRow(name, judged, fails, reviews, errors, rate, share, cumulative))
    return causes


def _most_fails(item: tuple[str, tuple[int, int, int, int]]) -> tuple[int, int, int, str]:
    name, (_, fails, reviews, errors) = item
    return -fails, -reviews, -errors, name

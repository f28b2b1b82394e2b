"""Decides whether a new model may replace the deployed one, and says in words what would change on the line."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.text import amount, listing
from sji_edge.core.verdict import FAIL, PASS
from sji_edge.metrics.mcnemar import rate_change, worse_p

SIGNIFICANT = 0.05
BOARDS = 1000
NAMED = 5

Codes = NDArray[np.int8]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class PairedJoints:
    """Joints that both models judged; the arrays are ``(n,)``.

    Attributes:
        names: what people call each joint.
        is_defect: whether people say that it is a defect.
        held_out: whether it belongs to the split that no model learned from.
        new: verdict codes of the new model.
        old: verdict codes of the deployed one.
    """

    names: Sequence[str]
    is_defect: Flags
    held_out: Flags
    new: Codes
    old: Codes


@dataclass(frozen=True)
class Change:
    """How often the two err on the same held-out joints.

    Attributes:
        joints: all of them.
        new: errors of the new model.
        old: errors of the deployed one.
        only_new: joints on which only the new one errs.
        only_old: joints on which only the deployed one errs.
    """

    joints: int
    new: int
    old: int
    only_new: int
    only_old: int

    @classmethod
    def of(cls, new: Flags, old: Flags) -> "Change":
        """Count errors, given which joints each gets wrong."""
        return cls(len(new), int(new.sum()), int(old.sum()), int((new & ~old).sum()), int((old & ~new).sum()))

    @property
    def rate(self) -> float:
        """Error rate of the new one minus that of the deployed one."""
        return (self.new - self.old) / self.joints if self.joints else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Interval of ``rate``, at least 95 %."""
        return rate_change(self.only_new, self.only_old, self.joints)

    @property
    def p_worse(self) -> float:
        """Exact McNemar test of the new one being no worse."""
        return worse_p(self.only_new, self.only_old)


@dataclass(frozen=True)
class Outcome:
    """What a challenge found; true when the new model may replace the deployed one.

    Attributes:
        calls: good held-out joints that are not passed, so that somebody must look at them.
        fails: those of them that get FAIL.
        escapes: held-out defects that are passed.
        defects: number of all defects that people confirmed, in every split.
        newly_missed: names of those that the new model passes and the deployed one does not.
        newly_caught: names of those that the deployed one passes and the new model does not.
    """

    calls: Change
    fails: Change
    escapes: Change
    defects: int
    newly_missed: tuple[str, ...]
    newly_caught: tuple[str, ...]

    @property
    def failures(self) -> tuple[str, ...]:
        """Why the new model may not replace the deployed one, each in words; empty if it may."""
        found = []
        if not self.calls.joints or not self.escapes.joints:
            found.append(
                f"the held-out split has {amount(self.calls.joints, 'good joint')} and "
                f"{amount(self.escapes.joints, 'defect')}; it needs both"
            )
        if self.newly_missed:
            count = len(self.newly_missed)
            found.append(
                f"{amount(count, 'confirmed defect')} that the deployed engine calls "
                f"{'is' if count == 1 else 'are'} passed: {listing(self.newly_missed, NAMED)}"
            )
        if self.escapes.new > self.escapes.old:
            found.append(
                f"{amount(self.escapes.new, 'held-out defect')} escape instead of {self.escapes.old}"
            )
        if self.calls.new > self.calls.old and self.calls.p_worse < SIGNIFICANT:
            found.append(
                f"{amount(self.calls.new, 'good held-out joint')} of {self.calls.joints} called instead of "
                f"{self.calls.old} (exact McNemar test, p = {self.calls.p_worse:.2g})"
            )
        return tuple(found)

    def __bool__(self) -> bool:
        return not self.failures


def compare_paired(joints: PairedJoints) -> Outcome:
    """Compare two models on the same joints. A joint that is not PASS counts as called."""
    new_calls, old_calls = joints.new != PASS, joints.old != PASS
    good, bad = joints.held_out & ~joints.is_defect, joints.held_out & joints.is_defect
    missed = joints.is_defect & ~new_calls & old_calls
    caught = joints.is_defect & new_calls & ~old_calls
    return Outcome(
        calls=Change.of(new_calls[good], old_calls[good]),
        fails=Change.of(joints.new[good] == FAIL, joints.old[good] == FAIL),
        escapes=Change.of(~new_calls[bad], ~old_calls[bad]),
        defects=int(joints.is_defect.sum()),
        newly_missed=tuple(joints.names[index] for index in np.flatnonzero(missed).tolist()),
        newly_caught=tuple(joints.names[index] for index in np.flatnonzero(caught).tolist()),
    )


def in_words(outcome: Outcome, joints_per_board: int, defect_share: float) -> tuple[str, ...]:
    """Say what would change on the line, in sentences for 1,000 boards.

    Args:
        outcome: of a challenge.
        joints_per_board: joints of one board; 1 where boards are not known, and the sentences speak of joints.
        defect_share: share of the joints that are defects on the line.
    """
    calls, escapes = outcome.calls, outcome.escapes
    of = (
        f"{BOARDS:,} boards of {amount(joints_per_board, 'joint')}"
        if joints_per_board > 1
        else f"{BOARDS:,} joints"
    )
    seen = BOARDS * joints_per_board
    return (
        f"On the held-out joints ({calls.joints} good, {escapes.joints} defects), the new model calls {calls.new} good "
        f"joints ({outcome.fails.new} of them FAIL) and lets {amount(escapes.new, 'defect')} pass; the deployed one "
        f"calls {calls.old} ({outcome.fails.old} FAIL) and lets {escapes.old} pass.",
        f"Per {of}, somebody has to look at {_fewer(calls, seen * (1 - defect_share), 'good joint')}.",
        f"Per {of} with {seen * defect_share:,.0f} defects, {_fewer(escapes, seen * defect_share, 'defect')} "
        "would escape.",
        f"Of {amount(outcome.defects, 'defect')} in all splits of the dataset, the new model passes "
        f"{len(outcome.newly_missed)} that the deployed one calls, and calls {len(outcome.newly_caught)} that the "
        "deployed one passes.",
    )


def _fewer(change: Change, scale: float, noun: str) -> str:
    """Return ``about 20 fewer good joints (95 %: 40 fewer to 10 more)``."""
    low, high = (limit * scale for limit in change.interval)
    about = change.rate * scale
    if abs(about) < 0.5:
        return f"about as many {noun}s as today (95 %: {_signed(low)} to {_signed(high)})"
    return f"about {_signed(about)} {noun}s (95 %: {_signed(low)} to {_signed(high)})"


def _signed(count: float) -> str:
    return f"{abs(count):,.0f} {'more' if count > 0 else 'fewer'}"

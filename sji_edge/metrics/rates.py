"""Count escapes per defect and false calls per good joint."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.verdict import ERROR, FAIL, PASS, REVIEW
from sji_edge.metrics.intervals import clopper_pearson

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class DefectRates:
    """Counts of verdicts against the truth; *defect* is the positive class, and FAIL predicts it.

    Attributes:
        defects: joints that are defective.
        goods: joints that are good.
        caught: defects given FAIL.
        escapes: defects given PASS.
        false_calls: good joints given FAIL.
        reviews: joints given REVIEW, good or not.
        good_reviews: good joints given REVIEW.
        errors: joints given ERROR, good or not.
    """

    defects: int
    goods: int
    caught: int
    escapes: int
    false_calls: int
    reviews: int
    good_reviews: int
    errors: int

    @property
    def escape_rate(self) -> float | None:
        """Escapes / defects; None without a defect."""
        return _ratio(self.escapes, self.defects)

    @property
    def escape_interval(self) -> Interval:
        """95 % interval of the escape rate; (0, 1) without a defect."""
        return clopper_pearson(self.escapes, self.defects)

    @property
    def false_call_rate(self) -> float | None:
        """False calls / good joints; None without a good joint."""
        return _ratio(self.false_calls, self.goods)

    @property
    def false_call_interval(self) -> Interval:
        """95 % interval of the false-call rate; (0, 1) without a good joint."""
        return clopper_pearson(self.false_calls, self.goods)

    @property
    def precision(self) -> float | None:
        """Share of defects among the joints given FAIL; None when none was."""
        return _ratio(self.caught, self.caught + self.false_calls)

    @property
    def recall(self) -> float | None:
        """Share of the defects given FAIL; None without a defect."""
        return _ratio(self.caught, self.defects)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None when there is neither a defect nor a FAIL."""
        return _ratio(2 * self.caught, self.caught + self.false_calls + self.defects)

    def as_dict(self) -> dict[str, Any]:
        """Return all counts, rates and intervals by name, ready for JSON; None where a denominator is 0."""
        return asdict(self) | {
            "escape_rate": self.escape_rate,
            "escape_interval": list(self.escape_interval),
            "false_call_rate": self.false_call_rate,
            "false_call_interval": list(self.false_call_interval),
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
        }


def defect_rates(codes: NDArray[np.int8], is_defect: NDArray[np.bool_]) -> DefectRates:
    """Count verdicts against the truth.

    Args:
        codes: verdict codes of ``core.verdict.decide``, int8 ``(n,)``.
        is_defect: the truth, bool ``(n,)``.

    Raises:
        ValueError: the lengths differ, or ``is_defect`` is not bool.
    """
    if codes.shape != is_defect.shape or codes.ndim != 1:
        raise ValueError(f"{codes.shape} verdicts do not match {is_defect.shape} labels")
    if is_defect.dtype != np.bool_:
        raise ValueError(f"labels must be bool (got {is_defect.dtype})")
    good = ~is_defect
    return DefectRates(
        defects=int(is_defect.sum()),
        goods=int(good.sum()),
        caught=int((is_defect & (codes == FAIL)).sum()),
        escapes=int((is_defect & (codes == PASS)).sum()),
        false_calls=int((good & (codes == FAIL)).sum()),
        reviews=int((codes == REVIEW).sum()),
        good_reviews=int((good & (codes == REVIEW)).sum()),
        errors=int((codes == ERROR).sum()),
    )


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None

"""The record of a review budget: how it was divided, and what that gave on the validation views."""

from pydantic import Field

from sji_edge.core.errors import UsageError
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.shares import parse_share

DEFAULT_BUDGET = 0.01
MAX_BUDGET = 0.5


class BudgetSplit(FrozenModel):
    """One way to divide the budget.

    Attributes:
        shares: share of the good views that each measure may stop, by its name.
        escapes: estimated share of the defects that pass; above 0 even where no known defect does.
        novelties: share of the made-up novelties that pass; None for a model without a guard.
    """

    shares: dict[str, float]
    escapes: float
    novelties: float | None


class ReviewBudget(FrozenModel):
    """The budget that the limits were chosen for, and its use on views of the validation joints.

    Attributes:
        budget: share of the good joints that may be kept from PASS.
        shares: how it was divided: the share for each measure, by its name.
        goods: number of good views.
        stopped: good views that did not get PASS.
        defects: number of views of defects.
        escapes: views of defects that got PASS.
        novelties: number of made-up novelties; 0 for a model without a guard.
        novelties_passed: made-up novelties that got PASS.
        splits: all the ways to divide it that were compared.
    """

    budget: float = Field(gt=0.0, le=MAX_BUDGET)
    shares: dict[str, float]
    goods: int
    stopped: int
    defects: int
    escapes: int
    novelties: int
    novelties_passed: int
    splits: tuple[BudgetSplit, ...]

    @property
    def reached(self) -> float:
        """Share of the good views that did not get PASS."""
        return self.stopped / self.goods

    @property
    def is_met(self) -> bool:
        """Whether that share is within the budget."""
        return self.stopped <= self.budget * self.goods + 5e-7

    @property
    def words(self) -> tuple[str, ...]:
        """What the budget gave, as sentences."""
        spent = " and ".join(f"{share:.2%} for the {name}" for name, share in self.shares.items())
        said = [
            f"Review budget {self.budget:.2%}: {spent}. Of {self.goods} views of good validation joints, "
            f"{self.stopped} ({self.reached:.2%}) do not get PASS.",
            f"{self.escapes} of {self.defects} views of defects pass"
            + (
                f", and {self.novelties_passed} of {self.novelties} made-up novelties."
                if self.novelties
                else "."
            ),
        ]
        if not self.is_met:
            said.append(
                f"The budget of {self.budget:.2%} cannot be met: a higher PASS limit would lie where defects are as "
                f"frequent as good joints. Reached: {self.reached:.2%}."
            )
        return tuple(said)


def parse_budget(text: str) -> float:
    """Parse a review budget such as ``1%``, ``1 %`` or ``0.01``.

    Raises:
        UsageError: the text is no number, or not in (0, ``MAX_BUDGET``].
    """
    value = parse_share(text)
    if value is None or not 0.0 < value <= MAX_BUDGET:
        raise UsageError(
            f"a review budget must be above 0 and at most {MAX_BUDGET:.0%} (got {text!r})",
            hint="give a share of the good joints such as 1% or 0.01",
        )
    return value

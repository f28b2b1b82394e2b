"""How a review budget was divided."""

from rich.table import Table

from sji_edge.cli.render.console import console, plain
from sji_edge.core.review_budget import ReviewBudget


def print_budget(budget: ReviewBudget) -> None:
    """Print what the budget gave in words and, where there was a choice, every division of it."""
    for line in budget.words:
        console().print(line, markup=False)
    if len(budget.splits) > 1:
        console().print(budget_table(budget))


def budget_table(budget: ReviewBudget) -> Table:
    """Return a table of the divisions that were compared; the chosen one is marked."""
    table = Table(title=f"review budget {budget.budget:.2%}, divided on the validation split")
    for name in budget.shares:
        table.add_column(plain(f"for the {name}"), justify="right")
    for column in ("defects that pass (estimate)", "made-up novelties that pass", ""):
        table.add_column(column, justify="right")
    for split in budget.splits:
        table.add_row(
            *(f"{split.shares[name]:.3%}" for name in budget.shares),
            f"{split.escapes:.2%}",
            "–" if split.novelties is None else f"{split.novelties:.1%}",
            "chosen" if split.shares == budget.shares else "",
        )
    return table

"""What ``challenge`` prints."""

from rich.console import Console
from rich.table import Table

from sji_edge.core.text import listing, readable
from sji_edge.core.trust import Trust
from sji_edge.workflows.challenge.challenge import Challenge

NAMED = 10


def print_challenge(terminal: Console, result: Challenge) -> None:
    """Print the counts of both, what would change on the line, and whether the engine was installed."""
    outcome = result.outcome
    table = Table(title=readable(f"{result.new} against {result.old}, held-out joints"))
    for column in ("", "of", "deployed", "new", "only deployed", "only new"):
        table.add_column(column, justify="right" if column else "left")
    for name, change in (
        ("good joints called", outcome.calls),
        ("good joints FAIL", outcome.fails),
        ("defects passed", outcome.escapes),
    ):
        counts = (change.joints, change.old, change.new, change.only_old, change.only_new)
        table.add_row(name, *(str(count) for count in counts))
    terminal.print(table)
    for sentence in result.words:
        terminal.print(readable(sentence), markup=False)
    if outcome.newly_caught:
        terminal.print(readable(f"newly called: {listing(outcome.newly_caught, NAMED)}"), markup=False)
    for note in result.notes:
        terminal.print(readable(f"note: {note}"), markup=False)
    if result:
        terminal.print(readable(_passed(result)), markup=False)


def _passed(result: Challenge) -> str:
    installed = result.installed
    if installed is None:
        step = (
            "pass --accept to install it" if result.trust is Trust.SEMI_AUTOMATIC else "nothing is installed"
        )
        return f"passed; trust {result.trust}: {step}"
    if installed.taken:
        return f"passed and installed: infer takes {installed.folder} where no engine is named"
    return f"passed and installed as {installed.folder}, but infer takes {installed.instead}; name it with --engine"

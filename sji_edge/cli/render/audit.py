"""Tables and lines of an audit."""

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from sji_edge.cli.render.console import console
from sji_edge.core.text import readable

if TYPE_CHECKING:
    from sji_edge.data.audit import Audit, Finding

LISTED = 4


def print_finding(finding: "Finding") -> None:
    """Print one line: the kind, what was found, and the first few files."""
    colour = "red" if finding.serious else "yellow"
    more = len(finding.files) - LISTED
    files = ", ".join(map(readable, finding.files[:LISTED])) + (f" and {more} more" if more > 0 else "")
    listed = f" ({files})" if finding.files else ""
    console().print(f"[{colour}]{finding.kind}[/]: {escape(readable(finding.text) + listed)}")


def print_audit(found: "Audit") -> None:
    """Print the images of each split and class, the shortcuts, and every finding."""
    table = Table(title=f"{found.images} images")
    table.add_column("split")
    for name in next(iter(found.classes.values())):
        table.add_column(escape(readable(name)), justify="right")
    for split, counts in found.classes.items():
        table.add_row(split, *map(str, counts.values()))
    console().print(table)
    shortcuts = Table(
        title="labels predictable without looking at the solder (train split, cross-validated AUC)"
    )
    shortcuts.add_column("predicted from")
    shortcuts.add_column("AUC", justify="right")
    for name, auc in found.shortcuts.items():
        shortcuts.add_row(name, "too few joints" if auc is None else f"{auc:.3f}")
    console().print(shortcuts)
    for finding in found.findings:
        print_finding(finding)
    if not found.findings:
        console().print("[green]no faults found[/green]")

"""What ``calibrate`` prints about a set's audit."""

from rich.markup import escape
from rich.table import Table

from sji_edge.cli.render.console import console
from sji_edge.core.text import listing
from sji_edge.workflows.calibrate import CalibrationResult

SHOWN_CLIPPED = 3


def print_audit(made: CalibrationResult) -> None:
    """Print what a calibration set covers and what the audit found wrong with it."""
    found = made.manifest.audit
    table = Table(title=escape(f"{made.folder}: {found.crops} crops"), show_header=False)
    rows = {
        "classes": ", ".join(f"{name} {count}" for name, count in found.by_class.items()),
        "groups": _groups(len(found.by_group), found.groups_missing),
        "duplicates": f"{found.exact_duplicates} identical files, {found.near_duplicates} that look the same",
        "flat crops": str(found.flat_crops),
        "held-out images": f"{found.held_out_images_compared} compared; {found.like_held_out} training images look "
        f"like one of them; {found.left_out} training images left out",
        "most clipped tensors": ", ".join(
            f"{name} {share:.3%}" for name, share in list(found.clipped.items())[:SHOWN_CLIPPED]
        )
        or "not measured",
    }
    for name, text in rows.items():
        table.add_row(name, escape(text))
    console().print(table)
    for warning in made.warnings:
        console().print(f"[yellow]warning: {escape(warning)}[/yellow]")
    if made.manifest.forced:
        console().print(f"[bold red]forced[/bold red] despite: {escape('; '.join(found.findings))}")


def _groups(covered: int, missing: tuple[str, ...]) -> str:
    if not covered and not missing:
        return "not known (there is no labels.csv with the columns file and group)"
    text = f"{covered} of {covered + len(missing)}"
    return f"{text}; without {listing(missing)}" if missing else text

"""What ``calibrate`` prints of a set's audit."""

from pathlib import Path

from rich.table import Table

from sji_edge.cli.render.common import console
from sji_edge.quantization.calibration.dataset import CalibrationManifest

SHOWN_CLIPPED = 3


def print_audit(folder: Path, manifest: CalibrationManifest) -> None:
    """Print what a set covers, and what speaks against it."""
    found = manifest.audit
    table = Table(title=f"{folder}: {found.crops} crops", show_header=False)
    rows = {
        "classes": ", ".join(f"{name} {count}" for name, count in found.by_class.items()),
        "groups": _groups(len(found.by_group), found.groups_missing),
        "repeated": f"{found.exact_duplicates} same file, {found.near_duplicates} same picture",
        "flat": str(found.flat_crops),
        "held-out images": f"{found.held_out_images_compared} compared, none among the crops; "
        f"{found.like_held_out} look like a training image; {found.left_out} training images left out",
        "clipped": "; ".join(
            f"{name} {share:.3%}" for name, share in list(found.clipped.items())[:SHOWN_CLIPPED]
        )
        or "not measured",
    }
    for name, text in rows.items():
        table.add_row(name, text)
    console().print(table)
    if manifest.forced:
        console().print(f"[bold red]forced[/bold red] although: {'; '.join(found.findings)}")


def _groups(covered: int, missing: tuple[str, ...]) -> str:
    if not covered and not missing:
        return "not known (no labels.csv with the columns file and group)"
    text = f"{covered} of {covered + len(missing)}"
    return text if not missing else f"{text}; without {', '.join(missing[:5])}"

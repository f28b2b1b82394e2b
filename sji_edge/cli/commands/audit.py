"""``sji-edge audit``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sji_edge.data.audit import Audit, Finding

LISTED = 4


def audit(
    data: Annotated[Path, typer.Argument(help="Dataset: DATA/{train,validation,test}/CLASS/IMAGE.")],
    good_class: Annotated[str, typer.Option(help="The class that means: no defect.")] = "normal",
    strict: Annotated[bool, typer.Option("--strict", help="Exit 3 when something serious is found.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the findings here.")] = None,
) -> None:
    """Look for what spoils a dataset: unreadable and doubled images, leaks between splits, labels told by accident.

    Example: `sji-edge audit data/solder-joints --strict`
    """
    from sji_edge.cli.render.common import console
    from sji_edge.core.errors import GateError
    from sji_edge.core.extras import require

    require("sklearn", purpose="sji-edge audit")
    from sji_edge.core.files import write_json
    from sji_edge.data.audit import audit as look
    from sji_edge.data.folder import SPLIT_FOLDERS, FolderDataset

    splits = [
        name for name, folders in SPLIT_FOLDERS.items() if any((data / one).is_dir() for one in folders)
    ]
    dataset = FolderDataset.open(data, good_class, splits or ["train"])
    with console().status("looking at every image"):
        found = look(dataset)
    _print(found)
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        write_json(json_file, found.model_dump(mode="json"))
    if strict and not found:
        serious = [finding.text for finding in found.findings if finding.serious]
        raise GateError(f"the audit of {data} failed: {'; '.join(serious)}")


def print_findings(findings: "Iterable[Finding]") -> None:
    """Print one line a finding, with its first files."""
    from rich.markup import escape

    from sji_edge.cli.render.common import console

    for finding in findings:
        colour = "red" if finding.serious else "yellow"
        more = len(finding.files) - LISTED
        files = ", ".join(finding.files[:LISTED]) + (f" and {more} more" if more > 0 else "")
        listed = f" ({files})" if finding.files else ""
        console().print(f"[{colour}]{finding.kind}[/]: {escape(finding.text + listed)}")


def _print(found: "Audit") -> None:
    from rich.markup import escape
    from rich.table import Table

    from sji_edge.cli.render.common import console

    table = Table(title=f"{found.images} images")
    table.add_column("split")
    for name in next(iter(found.classes.values())):
        table.add_column(escape(name), justify="right")
    for split, counts in found.classes.items():
        table.add_row(split, *map(str, counts.values()))
    console().print(table)
    shortcuts = Table(title="what tells the label without the solder (train split, cross-validated AUC)")
    shortcuts.add_column("told from")
    shortcuts.add_column("AUC", justify="right")
    for name, auc in found.shortcuts.items():
        shortcuts.add_row(name, "too few joints" if auc is None else f"{auc:.3f}")
    console().print(shortcuts)
    print_findings(found.findings)
    if not found.findings:
        console().print("[green]nothing found[/green]")

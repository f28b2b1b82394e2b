"""``sji-edge doctor``."""

from pathlib import Path
from typing import Annotated

import typer

from sji_edge.cli.options import PrintJson


def doctor(
    as_json: PrintJson = False,
    output: Annotated[
        Path, typer.Option(help="Folder that you plan to write records to; its disk is examined.")
    ] = Path(),
) -> None:
    """Examine this machine: CPU, GPU, driver, backends, cameras, disk and clocks. Changes nothing.

    Example: `sji-edge doctor --json`
    """
    from sji_edge.cli.render.diagnosis import print_checks
    from sji_edge.workflows.diagnose import examine

    print_checks(examine(output), as_json)

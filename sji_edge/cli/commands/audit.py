"""``sji-edge audit``."""

from typing import Annotated

import typer

from sji_edge.cli.options import GOOD_CLASS, BitDepth, Dataset, GoodClass, JsonFile


def audit(
    data: Dataset,
    good_class: GoodClass = GOOD_CLASS,
    bit_depth: BitDepth = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 3 when a serious fault is found or files are left out.")
    ] = False,
    json_file: JsonFile = None,
) -> None:
    """Find what spoils a dataset: unreadable files, duplicates, leaks between splits, predictable labels.

    Example: `sji-edge audit data/solder-joints --strict`
    """
    from sji_edge.cli.render.audit import print_audit
    from sji_edge.cli.render.console import console
    from sji_edge.core.extras import require

    require("sklearn", purpose="sji-edge audit")
    from sji_edge.workflows.audit import audit as look
    from sji_edge.workflows.audit import require_sound

    with console().status("looking at every image"):
        found = look(data, good_class=good_class, bit_depth=bit_depth, json_file=json_file)
    print_audit(found)
    if strict:
        require_sound(found, data)

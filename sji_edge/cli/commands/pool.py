"""``sji-edge pool``: the commands that work on a pool."""

from pathlib import Path
from typing import Annotated

import typer

from sji_edge.cli.options import ENGINES, Engines, Threads

pool = typer.Typer(name="pool", no_args_is_help=True, help="Let an engine look at the joints of a pool.")


@pool.callback()
def _group() -> None:
    """Make Typer keep ``judge`` as a command of a group: it would drop the name of an only one."""


@pool.command()
def judge(
    folder: Annotated[Path, typer.Argument(metavar="POOL", help="Folder of the pool.")],
    engine: Annotated[
        Path | None,
        typer.Option(help="Engine folder; default: the newest released engine.", show_default=False),
    ] = None,
    engines: Engines = ENGINES,
    threads: Threads = 0,
) -> None:
    """Judge the crops of a pool that an engine has not seen, to label the uncertain and the novel ones first.

    Example: `sji-edge pool judge pools/amplifier --engine engines/amplifier`
    """
    from sji_edge.cli.render.collect import print_judged_pool
    from sji_edge.cli.render.console import console
    from sji_edge.workflows.collect.judge_pool import judge_pool

    terminal = console()
    with terminal.status("opening the engine") as status:
        found = judge_pool(
            folder, engine, engines=engines, threads=threads,
            progress=lambda done, whole: status.update(f"{done} of {whole} crops"),
        )  # fmt: skip
    print_judged_pool(terminal, found)

"""The application: the table of all commands."""

from importlib.metadata import version
from typing import Annotated

import typer

from sji_edge.cli.commands.audit import audit
from sji_edge.cli.commands.bench import bench
from sji_edge.cli.commands.build_engine import build_engine
from sji_edge.cli.commands.calibrate import calibrate
from sji_edge.cli.commands.collect import collect
from sji_edge.cli.commands.dataset import dataset
from sji_edge.cli.commands.demo import demo
from sji_edge.cli.commands.distill import distill
from sji_edge.cli.commands.doctor import doctor
from sji_edge.cli.commands.engine import engine
from sji_edge.cli.commands.evaluate import evaluate
from sji_edge.cli.commands.export import export
from sji_edge.cli.commands.guard import guard
from sji_edge.cli.commands.infer import infer
from sji_edge.cli.commands.inspections import inspections
from sji_edge.cli.commands.parity import parity
from sji_edge.cli.commands.recipe import recipe
from sji_edge.cli.commands.study import study
from sji_edge.cli.commands.train import train

app = typer.Typer(
    name="sji-edge",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (
    collect,
    audit,
    train,
    distill,
    guard,
    evaluate,
    study,
    export,
    calibrate,
    build_engine,
    parity,
    bench,
    infer,
    demo,
    doctor,
):
    app.command()(command)
app.add_typer(dataset)
app.add_typer(engine)
app.add_typer(inspections)
app.add_typer(recipe)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sji-edge {version('sji-edge')}")
        raise typer.Exit


@app.callback()
def main(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Judge solder joints at the edge: **train → export → build-engine → parity → infer**.

    Exit codes: 0 success, 1 internal error, 2 usage or configuration, 3 a quality or parity gate failed or a run
    judged no joint, 4 a latency gate failed, 5 environment or engine incompatible, or the engine was altered,
    6 source lost, 7 an output failed, 130 interrupted.
    """

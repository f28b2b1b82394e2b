"""The application: the table of all commands."""

from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

COMMANDS = (
    "collect",
    "audit",
    "train",
    "distill",
    "guard",
    "evaluate",
    "study",
    "export",
    "calibrate",
    "build-engine",
    "parity",
    "challenge",
    "bench",
    "infer",
    "review",
    "demo",
    "doctor",
)
GROUPS = ("dataset", "engine", "inspections", "pool", "recipe", "users")
"""Each is an attribute of the module of ``cli.commands`` with the same name."""


def application(words: Sequence[str] = ()) -> typer.Typer:
    """Return the application, with the one command that the words call; with all if they call none.

    Importing all commands and reading their options takes a tenth of a second.

    Args:
        words: the command line, without the program's name.
    """
    app = typer.Typer(
        name="sji-edge",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    called = words[0] if words and words[0] in (*COMMANDS, *GROUPS) else ""
    for name in COMMANDS:
        if called in ("", name):
            app.command()(_attribute(name))
    for name in GROUPS:
        if called in ("", name):
            app.add_typer(_attribute(name))
    app.callback()(main)
    return app


def _attribute(command: str) -> typer.Typer:
    name = command.replace("-", "_")
    found: typer.Typer = getattr(import_module(f"sji_edge.cli.commands.{name}"), name)
    return found


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"sji-edge {version('sji-edge')}")
        raise typer.Exit


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

"""The command line: one file per command; this one maps errors to exit codes."""

import errno
import sys
import traceback
from importlib.metadata import version
from typing import Annotated, cast

import typer

from sji_edge.cli.commands.audit import audit
from sji_edge.cli.commands.bench import bench
from sji_edge.cli.commands.build_engine import build_engine
from sji_edge.cli.commands.calibrate import calibrate
from sji_edge.cli.commands.demo import demo
from sji_edge.cli.commands.doctor import doctor
from sji_edge.cli.commands.engine import engine
from sji_edge.cli.commands.evaluate import evaluate
from sji_edge.cli.commands.export import export
from sji_edge.cli.commands.infer import infer
from sji_edge.cli.commands.inspections import inspections
from sji_edge.cli.commands.parity import parity
from sji_edge.cli.commands.recipe import recipe
from sji_edge.cli.commands.study import study
from sji_edge.cli.commands.train import train
from sji_edge.core.errors import EXIT_INTERRUPTED, OutputError, SjiError

app = typer.Typer(
    name="sji-edge",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (
    audit,
    train,
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
app.add_typer(engine)
app.add_typer(inspections)
app.add_typer(recipe)

WRITE_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}
# Typer 0.29 carries its own copy of click, older ones use the package: take the class from Typer itself.
ClickException = cast(
    "type[Exception]", next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
)


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

    Exit codes: 0 fine, 1 internal error, 2 usage or configuration, 3 a quality or parity gate failed or
    a run judged no joint, 4 a latency gate failed, 5 environment or engine incompatible, or an engine altered,
    6 source lost, 7 a sink failed, 130 interrupted.
    """


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the documented code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # The flag works before and after the command's name.
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    sys.exit(_exit_code(words, debug))


def _exit_code(words: list[str], debug: bool) -> int:
    try:
        # A command called from another one returns what it made; only an exit code is one.
        answer = app(words, standalone_mode=False)
        result = answer if isinstance(answer, int) else 0
    except ClickException as error:
        error.show()  # type: ignore[attr-defined]
        return int(error.exit_code)  # type: ignore[attr-defined]
    except typer.Exit as stop:
        result = stop.exit_code
    except (KeyboardInterrupt, typer.Abort):
        result = EXIT_INTERRUPTED
    except SjiError as error:
        return _report(error, debug)
    except OSError as error:
        if error.errno in WRITE_ERRNOS:
            place = f" {error.filename}" if error.filename else ""
            return _report(
                OutputError(f"cannot write{place}: {error.strerror}", hint="free some space"), debug
            )
        return _report_internal(error, debug)
    except Exception as error:  # noqa: BLE001 - the outermost boundary: shown, and exit 1
        return _report_internal(error, debug)
    if result == EXIT_INTERRUPTED:
        typer.echo("interrupted", err=True)
    return result


def _report(error: SjiError, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    typer.echo(f"error: {error.message}", err=True)
    if error.hint:
        typer.echo(f"hint: {error.hint}", err=True)
    return error.exit_code


def _report_internal(error: Exception, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    typer.echo(f"internal error: {type(error).__name__}: {error}", err=True)
    typer.echo("hint: run it again with --debug and report the traceback", err=True)
    return 1

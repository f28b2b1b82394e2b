"""The entry point: signals, output that survives its reader, and the exit code of every error.

It imports little at first, so that a signal is answered from the start.
"""

import errno
import os
import sys
import traceback
from contextlib import suppress
from typing import Any, NoReturn

from sji_edge.cli.guarded_output import GuardedOutput, guarded_output
from sji_edge.cli.interrupt import Interrupt, RunInterruptedError
from sji_edge.core.errors import EXIT_INTERRUPTED, OutputError, SjiError, UsageError
from sji_edge.core.text import one_line, readable, shortened

WRITE_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}
PATH_ERRNOS = {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.EIO, errno.ESTALE}
"""Even a look whether a file exists fails with these: its path is too long, or leads through a closed folder."""


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the documented code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # pydantic would read the entry points of every installed package for plugins that nothing here uses.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # The flag works before and after the command's name.
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    with guarded_output() as out:
        try:
            with Interrupt():
                code = _exit_code(words, debug)
        except KeyboardInterrupt:
            code = _interrupted()
        out.flush()
        code = code or _output_code(out)
    leave(code)


def leave(code: int) -> NoReturn:
    """End the process, at once if an engine call never returned: its runtime would abort a normal exit."""
    watch = sys.modules.get("sji_edge.inspection.judging.engine_watch")
    if watch is not None and watch.calls_running():
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def _exit_code(words: list[str], debug: bool) -> int:
    try:
        return _call(words)
    except RunInterruptedError as stop:
        _say(str(stop))
        return EXIT_INTERRUPTED
    except SjiError as error:
        return _report(error, debug)
    except OSError as error:
        if error.errno in WRITE_ERRNOS:
            place = f" {error.filename}" if error.filename else ""
            return _report(
                OutputError(f"cannot write{place}: {error.strerror}", hint="free some space"), debug
            )
        if error.errno in PATH_ERRNOS and error.filename:
            name = shortened(os.fsdecode(error.filename))
            return _report(
                UsageError(f"cannot use {name}: {error.strerror}", hint="check the path and its permissions"),
                debug,
            )
        return _report_internal(error, debug)
    except Exception as error:  # noqa: BLE001 - the outermost boundary: shown, and exit 1
        return _report_internal(error, debug)


def _call(words: list[str]) -> int:
    """Call the command; returns its exit code."""
    import typer

    from sji_edge.cli.app import application

    # Typer 0.29 carries its own copy of click, older ones use the package: take the class from Typer itself.
    usage_error: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
    try:
        # A command's function may return its result; only a number is an exit code.
        answer = application(words)(words, standalone_mode=False)
    except usage_error as error:
        error.show()
        return int(error.exit_code)
    except typer.Exit as stop:
        answer = stop.exit_code
    except typer.Abort:
        return _interrupted()
    code = answer if isinstance(answer, int) else 0
    # Typer turns a KeyboardInterrupt into this code.
    return _interrupted() if code == EXIT_INTERRUPTED else code


def _interrupted() -> int:
    _say("interrupted")
    return EXIT_INTERRUPTED


def _report(error: SjiError, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    _say(f"error: {error.message}")
    if error.hint:
        _say(f"hint: {error.hint}")
    return error.exit_code


def _report_internal(error: Exception, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    _say(f"internal error: {type(error).__name__}: {one_line(error)}")
    _say("hint: run the command again with --debug and report the traceback")
    return 1


def _output_code(out: GuardedOutput) -> int:
    """Return 0, or the exit code of a failure to write standard output; a reader that left is no failure."""
    if out.failure is None or out.failure.errno == errno.EPIPE:
        return 0
    return _report(OutputError(f"cannot write to standard output: {out.failure.strerror}"), debug=False)


def _say(text: str) -> None:
    """Write one line to standard error, whatever is in the text."""
    sys.stderr.write(readable(text) + "\n")
    sys.stderr.flush()

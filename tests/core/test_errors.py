import errno
import subprocess
import sys

import pytest
import typer

from sji_edge.cli import app as application
from sji_edge.cli import main
from sji_edge.core import errors

DOCUMENTED = {
    errors.SjiError: 1,
    errors.UsageError: 2,
    errors.DataError: 2,
    errors.RecipeError: 2,
    errors.RoiOutsideFrameError: 2,
    errors.GateError: 3,
    errors.LatencyGateError: 4,
    errors.EnvironmentMismatchError: 5,
    errors.MissingExtraError: 5,
    errors.BundleError: 5,
    errors.EngineInputError: 5,
    errors.SourceError: 6,
    errors.OutputError: 7,
}


@pytest.fixture
def failing_app(monkeypatch):
    """Adds a command to the application that raises a given error."""

    def prepare(failure: BaseException) -> None:
        app = typer.Typer()

        @app.command()
        def command() -> None:
            raise failure

        monkeypatch.setattr(application, "application", lambda words: app)

    return prepare


def exit_code(*words: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main.run(list(words))
    return int(stop.value.code)


def test_every_error_of_the_module_has_a_documented_code():
    defined = {value for value in vars(errors).values() if isinstance(value, type)}
    assert defined == set(DOCUMENTED)


@pytest.mark.parametrize(("kind", "code"), DOCUMENTED.items(), ids=lambda value: str(value)[-25:])
def test_an_error_is_one_line_a_hint_and_its_code(failing_app, capsys, kind, code):
    failing_app(kind("found this, wanted that", hint="do so"))
    assert exit_code() == code
    assert capsys.readouterr().err == "error: found this, wanted that\nhint: do so\n"


def test_debug_shows_the_traceback(failing_app, capsys):
    failing_app(errors.DataError("no"))
    assert exit_code("--debug") == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("failure", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(errno.ENOSPC, "No space left on device", "runs/x"), 7, "cannot write runs/x: No space"),
        (OSError(errno.EROFS, "Read-only file system"), 7, "cannot write: Read-only"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/closed/x"),
            2,
            "cannot use /closed/x: Permission",
        ),
        (ZeroDivisionError("by zero"), 1, "internal error: ZeroDivisionError: by zero"),
    ],
)
def test_other_failures_have_their_codes(failing_app, capsys, failure, code, said):
    failing_app(failure)
    assert exit_code() == code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code"),
    [(["--help"], 0), (["--version"], 0), (["no-such-command"], 2), (["train", "--epochs", "0", "x"], 2)],
)
def test_click_keeps_its_own_codes(words, code):
    assert exit_code(*words) == code


def test_the_command_line_needs_no_click_package():
    script = "import sys; sys.modules['click'] = None; from sji_edge.cli.main import run; run(['--version'])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_usage_error_of_a_real_command_reaches_the_shell(tmp_path):
    script = "from sji_edge.cli.main import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", script, "calibrate", str(tmp_path / "gone")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("infer", "--stream", "x", "--engine"),
        ("infer", "--stream", "x", "--recipe"),
        ("export",),
        ("engine", "verify"),
        ("audit",),
        ("recipe", "check"),
    ],
)
def test_a_path_that_is_too_long_is_a_usage_error_on_a_short_line(capsys, words):
    assert exit_code(*words, "x" * 5000) in (2, 5)
    said = capsys.readouterr().err
    assert "File name too long" in said or "no released engine" in said
    assert max(len(line) for line in said.splitlines()) < 300

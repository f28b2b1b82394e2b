import subprocess
import sys
from pathlib import Path

import pytest
import typer
from support.tiny_bundle import HEAD, make_bundle
from typer.testing import CliRunner, Result

from sji_edge.cli.commands.parity import parity
from sji_edge.core.errors import GateError

app = typer.Typer()
app.command()(parity)


def _run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})


def test_the_newest_engine_is_proven_on_its_golden_crops(tmp_path: Path) -> None:
    make_bundle(tmp_path, name="one")
    result = _run("--engines", tmp_path, "--threads", 1)
    assert result.exit_code == 0
    for text in ("PyTorch → ONNX", "PyTorch → engine", "golden crops", "40 joints", "passed", "defective"):
        assert text in result.stdout


def test_a_failed_gate_prints_the_table_and_ends_with_a_gate_error(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path, engine_head=-HEAD).folder
    result = _run(folder)
    assert isinstance(result.exception, GateError)
    assert result.exception.exit_code == 3
    assert "failed" in result.stdout
    assert "changed to PASS" in result.stdout


def test_the_command_works_without_torch(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path).folder
    program = (
        "import sys\nfor name in ('torch', 'torchvision', 'lightning', 'onnx'):\n"
        "    sys.modules[name] = None\n"
        "import typer\nfrom sji_edge.cli.commands.parity import parity\ntyper.run(parity)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "passed" in done.stdout


@pytest.mark.parametrize("text", ["Example", "sji-edge parity engines/demo"])
def test_help_shows_an_example(text: str) -> None:
    assert text in _run("--help").stdout

import subprocess
import sys
from pathlib import Path

import pytest
import typer
from support.tiny_bundle import HEAD, make_bundle
from support.tiny_dataset import write_dataset
from typer.testing import CliRunner, Result

from sji_edge.cli.commands.parity import parity
from sji_edge.core.errors import GateError, OutputError, UsageError
from sji_edge.parity.json_report import ParityResult, Proof
from sji_edge.workflows.compare.compare import compare

app = typer.Typer()
app.command()(parity)


def _run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})


def test_the_newest_engine_is_compared_on_its_golden_crops(tmp_path: Path) -> None:
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


def test_compare_is_true_only_when_every_gate_passed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = make_bundle(tmp_path, name="good").folder
    bad = make_bundle(tmp_path, name="bad", engine_head=-HEAD).folder
    steps: list[str] = []
    found: list[Proof] = []
    result = compare([good, bad], threads=1, progress=steps.append, found=found.append)
    assert not result
    assert result.proofs == tuple(found)
    assert [bool(proof) for proof in result.proofs] == [True, False]
    [failure] = result.failures
    assert failure.startswith(f"{bad} fails its parity gate on golden crops: ")
    assert steps == ["comparing good on golden crops", "comparing bad on golden crops"]
    assert compare(good)
    # The newest released engine: the other one failed its gate when it was built.
    assert compare(engines=tmp_path).proofs[0].candidate.name == "good"
    assert capsys.readouterr() == ("", "")


def test_a_result_without_a_comparison_has_not_passed() -> None:
    assert not ParityResult.of(())


def test_an_output_that_cannot_be_written_is_found_before_anything_is_compared(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path).folder
    (tmp_path / "file").write_text("mine")
    for option, place in (
        ("--json-file", tmp_path / "file" / "p.json"),
        ("--json-file", tmp_path),
        ("--worst", tmp_path / "file"),
    ):
        result = _run(folder, option, place)
        assert isinstance(result.exception, OutputError), option
        assert result.exception.exit_code == 7
        assert result.stdout == ""
    assert (tmp_path / "file").read_text() == "mine"


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    for wrong, said in (
        ({"split": "tset"}, "unknown split 'tset'"),
        ({"tolerance": 0.0}, "tolerance must be more than 0 (got 0.0)"),
        ({"threads": -1}, "threads must be at least 0 (got -1)"),
    ):
        with pytest.raises(UsageError) as caught:
            compare(tmp_path, **wrong)
        assert said in caught.value.message


def test_a_name_is_shown_as_it_is_and_never_as_markup(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path, name="[red]x[/red]").folder
    result = _run(folder, "--bisect")
    assert result.exit_code == 0
    assert "parity of [red]x[/red] on golden crops" in result.stdout


def test_unused_files_of_a_dataset_are_printed_and_in_the_document(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path).folder
    data = write_dataset(tmp_path / "data", {"test": {"normal": 4, "defective": 4}})
    (data / "test" / "normal" / "a.heic").write_bytes(b"x")
    result = _run(folder, "--data", data, "--json-file", tmp_path / "parity.json")
    assert "left out: 1 .heic file (test/normal/a.heic)" in result.stdout
    [proof] = ParityResult.model_validate_json((tmp_path / "parity.json").read_text()).proofs
    assert [str(one) for one in proof.left_out] == ["1 .heic file (test/normal/a.heic)"]
    assert compare(folder).proofs[0].left_out == ()


@pytest.mark.parametrize("text", ["Example", "sji-edge parity engines/demo"])
def test_help_shows_an_example(text: str) -> None:
    assert text in _run("--help").stdout

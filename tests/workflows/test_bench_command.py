import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from support.tiny_bundle import make_bundle
from typer.testing import CliRunner, Result

from sji_edge.benchmark.footprint import peak_rss_bytes, peak_rss_of
from sji_edge.benchmark.report import BenchReport, repeated
from sji_edge.cli.commands.bench import bench
from sji_edge.core.errors import LatencyGateError, SjiError, UsageError

app = typer.Typer()
app.command()(bench)
QUICK = ("--threads", "1", "--seconds", "0.01", "--min-calls", "3", "--no-memory")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("engines")).folder


def _run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "220"})


def test_two_engines_are_measured_side_by_side(made: Path, tmp_path: Path) -> None:
    other = make_bundle(tmp_path, backend="openvino").folder
    words = (made, other, "--batches", "1,8,64", *QUICK, "--json-file", tmp_path / "out" / "r.json")
    result = _run(*words, "--plot", tmp_path / "r.svg")
    assert result.exit_code == 0, result.exception
    report = BenchReport.model_validate_json((tmp_path / "out" / "r.json").read_text())
    names = [subject.name for subject in report.subjects]
    assert len(set(names)) == 2
    assert all(name.endswith("/tiny") for name in names)
    assert report.baseline == names[0]
    points = [(row.subject, row.batch) for row in report.rows]
    assert points == [(name, batch) for batch in (1, 8) for name in names]
    for row in report.rows:
        assert row.calls >= 3
        assert row.p50_ms <= row.p90_ms <= row.p99_ms <= row.p99_9_ms <= row.max_ms
        assert row.joints_per_s == pytest.approx(row.batch / row.mean_ms * 1e3)
        assert (row.ratio is None) == (row.subject == names[0])
        if row.ratio is not None:
            assert row.ratio_low <= row.ratio <= row.ratio_high
            base = next(r for r in report.rows if r.batch == row.batch)
            assert row.ratio == pytest.approx(base.mean_ms / row.mean_ms)
    assert report.environment["onnxruntime"]
    assert report.environment["openvino"]
    assert len(report.skipped) == 2
    assert "batch 64 exceeds its max batch 16" in result.stdout
    assert b"<svg" in (tmp_path / "r.svg").read_bytes()


def test_a_broken_latency_gate_ends_with_exit_4_and_leaves_the_report(made: Path, tmp_path: Path) -> None:
    words = (made, "--batches", "1", *QUICK, "--json-file", tmp_path / "r.json")
    result = _run(*words, "--fail-if", "p99_ms@1>0.000001", "--fail-if", "joints_per_s<1")
    assert isinstance(result.exception, LatencyGateError)
    assert result.exception.exit_code == 4
    assert "joints_per_s" not in str(result.exception)
    assert json.loads((tmp_path / "r.json").read_text())["rows"]
    assert _run(*words, "--fail-if", "p99_ms@1>60000").exit_code == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--batches", "0"), "batch sizes must be whole numbers of at least 1"),
        (("--batches", "1,,2"), "--batches"),
        (("--batches", "x"), "--batches"),
        (("--threads", "-1"), "--threads"),
        (("--batches", "64"), "no engine takes"),
        (("--fail-if", "p99_ms@7>1"), "batch 7 is not measured"),
        (("--fail-if", "speed>1"), "unknown metric"),
        (("--against", "tensorflow"), "can only be compared with torch"),
    ],
)
def test_wrong_settings_are_refused(words: tuple[str, ...], says: str, made: Path) -> None:
    result = _run(made, *QUICK, *words)
    assert isinstance(result.exception, UsageError)
    assert says in str(result.exception)


def test_peak_memory_is_measured_in_a_separate_process(made: Path) -> None:
    ballast = np.ones(400 << 20, np.uint8)
    here = peak_rss_bytes()
    alone = peak_rss_of("sji_edge.benchmark.footprint:judge_once", str(made), "16", "1")
    assert ballast.nbytes < here
    assert 10 << 20 < alone < ballast.nbytes
    with pytest.raises(SjiError, match="could not be measured"):
        peak_rss_of("sji_edge.benchmark.footprint:judge_once", str(made / "none"), "16", "1")


def test_crops_are_repeated_to_the_batch() -> None:
    crops = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1)
    again = repeated(crops, 7)
    np.testing.assert_array_equal(again.ravel(), [0, 1, 2, 0, 1, 2, 0])
    assert again.flags.c_contiguous


def test_torch_is_not_imported_without_against(made: Path) -> None:
    program = (
        "import sys\nfor name in ('torch', 'torchvision', 'lightning', 'onnx', 'matplotlib'):\n"
        "    sys.modules[name] = None\n"
        "import typer\nfrom sji_edge.cli.commands.bench import bench\ntyper.run(bench)\n"
    )
    words = [sys.executable, "-W", "error", "-c", program, str(made), "--batches", "1", *QUICK]
    wide = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=wide)
    assert done.returncode == 0, done.stderr
    assert "joints/s" in done.stdout


def test_another_run_than_the_engine_came_from_is_refused(made: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from support.tiny_bundle import card

    from sji_edge.models.checkpoint import save_run
    from sji_edge.models.classifier import JointClassifier

    torch.manual_seed(0)
    other = card(architecture="resnet18")
    save_run(tmp_path, JointClassifier("resnet18", 2, other.preprocess), other)
    result = _run(made, *QUICK, "--batches", "1", "--against", "torch", "--run", tmp_path)
    assert isinstance(result.exception, UsageError)
    assert "was not made from" in str(result.exception)
    result = _run(made, *QUICK, "--batches", "1", "--against", "torch", "--run", tmp_path / "none")
    assert isinstance(result.exception, UsageError)


@pytest.mark.slow
def test_pytorch_of_the_same_run_is_the_baseline(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from support.tiny_bundle import SIDE, THRESHOLDS, card, crops

    from sji_edge.exporting.onnx import export_run
    from sji_edge.models.checkpoint import save_run
    from sji_edge.models.classifier import JointClassifier
    from sji_edge.models.predict import logits_of
    from sji_edge.parity.crops import Joints
    from sji_edge.parity.run import check_parity, record_of
    from sji_edge.runtime import BACKENDS
    from sji_edge.runtime.bundle.bundle import write_bundle
    from sji_edge.runtime.bundle.golden import Golden, write_golden
    from sji_edge.runtime.bundle.manifest import BundleFacts

    assert SIDE == 16
    torch.manual_seed(0)
    own = card(architecture="resnet18", name="run")
    run = tmp_path / "run"
    run.mkdir()
    model = JointClassifier("resnet18", 2, own.preprocess).eval()
    save_run(run, model, own)
    batch, labels = crops(12), (np.arange(12) % 2).astype(np.int64)
    logits = logits_of(model, batch)
    write_golden(run / "golden.npz", Golden(batch, logits, labels), own)
    files = {"engine": export_run(run), "reference": run / "model.onnx", "golden": run / "golden.npz"}
    kind = BACKENDS.get("onnxruntime")()
    engine = kind.open(files["engine"], precision="fp32", max_batch=16, threads=1)
    report = check_parity(
        engine,
        engine,
        Joints(batch, labels, logits),
        own,
        thresholds=THRESHOLDS,
        reference_thresholds=THRESHOLDS,
    )
    facts = BundleFacts(
        name="run",
        backend="onnxruntime",
        precision="fp32",
        max_batch=16,
        card=own,
        thresholds=THRESHOLDS,
        reference_thresholds=THRESHOLDS,
        environment=dict(kind.environment()),
    )
    folder = write_bundle(tmp_path / "engine", facts, parity=record_of(report, **files), **files).folder
    words = (folder, "--against", "torch", "--runs", tmp_path, "--batches", "1,16", "--threads", "1")
    result = _run(*words, "--seconds", "0.05", "--min-calls", "3", "--json-file", tmp_path / "r.json")
    assert result.exit_code == 0, result.exception
    found = BenchReport.model_validate_json((tmp_path / "r.json").read_text())
    assert found.baseline == "torch"
    peaks = {subject.name: subject.peak_rss_bytes for subject in found.subjects}
    assert peaks["torch"] > peaks["engine"]
    assert [row.ratio is None for row in found.rows] == [False, True] * 2


@pytest.mark.parametrize("text", ["Example", "sji-edge bench engines/demo"])
def test_help_shows_an_example(text: str) -> None:
    assert text in _run("--help").stdout

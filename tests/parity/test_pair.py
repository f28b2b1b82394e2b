import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import typer
from support.tiny_bundle import HEAD, THRESHOLDS, card, crops, formula, make_bundle, write_graph
from typer.testing import CliRunner, Result

from sji_edge.cli.commands.parity import parity
from sji_edge.core.card import ModelCard, ParityGate, PreprocessSpec
from sji_edge.core.errors import BundleError, GateError, UsageError
from sji_edge.core.protocols import EngineOutput
from sji_edge.models.checkpoint import save_run
from sji_edge.models.classifier import JointClassifier
from sji_edge.models.predict import logits_of
from sji_edge.parity.crops import Joints
from sji_edge.parity.pair import PAIR, Side, coarser, compare_pair
from sji_edge.runtime.bundle.bundle import Bundle
from sji_edge.runtime.bundle.golden import Golden, write_golden

app = typer.Typer()
app.command()(parity)


def _run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})


def _pairs(path: Path) -> list[tuple[str, str, str]]:
    proofs = json.loads(path.read_text())["proofs"]
    return [(item["reference"]["kind"], item["candidate"]["kind"], item["crops"]) for item in proofs]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("pair"), name="one")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real PyTorch run with golden crops; its weights are those of no training."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    spec = PreprocessSpec(height=32, width=32)
    own = ModelCard(**{**dict(card()), "architecture": "squeezenet1_1", "preprocess": spec, "name": "net"})
    model = JointClassifier(own.architecture, 2, spec).eval()
    save_run(folder, model, own)
    batch = np.random.default_rng(0).integers(0, 256, (12, *spec.shape), np.uint8)
    write_golden(folder / "golden.npz", Golden(batch, logits_of(model, batch), np.arange(12) % 2), own)
    return folder


@pytest.mark.parametrize(
    ("one", "other", "wanted"), [("fp32", "int8", "int8"), ("bf16", "fp16", "bf16"), ("fp32", "fp32", "fp32")]
)
def test_the_gate_is_the_coarser_precisions(one: str, other: str, wanted: str) -> None:
    assert coarser(one, other) == coarser(other, one) == wanted
    gates = {wanted: ParityGate(min_agreement=0.25)}
    logits = formula(crops(8)).astype(np.float32)
    sides = Side(EngineOutput(logits), THRESHOLDS, one), Side(EngineOutput(logits), THRESHOLDS, other)
    report = compare_pair(*sides, Joints(crops(8), np.zeros(8, np.int64)), card(gates=gates))
    assert report.limits.min_agreement == 0.25
    assert report


def test_an_unknown_precision_has_no_gate() -> None:
    with pytest.raises(UsageError, match="unknown precision 'int9'"):
        coarser("fp32", "int9")


def test_each_side_decides_at_its_own_limits() -> None:
    logits = formula(crops(30)).astype(np.float32)
    joints = Joints(crops(30), np.full(30, -1))
    strict = THRESHOLDS.model_copy(update={"lower": 1e-3, "upper": 2e-3})
    output = EngineOutput(logits)
    report = compare_pair(Side(output, strict, "fp32"), Side(output, THRESHOLDS, "fp32"), joints, card())
    score = 1 / (1 + np.exp(logits[:, 0].astype(np.float64) - logits[:, 1]))
    assert report.comparisons[PAIR].escape_flips == int(((score >= 1e-3) & (score < 0.4)).sum()) > 0
    assert not report


def test_an_engine_is_compared_with_another_engine(engine: Bundle, tmp_path: Path) -> None:
    other = make_bundle(tmp_path, engine_head=-HEAD, name="two").folder
    result = _run(
        other, engine.folder, "--against", engine.folder, "--json-file", tmp_path / "out" / "p.json"
    )
    assert isinstance(result.exception, GateError)
    assert "two" in str(result.exception)
    assert "one fails" not in str(result.exception)
    assert "one → two" in result.stdout
    assert _pairs(tmp_path / "out" / "p.json") == [("engine", "engine", "golden crops")] * 2
    assert not json.loads((tmp_path / "out" / "p.json").read_text())["passed"]


def test_an_engine_is_compared_with_a_graph_and_a_graph_with_recorded_logits(
    engine: Bundle, tmp_path: Path
) -> None:
    graph = write_graph(tmp_path / "model.onnx", head=HEAD * 1.5)
    result = _run(engine.folder, "--against", graph, "--bisect")
    assert isinstance(result.exception, GateError)
    assert "ONNX → engine" in result.stdout
    assert "worst: logits (Gemm)" in result.stdout
    shutil.copy(engine.folder / "golden.npz", tmp_path)
    assert isinstance(_run(graph).exception, GateError)
    write_graph(graph)
    assert _run(graph, "--json-file", tmp_path / "p.json").exit_code == 0
    assert _pairs(tmp_path / "p.json") == [("PyTorch", "ONNX", "golden crops")]


def test_the_json_has_the_figures_of_the_formula(engine: Bundle, tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "model.onnx", head=HEAD * 1.1)
    _run(graph, "--against", engine.folder, "--golden", "--json-file", tmp_path / "p.json")
    document = json.loads((tmp_path / "p.json").read_text())
    found = document["proofs"][0]["report"]["comparisons"][PAIR]
    plain = formula(crops(40))
    other = plain + 0.1 * (plain - np.array([0.3, -0.2]))
    assert found["logits"]["max"] == pytest.approx(np.abs(other - plain).max(), rel=1e-4)
    assert found["logits"]["mean"] == pytest.approx(np.abs(other - plain).mean(), rel=1e-4)
    assert document["environment"]["cpu"]
    assert document["proofs"][0]["reference"]["sha256"] == engine.engine_sha256


def test_a_run_is_judged_by_pytorch_and_compared_with_its_recorded_logits(run: Path, tmp_path: Path) -> None:
    result = _run(run, "--json-file", tmp_path / "p.json", "--threads", 1)
    assert result.exit_code == 0, result.exception
    assert _pairs(tmp_path / "p.json") == [("PyTorch", "PyTorch", "golden crops")]
    judged = json.loads((tmp_path / "p.json").read_text())["proofs"][0]["report"]["comparisons"][PAIR]
    assert judged["joints"] == 12
    assert judged["logits"]["max"] < 1e-4


def test_changed_weights_fail_against_the_recorded_logits(run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    own = ModelCard.parse((copy / "card.json").read_text(), copy)
    torch.manual_seed(1)
    save_run(copy, JointClassifier(own.architecture, 2, own.preprocess), own)
    assert isinstance(_run(copy).exception, GateError)


def test_models_with_different_crops_are_not_compared(engine: Bundle, run: Path) -> None:
    result = _run(engine.folder, "--against", run)
    assert isinstance(result.exception, UsageError)
    assert "16x16x1" in str(result.exception)
    assert "32x32x1" in str(result.exception)


def test_models_with_different_classes_are_not_compared(engine: Bundle, tmp_path: Path) -> None:
    other = make_bundle(tmp_path, name="two")
    text = (other.folder / "model.onnx").read_bytes().replace(b'"defective"', b'"different"')
    graph = tmp_path / "other.onnx"
    graph.write_bytes(text)
    result = _run(engine.folder, "--against", graph)
    assert isinstance(result.exception, UsageError)
    assert "normal, different" in str(result.exception)


def test_what_cannot_be_compared_is_refused_with_the_reason(
    engine: Bundle, run: Path, tmp_path: Path
) -> None:
    (tmp_path / "test" / "normal").mkdir(parents=True)
    (tmp_path / "test" / "defective").mkdir()
    for name in ("normal", "defective"):
        cv2.imwrite(str(tmp_path / "test" / name / "0.png"), crops(1)[0])
    graph = write_graph(tmp_path / "model.onnx")
    cases = {
        "neither an engine bundle": (tmp_path / "nowhere",),
        "has nothing to compare with": (graph, "--data", tmp_path),
        "no golden crops": (graph,),
        "have no layers to bisect": (run, "--bisect"),
        "has no ONNX graph to bisect": (run, "--against", run, "--bisect"),
        "tolerance must be more than 0": (engine.folder, "--bisect", "--tolerance", 0),
    }
    for text, words in cases.items():
        result = _run(*words)
        assert isinstance(result.exception, UsageError), (text, result.exception)
        assert text in str(result.exception)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no graph")
    assert isinstance(_run(broken).exception, BundleError)


def test_a_run_without_torch_is_refused_with_the_extra_to_install(run: Path) -> None:
    program = (
        "import sys\nfor name in ('torch', 'torchvision', 'safetensors'):\n    sys.modules[name] = None\n"
        "from sji_edge.cli.main import run\nrun(['parity', sys.argv[1]])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(run)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 5
    assert "pip install 'sji-edge[train]'" in done.stderr

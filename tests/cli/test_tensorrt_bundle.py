"""An engine for a card that is not here: built, held back, and released or chosen where it can be."""

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import THRESHOLDS, card, crops, formula, make_bundle, write_graph

from sji_edge.cli.adopt import adopt, adopted_name
from sji_edge.cli.main import run as sji_edge
from sji_edge.cli.tensorrt_words import batches_of
from sji_edge.core.errors import BundleError, GateError, UsageError
from sji_edge.runtime.bundle import open_bundle, verify_bundle
from sji_edge.runtime.choice import choose_engine
from sji_edge.runtime.golden import Golden, write_golden
from sji_edge.runtime.tensorrt import this_driver

RTX = pytest.mark.skipif(not this_driver().missing, reason="there is a GPU: engines are proven at once")


def command(*words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        sji_edge([str(word) for word in words])
    return int(stop.value.code or 0)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An exported run with golden crops, as train and export leave it."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "tiny"
    folder.mkdir(parents=True)
    write_graph(folder / "model.onnx")
    batch = crops(40)
    labels = (np.arange(40) % 2).astype(np.int64)
    write_golden(folder / "golden.npz", Golden(batch, formula(batch).astype(np.float32), labels), card())
    return folder


def build(run: Path, *words: object) -> int:
    pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT for RTX is not installed")
    return command("build-engine", run, "--backend", "tensorrt-rtx", *words)


@RTX
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_an_engine_that_could_not_run_is_kept_but_not_released(run, precision, tmp_path, capsys) -> None:
    assert build(run, "--precision", precision, "--compute-capability", "8.6", "--batch", "8,32") == 0
    folder = tmp_path / "engines" / f"tiny-tensorrt-rtx-{precision}"
    bundle = verify_bundle(folder, require_released=False)
    manifest = bundle.manifest
    assert not manifest.released
    assert manifest.max_batch == 32
    assert manifest.build["batches"] == [1, 8, 32]
    assert manifest.environment["compute_capability"] == "8.6"
    assert set(manifest.files) == {
        "model.onnx", "engine.plan", "golden.npz", "parity.json", "graph.onnx", "build.log",
    }  # fmt: skip
    # The graph's own figures are on record, under its own name: nothing is said of the engine.
    assert bundle.parity.gated == "pytorch-graph"
    assert bundle.parity.comparisons["pytorch-graph"]["flips"] == 0
    assert not [name for name in bundle.parity.comparisons if "engine" in name]
    assert len(bundle.parity.failures) == 1
    assert "its parity waits for the device" in bundle.parity.failures[0]
    assert [attempt.pending for attempt in manifest.tried] == [True]
    assert "engine release" in capsys.readouterr().out


@RTX
def test_nothing_uses_it_before_the_device_proved_it(run, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    build(run, "--precision", "fp32", "--name", "ahead")
    engine = tmp_path / "engines" / "ahead"
    with pytest.raises(GateError, match="waits for the device"):
        open_bundle(engine)
    (tmp_path / "frames").mkdir()
    from cv2 import imwrite

    imwrite(str(tmp_path / "frames" / "a.png"), crops(1)[0])
    assert command("infer", "--stream", tmp_path / "frames", "--engine", engine) == 3
    assert not (tmp_path / "inspections").exists()
    for words in (("engine", "release", engine), ("engine", "release", engine, "--rebuild")):
        assert command(*words) == 5
        assert "no NVIDIA" in capsys.readouterr().err
    assert command("infer", "--stream", tmp_path / "frames", "--engine", engine, "--rebuild") == 5
    assert [path.name for path in (tmp_path / "engines").iterdir()] == ["ahead"]
    assert command("engine", "list") == 0
    assert "waits for" in capsys.readouterr().out


@RTX
def test_a_graph_that_fails_its_gate_is_not_pending_but_failed(run, tmp_path, capsys) -> None:
    write_golden(
        run / "golden.npz",
        Golden(crops(40), -formula(crops(40)).astype(np.float32), np.zeros(40, np.int64)),
        card(),
    )
    assert build(run, "--precision", "fp32", "--name", "wrong") == 3
    failures = verify_bundle(tmp_path / "engines" / "wrong", require_released=False).parity.failures
    assert len(failures) > 1


def test_options_of_tensorrt_are_refused_elsewhere_and_when_they_contradict(run, capsys) -> None:
    assert command("build-engine", run, "--backend", "onnxruntime", "--compute-capability", "8.6") == 2
    assert "has none of TensorRT's options" in capsys.readouterr().err
    assert build(run, "--compute-capability", "8.6", "--compute-capability", "8.6") == 2
    assert build(run, "--precision", "fp32", "--compute-capability", "9.0") == 2
    assert "9.0" in capsys.readouterr().err
    assert build(run, "--precision", "fp32", "--dla", 0) == 2
    for text in ("64", "a,b", "64,0", "64,32", "1,2,3"):
        with pytest.raises(UsageError, match="--batch"):
            batches_of(text, 128)
    assert batches_of("", 128) == (None, 128)
    assert batches_of("16, 64", 128) == (16, 64)


def test_an_engine_from_elsewhere_is_proven_and_released_here_beside_its_source(tmp_path: Path) -> None:
    source = make_bundle(tmp_path, name="carried")
    before = {path.name: path.read_bytes() for path in source.folder.iterdir()}
    built = adopt(source, rebuild=False)
    assert built.bundle.folder == tmp_path / adopted_name(source)
    assert built.bundle.folder.name.startswith("carried-")
    assert built.bundle.manifest.released
    assert built.bundle.engine_sha256 == source.engine_sha256
    assert built.bundle.manifest.tried[0].batch_ms is not None
    assert {path.name: path.read_bytes() for path in source.folder.iterdir()} == before
    with pytest.raises(UsageError, match="no graph to rebuild from"):
        adopt(source, rebuild=True)


def test_an_engine_that_decides_otherwise_is_not_released_here_either(tmp_path: Path) -> None:
    # Thresholds are carried over to an engine's own scores, so it must differ in more than their scale.
    source = make_bundle(tmp_path, name="other", engine_head=np.zeros((2, 4), np.float32))
    assert not source.manifest.released
    assert command("engine", "release", source.folder, "--name", "again") == 3
    assert not verify_bundle(tmp_path / "again", require_released=False).manifest.released


def released_for_a_gpu(tmp_path: Path, name: str, utc: str, backend: str = "tensorrt-rtx") -> Path:
    """A bundle that says it was made for a GPU; its hashes hold, and no engine of it is ever opened."""
    bundle = make_bundle(tmp_path, name=name)
    path = bundle.folder / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "backend": backend, "created_utc": utc}))
    return bundle.folder


@RTX
def test_the_choice_passes_over_what_cannot_run_here_and_says_so(tmp_path: Path) -> None:
    make_bundle(tmp_path, name="cpu")
    released_for_a_gpu(tmp_path, "gpu", "2999-01-01T00:00:00+00:00")
    choice = choose_engine(tmp_path)
    assert choice.folder.name == "cpu"
    assert "the newest released onnxruntime engine" in choice.why
    assert "gpu cannot run here: " in choice.why


@RTX
def test_with_no_engine_that_can_run_the_reason_is_given(tmp_path: Path) -> None:
    released_for_a_gpu(tmp_path, "gpu", "2999-01-01T00:00:00+00:00")
    with pytest.raises(BundleError, match="gpu cannot run here: "):
        choose_engine(tmp_path)
    with pytest.raises(UsageError, match="no released engine"):
        choose_engine(tmp_path / "nowhere")


def test_among_cpu_engines_the_newest_is_chosen(tmp_path: Path) -> None:
    first, second = make_bundle(tmp_path, name="b"), make_bundle(tmp_path, name="a")
    assert first.manifest.created_utc < second.manifest.created_utc
    assert choose_engine(tmp_path).folder == second.folder
    assert first.thresholds == THRESHOLDS

"""An engine for a card that is not here: built, held back, and released or chosen where it can be."""

import json
from pathlib import Path

import numpy as np
import pytest
from cv2 import imwrite
from support.bright_model import write_recipe
from support.tiny_bundle import THRESHOLDS, card, crops, formula, make_bundle, write_graph

from sji_edge.cli.main import run as sji_edge
from sji_edge.cli.render.build import print_tried
from sji_edge.cli.render.tensorrt import say_build
from sji_edge.core.errors import BundleError, GateError, UsageError
from sji_edge.runtime import BACKENDS
from sji_edge.runtime.bundle.bundle import open_bundle, verify_bundle
from sji_edge.runtime.bundle.golden import Golden, write_golden
from sji_edge.runtime.bundle.selection import choose_engine
from sji_edge.runtime.onnxruntime import OnnxRuntimeBackend
from sji_edge.runtime.tensorrt.backend import this_driver
from sji_edge.workflows.build.tensorrt import tuned_batches
from sji_edge.workflows.engines.prove_here import adopt, adopted_name
from sji_edge.workflows.engines.rebuild import rebuilt_here

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
    # The graph's figures are recorded under its own name; they say nothing about the engine.
    assert bundle.parity.gated == "pytorch-graph"
    assert bundle.parity.comparisons["pytorch-graph"]["flips"] == 0
    assert not [name for name in bundle.parity.comparisons if "engine" in name]
    assert len(bundle.parity.failures) == 1
    assert "its parity check is waiting for the device" in bundle.parity.failures[0]
    assert [attempt.pending for attempt in manifest.tried] == [True]
    said = capsys.readouterr().out
    assert "engine release" in said
    assert "gate (PyTorch → its graph): passed; waiting for its device" in said


@RTX
@pytest.mark.parametrize(
    ("words", "said", "cards"),
    [
        ((), "8.6, 8.9, 12.0 (RTX 30, 40 and 50), because this machine has no GPU", "8.6, 8.9, 12.0"),
        (("--compute-capability", "8.9"), "8.9\n", "8.9"),
    ],
)
def test_the_output_names_the_target_cards(run, words, said, cards, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert build(run, "--precision", "fp32", *words) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"building ahead of time for compute capability {said}")
    assert f"tried for tensorrt-rtx, compute capability {cards}, without the card" in shown
    assert f"next, on a card of compute capability {cards}:" in shown
    assert "this device" not in shown


@RTX
def test_nothing_uses_it_before_the_device_proved_it(run, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    build(run, "--precision", "fp32", "--name", "ahead")
    engine = tmp_path / "engines" / "ahead"
    with pytest.raises(GateError, match="waiting for the device"):
        open_bundle(engine)
    (tmp_path / "frames").mkdir()
    imwrite(str(tmp_path / "frames" / "a.png"), crops(1)[0])
    assert command("infer", "--stream", tmp_path / "frames", "--engine", engine) == 3
    assert not (tmp_path / "inspections").exists()
    for words in (("engine", "release", engine), ("engine", "release", engine, "--rebuild")):
        assert command(*words) == 5
        assert "no NVIDIA" in capsys.readouterr().err
    assert command("infer", "--stream", tmp_path / "frames", "--engine", engine, "--rebuild") == 5
    assert [path.name for path in (tmp_path / "engines").iterdir()] == ["ahead"]
    assert command("engine", "list") == 0
    assert "waiting for" in capsys.readouterr().out


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
    assert "TensorRT options were given, but the backend is onnxruntime" in capsys.readouterr().err
    assert build(run, "--compute-capability", "8.6", "--compute-capability", "8.6") == 2
    assert build(run, "--precision", "fp32", "--compute-capability", "9.0") == 2
    assert "9.0" in capsys.readouterr().err
    assert build(run, "--precision", "fp32", "--dla", 0) == 2
    for text in ("64", "a,b", "64,0", "64,32", "1,2,3"):
        with pytest.raises(UsageError, match="batch must be OPT,MAX"):
            tuned_batches(text, 128)
    assert tuned_batches("", 128) == (None, 128)
    assert tuned_batches("16, 64", 128) == (16, 64)


def test_the_batch_to_tune_for_is_the_number_of_joints_of_the_recipe(tmp_path: Path) -> None:
    write_recipe(tmp_path / "recipe")
    assert tuned_batches("", 128, tmp_path / "recipe") == (5, 128)
    assert tuned_batches("", 3, tmp_path / "recipe") == (5, 5)
    with pytest.raises(UsageError, match="given twice"):
        tuned_batches("16,64", 128, tmp_path / "recipe")


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
    with pytest.raises(UsageError, match="no separate graph to rebuild from"):
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


class DeviceBound(OnnxRuntimeBackend):
    """An engine that runs where it was built and nowhere else, as TensorRT's; it computes on this CPU."""

    name = "device-bound"
    suffix = ".plan"
    built = 0

    def build(self, graph: Path, engine_file: Path, *, precision: str, max_batch: int):
        DeviceBound.built += 1
        engine_file.write_bytes(graph.read_bytes())
        engine_file.with_suffix(".log").write_text("built\n")
        return {"unfused": "2 quantizing nodes were not fused into a layer: a, b"}

    def environment(self):
        return {**super().environment(), "gpu": "Card Here"}

    def incompatibility(self, precision: str, recorded) -> str:
        there = recorded.get("gpu", "Card Here")
        return "" if there == "Card Here" else f"it was built on {there}, and this is Card Here"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch) -> Path:
    """A released bundle of another device, with the graph that it was made from."""
    monkeypatch.setitem(BACKENDS._entries, "device-bound", f"{__name__}:DeviceBound")
    monkeypatch.chdir(tmp_path)
    DeviceBound.built = 0
    source = make_bundle(tmp_path / "engines", name="far")
    plan, graph = source.folder / "engine.plan", source.folder / "graph.onnx"
    (source.folder / "engine.onnx").rename(plan)
    graph.write_bytes(plan.read_bytes())
    path = source.folder / "manifest.json"
    content = json.loads(path.read_text())
    entry = content["files"].pop("engine.onnx")
    content["files"] |= {"engine.plan": entry, "graph.onnx": entry}
    content |= {"backend": "device-bound", "engine_file": "engine.plan"}
    content["environment"] |= {"gpu": "Card There"}
    path.write_text(json.dumps(content))
    return source.folder


def test_the_table_of_trials_names_the_card_that_was_there(elsewhere, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    manifest = rebuilt_here(elsewhere, elsewhere.parent).bundle.manifest
    for facts, title in (
        ({"gpu": "Card", "compute_capability": "8.6"}, "Card (compute capability 8.6)"),
        ({"gpu": "none", "compute_capability": "8.6 8.9"}, "compute capability 8.6, 8.9"),
        ({"cpu": "Xeon"}, "Xeon"),
    ):
        print_tried(manifest.model_copy(update={"environment": facts}))
        assert capsys.readouterr().out.splitlines()[0].strip() == f"tried on device-bound, {title}"


def test_an_engine_of_another_device_is_refused_with_what_differs_and_how_to_rebuild(elsewhere) -> None:
    with pytest.raises(BundleError, match="it was built on Card There, and this is Card Here") as caught:
        open_bundle(elsewhere)
    assert f"sji-edge engine release {elsewhere} --rebuild" in caught.value.hint


def test_infer_rebuilds_once_and_takes_what_it_kept_ever_after(elsewhere) -> None:
    steps: list[str] = []
    chosen = rebuilt_here(elsewhere, elsewhere.parent, progress=steps.append)
    assert chosen.why == "far, rebuilt on this machine now"
    assert any("building" in step for step in steps)
    first = chosen.bundle
    assert first.folder.name == "far-card-here"
    assert first.manifest.released
    assert first.manifest.environment["gpu"] == "Card Here"
    assert {"graph.onnx", "build.log"} <= set(first.manifest.files)
    again = rebuilt_here(elsewhere, elsewhere.parent)
    assert (again.bundle.folder, again.why) == (first.folder, "far, rebuilt on this machine before")
    # Without a name the newest is chosen, which runs here without a rebuild.
    newest = rebuilt_here(None, elsewhere.parent)
    assert (newest.bundle.folder.name, newest.why) == ("far-card-here", "it runs here without a rebuild")
    assert DeviceBound.built == 1
    assert choose_engine(elsewhere.parent).folder.name == "far-card-here"


def test_infer_with_rebuild_judges_and_says_which_engine_and_why(
    elsewhere, tmp_path, capsys, monkeypatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    (tmp_path / "frames").mkdir()
    imwrite(str(tmp_path / "frames" / "a.png"), crops(1)[0])
    words = ("infer", "--stream", tmp_path / "frames", "--engine", elsewhere)
    assert command(*words) == 5
    assert "--rebuild" in capsys.readouterr().err
    for said in ("rebuilt on this machine now", "rebuilt on this machine before"):
        assert command(*words, "--rebuild") == 0
        assert said in capsys.readouterr().out
    assert DeviceBound.built == 1


def test_release_says_what_the_builder_would_rather_have_had(elsewhere, capsys) -> None:
    assert command("engine", "release", elsewhere, "--rebuild") == 0
    assert "note: 2 quantizing nodes were not fused into a layer: a, b" in capsys.readouterr().out


def test_layers_off_the_dla_and_warnings_are_reported(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    say_build({"not_on_dla": ["a", "b", "c", "d"], "network_layers": 20, "warnings": ["hot", "cold"]})
    said = capsys.readouterr().out
    assert "4 of 20 layers cannot run on the DLA and fall back to the GPU: a, b, c and 1 more" in said
    assert "the builder gave 2 warnings: hot; cold (full output in build.log)" in said
    say_build({"not_on_dla": []})
    assert capsys.readouterr().out == "note: every layer runs on the DLA\n"
    say_build({"float_layers": []})
    assert capsys.readouterr().out == ""

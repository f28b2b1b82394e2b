import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from support.tiny_bundle import HEAD, KERNEL, crops, make_bundle, write_graph

from sji_edge.core.errors import BundleError, GateError, MissingExtraError, UsageError
from sji_edge.parity.bisect import PARTED, Bisection, bisect, relative_rms
from sji_edge.runtime import BACKENDS


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    return write_graph(tmp_path / "model.onnx")


def _changed(reference: Path, **weights: np.ndarray) -> Path:
    """The same graph with other weights."""
    model = onnx.load(reference)
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            value = np.asarray(weights[tensor.name], np.float32)
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    path = reference.with_name("engine.onnx")
    onnx.save(model, path)
    return path


def _bisect(reference: Path, candidate: Path, **settings: float) -> Bisection:
    engine = BACKENDS.get("onnxruntime")().open(candidate, precision="fp32", max_batch=16, threads=1)
    return bisect(reference, candidate, crops(8), engine=engine, **settings)


def test_equal_graphs_do_not_differ(reference: Path) -> None:
    found = _bisect(reference, _changed(reference))
    assert found.first is None
    assert {layer.error for layer in found.layers} == {0.0}
    names = ["wide", "scaled", "planes", "maps", "active", "pooled", "flat", "logits"]
    assert [layer.tensor for layer in found.layers] == names
    assert found.crops == 8
    assert found.kernels < 1e-5


def test_a_changed_layer_is_named_first(reference: Path) -> None:
    kernel = KERNEL.copy()
    kernel[2, 0, 1, 1] += 0.5
    found = _bisect(reference, _changed(reference, kernel=kernel))
    assert found.first is not None
    assert (found.first.tensor, found.first.operator) == ("maps", "Conv")
    assert found.first.increase == found.first.error
    assert found.worst == max(found.layers, key=lambda layer: layer.increase)
    before = [layer.error for layer in found.layers[:3]]
    assert before == [0.0] * 3


def test_errors_are_those_of_the_formula(reference: Path) -> None:
    found = _bisect(reference, _changed(reference, head=HEAD + 0.25))
    flat = np.maximum(_maps(crops(8)), 0).mean(axis=(2, 3))
    ours = flat @ HEAD.T.astype(np.float64) + [0.3, -0.2]
    theirs = flat @ (HEAD + 0.25).T.astype(np.float64) + [0.3, -0.2]
    wanted = np.sqrt(np.square(ours - theirs).mean() / np.square(ours).mean())
    assert found.worst.tensor == "logits"
    assert found.worst.error == pytest.approx(wanted, rel=1e-4)


def _maps(batch: np.ndarray) -> np.ndarray:
    from support.tiny_bundle import BIAS, SIDE

    image = np.pad(batch[..., 0] / 255.0, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3), axis=(1, 2))[:, :SIDE:2, :SIDE:2]
    return np.einsum("nhwij,oij->nohw", windows, KERNEL[:, 0].astype(np.float64)) + BIAS[:, None, None]


def test_the_tolerance_decides_which_layer_is_first(reference: Path) -> None:
    candidate = _changed(reference, kernel=KERNEL * np.float32(1.01), head=HEAD * 2)
    assert _bisect(reference, candidate, tolerance=1e-3).first.tensor == "maps"
    assert _bisect(reference, candidate, tolerance=0.1).first.tensor == "logits"
    assert _bisect(reference, candidate, tolerance=10.0).first is None
    with pytest.raises(UsageError, match="tolerance"):
        _bisect(reference, candidate, tolerance=0.0)


def test_equalized_channels_are_compared_at_the_references_scale(reference: Path) -> None:
    scale = np.array([8.0, 0.25, 3.0, 1.0], np.float32)
    from support.tiny_bundle import BIAS

    candidate = _changed(
        reference, kernel=KERNEL * scale[:, None, None, None], bias=BIAS * scale, head=HEAD / scale
    )
    found = _bisect(reference, candidate, tolerance=1e-3)
    by_name = {layer.tensor: layer for layer in found.layers}
    assert by_name["maps"].rescaled
    assert by_name["active"].rescaled
    assert by_name["maps"].error < 1e-6
    assert by_name["logits"].error < 1e-5
    assert not by_name["logits"].rescaled


def test_a_scale_that_nothing_undoes_shows_in_the_logits(reference: Path) -> None:
    candidate = _changed(reference, kernel=KERNEL * np.float32(2))
    assert _bisect(reference, candidate, tolerance=0.1).first is not None


def test_relative_rms_says_when_nothing_can_be_compared() -> None:
    one = np.array([3.0, 4.0])
    assert relative_rms(one, one) == 0.0
    assert relative_rms(one, np.array([3.0, 5.0])) == pytest.approx(0.2)
    assert relative_rms(one, np.array([3.0, np.nan])) == PARTED
    assert relative_rms(one, np.zeros(3)) == PARTED
    assert relative_rms(np.zeros(2), one) == PARTED
    assert relative_rms(np.zeros(2), np.zeros(2)) == 0.0


def test_what_cannot_be_bisected_is_refused(reference: Path, tmp_path: Path) -> None:
    engine = BACKENDS.get("onnxruntime")().open(reference, precision="fp32", max_batch=4, threads=1)
    with pytest.raises(UsageError, match="not an ONNX graph"):
        bisect(reference, tmp_path / "engine.plan", crops(4), engine=engine)
    with pytest.raises(GateError, match="no crop"):
        bisect(reference, reference, crops(4)[:0], engine=engine)
    with pytest.raises(BundleError, match="cannot run"):
        bisect(reference, reference, crops(4)[:, :8], engine=engine)
    model = onnx.load(reference)
    for node in model.graph.node:
        node.input[:] = [f"{name}_" if name != "crops" else name for name in node.input]
        node.output[:] = [f"{name}_" for name in node.output]
    for tensor in model.graph.initializer:
        tensor.name += "_"
    model.graph.output[0].name += "_"
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises((GateError, BundleError)):
        bisect(reference, tmp_path / "other.onnx", crops(4), engine=engine)


def test_without_onnx_the_extra_is_named(reference: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = BACKENDS.get("onnxruntime")().open(reference, precision="fp32", max_batch=4, threads=1)
    real = __import__("importlib.util").util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnx" else real(name))
    with pytest.raises(MissingExtraError, match="onnx"):
        bisect(reference, reference, crops(4), engine=engine)
    assert "onnx" in sys.modules


def test_a_bundle_is_bisected_by_the_command(tmp_path: Path) -> None:
    import typer
    from typer.testing import CliRunner

    from sji_edge.cli.commands.parity import parity

    app = typer.Typer()
    app.command()(parity)
    folder = make_bundle(tmp_path, engine_head=HEAD * 1.5).folder
    result = CliRunner().invoke(app, [str(folder), "--bisect"], env={"COLUMNS": "200"})
    assert "first above 0.0001: logits (Gemm)" in result.stdout
    assert "worst: logits (Gemm)" in result.stdout

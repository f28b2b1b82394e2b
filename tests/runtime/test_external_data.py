"""Graphs that keep weights in another file."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support import small_graph
from support.tiny_bundle import write_graph

from sji_edge.core.errors import BundleError
from sji_edge.runtime import BACKENDS
from sji_edge.runtime.external_data import refuse_external_data


def _external(folder: Path) -> Path:
    model = onnx.load(write_graph(folder / "plain.onnx"))
    target = folder / "graph.onnx"
    onnx.save(model, target, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return target


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("given", [True, False])
def test_a_graph_with_weights_in_another_file_does_not_load(
    tmp_path: Path, monkeypatch, backend: str, given: bool
) -> None:
    graph = _external(tmp_path)
    # Where a runtime would find the weights of a graph that it loads from memory.
    monkeypatch.chdir(tmp_path)
    content = graph.read_bytes() if given else None
    with pytest.raises(BundleError, match="keeps weights in another file"):
        BACKENDS.get(backend)().open(graph, precision="fp32", max_batch=4, threads=1, content=content)


def _marked(tensor: onnx.TensorProto) -> onnx.TensorProto:
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "elsewhere.bin"
    return tensor


def _in_a_constant() -> onnx.ModelProto:
    node = helper.make_node("Constant", [], ["c"], value=_marked(numpy_helper.from_array(np.ones(3))))
    return helper.make_model(helper.make_graph([node], "g", [], []))


def _in_a_branch() -> onnx.ModelProto:
    inner = helper.make_graph([], "inner", [], [], [_marked(numpy_helper.from_array(np.ones(2), "w"))])
    node = helper.make_node("If", ["flag"], ["x"], then_branch=inner, else_branch=inner)
    return helper.make_model(helper.make_graph([node], "g", [], []))


def _in_a_function() -> onnx.ModelProto:
    node = helper.make_node("Constant", [], ["y"], value=_marked(numpy_helper.from_array(np.ones(3))))
    function = helper.make_function("own", "F", [], ["y"], [node], [helper.make_opsetid("", 18)])
    return helper.make_model(helper.make_graph([], "g", [], []), functions=[function])


@pytest.mark.parametrize("make", [_in_a_constant, _in_a_branch, _in_a_function])
def test_external_data_is_found_wherever_a_tensor_can_be(make) -> None:
    with pytest.raises(BundleError, match="another file"):
        refuse_external_data(make().SerializeToString(), Path("x.onnx"))


def test_a_graph_that_holds_its_weights_passes() -> None:
    refuse_external_data(small_graph.model().SerializeToString(), Path("x.onnx"))


@pytest.mark.parametrize("cut", [1, 7, 100, 1000])
def test_a_truncated_graph_is_refused(cut: int) -> None:
    content = small_graph.model().SerializeToString()
    with pytest.raises(BundleError, match="not an ONNX graph"):
        refuse_external_data(content[:-cut], Path("x.onnx"))


def test_a_graph_nested_without_end_is_refused() -> None:
    def field(number: int, body: bytes) -> bytes:
        size, length = len(body), b""
        while size > 0x7F:
            length += bytes([size & 0x7F | 0x80])
            size >>= 7
        return bytes([number << 3 | 2]) + length + bytes([size]) + body

    body = b""
    for _ in range(500):
        body = field(1, field(5, field(6, body)))
    with pytest.raises(BundleError, match="nested too deeply"):
        refuse_external_data(field(7, body), Path("x.onnx"))

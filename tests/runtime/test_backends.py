import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from support.guarded_graph import PROTOTYPES
from support.tiny_bundle import SIDE, crops, features_formula, formula, novelty_formula, write_graph

from sji_edge.core.errors import BundleError, EngineInputError, EnvironmentMismatchError, UsageError
from sji_edge.core.protocols import PipelinedEngine
from sji_edge.runtime import BACKENDS
from sji_edge.runtime.onnxruntime import card_in_graph

GRAPHS = [name for name in BACKENDS.names() if BACKENDS.get(name)().suffix == ".onnx"]
"""Backends whose engine files are graphs."""


def _case(name: str):
    reason = BACKENDS.get(name)().incompatibility("fp32", {})
    return pytest.param(name, marks=pytest.mark.skipif(bool(reason), reason=f"{name}: {reason}"))


NAMES = [_case(name) for name in BACKENDS.names()]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_graph(tmp_path_factory.mktemp("graph") / "model.onnx")


def _open(name: str, graph: Path, precision: str = "fp32", max_batch: int = 32, threads: int = 1):
    kind = BACKENDS.get(name)()
    engine_file = graph
    if name not in GRAPHS:
        engine_file = graph.with_name(f"{name}-{precision}-{max_batch}{kind.suffix}")
        if not engine_file.exists():
            kind.build(graph, engine_file, precision=precision, max_batch=max_batch)
    return kind.open(engine_file, precision=precision, max_batch=max_batch, threads=threads)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1, 2, 7, 32])
def test_logits_equal_the_formula_at_every_batch_size(name: str, size: int, graph: Path) -> None:
    engine = _open(name, graph)
    batch = crops(size, seed=size)
    logits = engine.infer(batch).logits
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, formula(batch), atol=2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_changing_batch_sizes_keep_their_own_answers(name: str, graph: Path) -> None:
    engine = _open(name, graph)
    kept = []
    for size in [1, 5, 3, 32, 2, 9, 1, 17, 5, 31, 1]:
        batch = crops(size, seed=100 + size)
        kept.append((engine.infer(batch).logits, formula(batch)))
    for logits, wanted in kept:
        np.testing.assert_allclose(logits, wanted, atol=2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_prepared_engine_answers_all_sizes(name: str, graph: Path) -> None:
    engine = _open(name, graph)
    engine.prepare([1, 8])
    for size in (1, 8, 5):
        batch = crops(size)
        np.testing.assert_allclose(engine.infer(batch).logits, formula(batch), atol=2e-5)
    with pytest.raises(EngineInputError):
        engine.prepare([33])
    with pytest.raises(EngineInputError):
        engine.prepare([0])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_batch_shared_out_among_threads_keeps_its_order(name: str, threads: int, graph: Path) -> None:
    engine = _open(name, graph, threads=threads)
    engine.prepare([8, 13, 32])
    for size in (8, 13, 32, 11):
        batch = crops(size, seed=size)
        np.testing.assert_allclose(engine.infer(batch).logits, formula(batch), atol=2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_guard_answers_beside_the_logits_at_every_batch_size(name: str, tmp_path: Path) -> None:
    engine = _open(name, write_graph(tmp_path / "guarded.onnx", guard=True), threads=2)
    assert engine.spec.guarded
    for size in (1, 2, 7, 32, 17, 9, 5, 31):
        batch = crops(size, seed=size)
        output = engine.infer(batch)
        assert output.novelty is not None
        assert output.novelty.dtype == np.float32
        np.testing.assert_allclose(output.logits, formula(batch), atol=2e-5)
        np.testing.assert_allclose(output.novelty, novelty_formula(batch), atol=2e-5)
        np.testing.assert_allclose(output.features, features_formula(batch), atol=2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_guards_of_batches_in_flight_together_keep_their_own_answers(name: str, tmp_path: Path) -> None:
    engine = _open(name, write_graph(tmp_path / "guarded.onnx", guard=True), threads=2)
    if not isinstance(engine, PipelinedEngine):
        pytest.skip(f"{name} answers each call at once")
    for first, second in [(8, 8), (32, 3), (5, 8), (1, 32)]:
        batches = [crops(first, seed=first), crops(second, seed=50 + second)]
        tickets = [engine.submit(batch) for batch in batches]
        outputs = [engine.collect(ticket) for ticket in tickets]
        for output, batch in zip(outputs, batches, strict=True):
            np.testing.assert_allclose(output.novelty, novelty_formula(batch), atol=2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_an_engine_without_a_guard_gives_no_novelty(name: str, graph: Path) -> None:
    engine = _open(name, graph)
    assert not engine.spec.guarded
    assert engine.infer(crops(3)).novelty is None
    assert engine.infer(crops(3)).features is None


def _with_output(graph: Path, name: str, kind: int, shape: list[object]) -> Path:
    model = onnx.load(graph)
    place = [port.name for port in model.graph.output].index(name)
    model.graph.output[place].CopyFrom(onnx.helper.make_tensor_value_info(name, kind, shape))
    maker = next(one for one in model.graph.node if name in one.output)
    if kind != onnx.TensorProto.FLOAT:
        maker.output[0] = f"{name}_float"
        model.graph.node.append(onnx.helper.make_node("Cast", [f"{name}_float"], [name], to=kind))
    if len(shape) > 2:
        maker.attribute[0].i = 1
    onnx.save(model, graph)
    return graph


@pytest.mark.parametrize("name", sorted(GRAPHS))
@pytest.mark.parametrize(
    ("output", "kind", "shape", "said"),
    [
        ("novelty", onnx.TensorProto.DOUBLE, ["n"], "novelty"),
        ("novelty", onnx.TensorProto.FLOAT, ["n", 1, 1], r"it must be \(n,\)"),
        ("features", onnx.TensorProto.DOUBLE, ["n", PROTOTYPES], "features"),
        ("features", onnx.TensorProto.FLOAT, ["n", 1, 1, PROTOTYPES], r"it must be \(n, d\)"),
    ],
)
def test_a_guard_of_another_type_or_shape_is_refused(name, output, kind, shape, said, tmp_path: Path) -> None:
    graph = _with_output(write_graph(tmp_path / "guarded.onnx", guard=True), output, kind, shape)
    with pytest.raises(BundleError, match=said):
        _open(name, graph)


@pytest.mark.parametrize("name", NAMES)
def test_batches_under_way_together_keep_their_own_answers(name: str, graph: Path) -> None:
    engine = _open(name, graph, threads=2)
    if not isinstance(engine, PipelinedEngine):
        pytest.skip(f"{name} is asked and waited for")
    assert engine.sets >= 2
    for first, second in [(8, 8), (32, 3), (5, 8), (1, 32)]:
        batches = [crops(first, seed=first), crops(second, seed=50 + second)]
        mine = [batch.copy() for batch in batches]
        tickets = [engine.submit(batch) for batch in mine]
        for batch in mine:
            batch[...] = 0  # the caller's again at once
        for ticket, batch in zip(tickets, batches, strict=True):
            np.testing.assert_allclose(engine.collect(ticket).logits, formula(batch), atol=2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_more_batches_than_sets_are_refused_until_one_is_dropped(name: str, graph: Path) -> None:
    engine = _open(name, graph)
    if not isinstance(engine, PipelinedEngine):
        pytest.skip(f"{name} is asked and waited for")
    tickets = [engine.submit(crops(4)) for _ in range(engine.sets)]
    with pytest.raises(EngineInputError, match="in flight"):
        engine.submit(crops(4))
    for ticket in tickets:
        engine.drop(ticket)
        engine.drop(ticket)
    with pytest.raises(EngineInputError, match="collected already"):
        engine.collect(tickets[0])
    np.testing.assert_allclose(engine.infer(crops(4)).logits, formula(crops(4)), atol=2e-5)
    engine.submit(crops(32))
    engine.close()
    engine.drop(0)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_between_two_others_finds_the_set_that_is_free(name: str, graph: Path) -> None:
    engine = _open(name, graph)
    if not isinstance(engine, PipelinedEngine):
        pytest.skip(f"{name} is asked and waited for")
    first = engine.submit(crops(8, seed=1))
    for seed in (2, 3, 4):
        np.testing.assert_allclose(
            engine.infer(crops(8, seed=seed)).logits, formula(crops(8, seed=seed)), atol=2e-5
        )
    np.testing.assert_allclose(engine.collect(first).logits, formula(crops(8, seed=1)), atol=2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_same_crops_give_the_same_bits_and_stay_untouched(name: str, graph: Path) -> None:
    engine = _open(name, graph)
    batch = crops(9)
    batch.flags.writeable = False
    first = engine.infer(batch).logits
    np.testing.assert_array_equal(first, engine.infer(batch).logits)
    np.testing.assert_array_equal(batch, crops(9))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (np.zeros((1, SIDE, SIDE, 1), np.float32), "float32"),
        (np.zeros((1, SIDE, SIDE + 1, 1), np.uint8), "this engine takes"),
        (np.zeros((SIDE, SIDE, 1), np.uint8), "this engine takes"),
        (np.zeros((1, SIDE, SIDE, 3), np.uint8), "this engine takes"),
        (np.zeros((0, SIDE, SIDE, 1), np.uint8), r"got 0\b"),
        (np.zeros((33, SIDE, SIDE, 1), np.uint8), "got 33"),
        (np.zeros((8, SIDE, SIDE, 1), np.uint8)[::2], "contiguous"),
    ],
)
def test_crops_that_do_not_fit_are_refused(name: str, bad: np.ndarray, says: str, graph: Path) -> None:
    engine = _open(name, graph)
    with pytest.raises(EngineInputError, match=says):
        engine.infer(bad)


@pytest.mark.parametrize("name", NAMES)
def test_a_closed_engine_refuses_crops_and_can_be_closed_again(name: str, graph: Path) -> None:
    engine = _open(name, graph)
    engine.close()
    engine.close()
    with pytest.raises(EngineInputError, match="closed"):
        engine.infer(crops(1))


@pytest.mark.parametrize("name", GRAPHS)
def test_build_copies_the_graph_and_open_reads_it(name: str, graph: Path, tmp_path: Path) -> None:
    BACKENDS.get(name)().build(graph, tmp_path / "engine.onnx", precision="fp32", max_batch=4)
    assert (tmp_path / "engine.onnx").read_bytes() == graph.read_bytes()
    spec = _open(name, tmp_path / "engine.onnx", max_batch=4).spec
    assert (spec.crop_shape, spec.classes, spec.max_batch) == ((SIDE, SIDE, 1), 2, 4)
    assert (spec.backend, spec.precision) == (name, "fp32")


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_that_are_not_ours_are_refused(name: str, graph: Path, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no graph")
    (tmp_path / "cut.onnx").write_bytes(graph.read_bytes()[:300])
    (tmp_path / "empty.onnx").touch()
    write_graph(tmp_path / "named.onnx", name_in="image")
    write_graph(tmp_path / "static.onnx", batch=4)
    for file in ["text.onnx", "cut.onnx", "empty.onnx", "named.onnx", "static.onnx", "absent.onnx"]:
        with pytest.raises(BundleError) as caught:
            BACKENDS.get(name)().build(tmp_path / file, tmp_path / "out.onnx", precision="fp32", max_batch=4)
        assert file in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize("name", NAMES)
def test_unknown_precision_threads_and_batch_are_usage_errors(name: str, graph: Path) -> None:
    backend = BACKENDS.get(name)()
    with pytest.raises(UsageError, match="unknown precision"):
        backend.open(graph, precision="fp31", max_batch=1, threads=1)
    with pytest.raises(UsageError, match="threads"):
        backend.open(graph, precision="fp32", max_batch=1, threads=-1)
    with pytest.raises(UsageError, match="batch"):
        backend.open(graph, precision="fp32", max_batch=0, threads=1)


def test_bf16_is_refused_where_it_is_missing_and_differs_where_it_is_not(graph: Path) -> None:
    with pytest.raises(EnvironmentMismatchError):
        _open("onnxruntime", graph, "bf16")
    batch = crops(32)
    if BACKENDS.get("openvino")().incompatibility("bf16", {}):
        with pytest.raises(EnvironmentMismatchError, match="no bf16"):
            _open("openvino", graph, "bf16")
    else:
        assert np.abs(_open("openvino", graph, "bf16").infer(batch) - formula(batch)).max() > 2e-4


def test_openvino_computes_every_layer_of_an_fp32_graph_in_f32(graph: Path) -> None:
    types = _open("openvino", graph).layer_types()
    assert types["f32"] > 0
    assert not {"bf16", "f16"} & types.keys()


@pytest.mark.parametrize("name", GRAPHS)
def test_environment_names_version_and_cpu(name: str) -> None:
    environment = BACKENDS.get(name)().environment()
    assert environment[name][0].isdigit()
    assert environment["cpu"]
    assert environment["isa"]


def test_the_card_is_read_from_the_graph(graph: Path, tmp_path: Path) -> None:
    assert card_in_graph(graph).good_class == "normal"


def test_no_telemetry_is_loaded_and_nothing_imports_torch(graph: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom sji_edge.runtime import BACKENDS\n"
        f"for name in {GRAPHS!r}:\n"
        f"    BACKENDS.get(name)().open(Path({str(graph)!r}), precision='fp32', max_batch=1, threads=1)\n"
        "assert 'openvino_telemetry' not in sys.modules, 'telemetry'\n"
        "assert 'openvino.tools.ovc' not in sys.modules, 'converter'\n"
        "import openvino\n"
        "try:\n"
        "    openvino.convert_model('no-such-file')\n"
        "except Exception as error:\n"
        "    assert 'no-such-file' in str(error), error\n"
        "stub = sys.modules['openvino.tools.ovc.telemetry_utils'].tm.__name__\n"
        "assert stub == 'openvino.tools.ovc.telemetry_stub', stub\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("outside", ["../secret.bin", "/tmp/secret.bin"])
def test_weights_outside_the_graphs_folder_are_not_read(
    name: str, outside: str, graph: Path, tmp_path: Path
) -> None:
    model = onnx.load(graph)
    head = next(tensor for tensor in model.graph.initializer if tensor.name == "head")
    folder = tmp_path / "inside"
    folder.mkdir()
    secret = tmp_path / "secret.bin"
    secret.write_bytes(head.raw_data)
    head.ClearField("raw_data")
    head.data_location = onnx.TensorProto.EXTERNAL
    location = head.external_data.add()
    location.key, location.value = "location", outside.replace("/tmp/secret.bin", str(secret))
    (folder / "engine.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BundleError, match=r"engine\.onnx"):
        _open(name, folder / "engine.onnx")


@pytest.mark.parametrize("name", GRAPHS)
def test_an_operator_of_a_custom_library_is_refused(name: str, graph: Path, tmp_path: Path) -> None:
    model = onnx.load(graph)
    model.graph.node[4].domain, model.graph.node[4].op_type = "vendor", "Relu6"
    model.opset_import.append(onnx.helper.make_opsetid("vendor", 1))
    (tmp_path / "engine.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BundleError, match=r"engine\.onnx"):
        _open(name, tmp_path / "engine.onnx")

"""Real builds by TensorRT for RTX, ahead of time: no GPU is needed for them."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from support.real_graphs import SIDE, exported, write_real_graph
from support.tiny_bundle import crops, novelty_formula, write_graph

from sji_edge.core.errors import BundleError, EnvironmentMismatchError, UsageError
from sji_edge.quantization.fp16 import to_half
from sji_edge.quantization.int8.qdq_nodes import scheme_for
from sji_edge.quantization.int8.quantizer import Quantizer
from sji_edge.quantization.ladder import Candidate, beside_half
from sji_edge.runtime import BACKENDS
from sji_edge.runtime.cuda.driver import CudaDevice, CudaDriver
from sji_edge.runtime.tensorrt import build as tensorrt_build
from sji_edge.runtime.tensorrt.backend import TensorRtBackend, TensorRtRtxBackend
from sji_edge.runtime.tensorrt.build import Job
from sji_edge.runtime.tensorrt.log import BuildLog, logger_of
from sji_edge.runtime.tensorrt.options import TensorRtOptions
from sji_edge.runtime.tensorrt.package import network_flags
from sji_edge.runtime.tensorrt.rewrite import without_gemm

pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT for RTX is not installed")

ALL = ("7.5", "8.6", "8.9", "12.0")
NO_GPU = CudaDriver("", (), "no NVIDIA driver is installed")
AMPERE = CudaDriver("13.0", (CudaDevice(0, "NVIDIA RTX A2000", "8.6", 6 << 30),), "")


def backend(*capabilities: str, **options: object) -> TensorRtRtxBackend:
    return TensorRtRtxBackend(
        TensorRtOptions(compute_capabilities=capabilities, **options), driver=lambda: NO_GPU
    )


def build(graph: Path, folder: Path, *capabilities: str, precision: str = "fp32", max_batch: int = 32):
    plan = folder / "engine.plan"
    facts = backend(*capabilities).build(graph, plan, precision=precision, max_batch=max_batch)
    return plan, facts


# Each card and each precision in the fast tests; every pair of them in the slow ones.
FAST = {("7.5", "int8"), ("8.6", "fp16"), ("8.9", "fp32"), ("12.0", "int8"), ("7.5", "fp32")}
PAIRS = [
    pytest.param(capability, precision, marks=() if (capability, precision) in FAST else pytest.mark.slow)
    for capability in ALL
    for precision in ("fp32", "fp16", "int8")
]


@pytest.mark.parametrize(("capability", "precision"), PAIRS)
def test_efficientnet_lite0_builds_for_each_card(capability: str, precision: str, tmp_path: Path) -> None:
    graph = write_real_graph(tmp_path, "efficientnet_lite0", precision)
    plan, facts = build(graph, tmp_path, capability, precision=precision)
    assert plan.stat().st_size == facts["plan_bytes"] > 1_000_000
    assert facts["batches"] == [1, 32, 32]
    assert facts["compute_capabilities"] == [capability]
    assert (tmp_path / "engine.log").read_text()
    # Beside "layers", which is how many the candidate has.
    assert facts["layer_table"].startswith("not inspected")
    assert "layers" not in facts


@pytest.mark.parametrize("capability", ["7.5", "8.6"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_graph_with_a_guard_builds(capability: str, precision: str, tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "guarded.onnx", guard=True)
    if precision == "fp16":
        onnx.save(to_half(onnx.load(graph)), graph)
    if precision == "int8":
        scheme = scheme_for("tensorrt-rtx", 8)
        onnx.save(Quantizer(onnx.load(graph), crops(32), scheme).quantize(), graph)
    plan, _ = build(graph, tmp_path, capability, precision=precision)
    assert plan.stat().st_size > 0


@pytest.mark.parametrize("capability", ["7.5", "8.6"])
def test_int8_with_fp16_for_the_rest_builds_and_is_smaller(capability: str, tmp_path: Path) -> None:
    int8 = Candidate("int8", "int8", write_real_graph(tmp_path, "efficientnet_lite0", "int8"))
    both = beside_half(int8, tmp_path)
    sizes = [
        build(one.graph, tmp_path, capability, precision="int8")[1]["plan_bytes"] for one in (int8, both)
    ]
    assert sizes[1] < sizes[0]


@pytest.mark.slow
@pytest.mark.parametrize("capability", ALL)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_resnet18_builds_for_each_card(capability: str, precision: str, tmp_path: Path) -> None:
    graph = write_real_graph(tmp_path, "resnet18", precision)
    plan, _ = build(graph, tmp_path, capability, precision=precision, max_batch=128)
    assert plan.stat().st_size > 5_000_000


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_resnet18_and_googlenet_build_for_three_cards_in_one_plan(precision: str, tmp_path: Path) -> None:
    for architecture in ("resnet18", "googlenet"):
        graph = write_real_graph(tmp_path, architecture, precision)
        _, facts = build(graph, tmp_path, "8.6", "8.9", "12.0", precision=precision)
        assert facts["compute_capabilities"] == ["8.6", "8.9", "12.0"]


@pytest.mark.slow
def test_int8_and_fp16_plans_are_smaller_than_fp32(tmp_path: Path) -> None:
    sizes = {}
    for precision in ("fp32", "fp16", "int8"):
        graph = write_real_graph(tmp_path, "efficientnet_lite0", precision)
        sizes[precision] = build(graph, tmp_path, "8.9", precision=precision)[1]["plan_bytes"]
    assert sizes["fp16"] < 0.7 * sizes["fp32"]
    assert sizes["int8"] < 0.9 * sizes["fp32"]


def test_without_a_card_named_it_builds_for_the_usual_ones(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "model.onnx")
    _, facts = build(graph, tmp_path)
    assert facts["compute_capabilities"] == ["8.6", "8.9", "12.0"]
    environment = backend().environment()
    assert environment["compute_capability"] == "8.6 8.9 12.0"
    assert environment["tensorrt-rtx"][0].isdigit()
    assert environment["gpu"] == "none"


def test_steps_are_reported(tmp_path: Path) -> None:
    steps: list[str] = []
    kind = TensorRtRtxBackend(step=steps.append, driver=lambda: NO_GPU)
    kind.build(write_graph(tmp_path / "m.onnx"), tmp_path / "m.plan", precision="fp32", max_batch=4)
    assert steps[0] == "parsing"
    assert any("Building engine" in step for step in steps)


# In a separate process, as for a user: TensorRT for RTX 1.7.1 crashed when a build was interrupted in a process that
# had run two thousand other tests.
GIVEN_UP = """
import signal, sys
from pathlib import Path
from sji_edge.runtime.cuda.driver import CudaDriver
from sji_edge.runtime.tensorrt.backend import TensorRtRtxBackend

graph, plan = map(Path, sys.argv[1:])
steps = []
def step(text):
    steps.append(text)
    if len(steps) == 3:
        signal.raise_signal(signal.SIGINT)

handler = signal.getsignal(signal.SIGINT)
backend = TensorRtRtxBackend(step=step, driver=lambda: CudaDriver("", (), "none"))
try:
    backend.build(graph, plan, precision="fp32", max_batch=4)
except KeyboardInterrupt:
    assert signal.getsignal(signal.SIGINT) is handler
    sys.exit(0 if len(steps) < 10 else 3)
sys.exit(4)
"""


def test_ctrl_c_ends_a_build_and_nothing_is_written(tmp_path: Path) -> None:
    words = [sys.executable, "-c", GIVEN_UP, str(write_graph(tmp_path / "m.onnx")), str(tmp_path / "m.plan")]
    assert subprocess.run(words, timeout=60, check=False).returncode == 0
    assert not (tmp_path / "m.plan").exists()


# A builder that an error's traceback kept alive, freed by a collection while TensorRT, which calls our logger, holds
# the lock that it wants.
COLLECTED_INSIDE = """
import gc, sys
from pathlib import Path
from sji_edge.core.errors import UsageError
from sji_edge.runtime.cuda.driver import CudaDriver
from sji_edge.runtime.tensorrt.backend import TensorRtRtxBackend
from sji_edge.runtime.tensorrt.options import TensorRtOptions

graph, plan = map(Path, sys.argv[1:])
def collect(frame, event, argument):
    if event == "call" and frame.f_code.co_name == "log":
        gc.collect()

gc.freeze()
gc.disable()
sys.setprofile(collect)
for capability in ("9.0", "8.6"):
    options = TensorRtOptions(compute_capabilities=(capability,))
    backend = TensorRtRtxBackend(options, driver=lambda: CudaDriver("", (), "none"))
    try:
        backend.build(graph, plan, precision="fp32", max_batch=4)
    except UsageError as error:
        error.cycle = error
"""


def test_no_build_waits_for_itself_after_an_error(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "m.onnx")
    words = [sys.executable, "-c", COLLECTED_INSIDE, str(graph), str(tmp_path / "m.plan")]
    assert subprocess.run(words, timeout=60, check=False).returncode == 0


def test_an_error_keeps_no_tensorrt_object_alive(tmp_path: Path) -> None:
    import tensorrt_rtx_bindings as trt

    with pytest.raises(UsageError) as caught:
        build(write_graph(tmp_path / "model.onnx"), tmp_path, "9.0")
    held = [value for entry in caught.traceback for value in entry.frame.f_locals.values()]
    assert not [
        one for one in held if isinstance(one, trt.Builder | trt.INetworkDefinition | trt.IBuilderConfig)
    ]


def test_an_operator_that_tensorrt_lacks_is_named_with_its_node(tmp_path: Path) -> None:
    model = onnx.load(write_graph(tmp_path / "model.onnx"))
    model.graph.node[4].op_type = "StringNormalizer"
    model.graph.node[4].name = "odd_one"
    (tmp_path / "odd.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BundleError, match=r"odd\.onnx: StringNormalizer, node odd_one: ") as caught:
        build(tmp_path / "odd.onnx", tmp_path, "8.6")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "engine.plan").exists()


def test_a_custom_operator_is_named(tmp_path: Path) -> None:
    model = onnx.load(write_graph(tmp_path / "model.onnx"))
    model.graph.node[4].domain, model.graph.node[4].op_type = "vendor", "Relu6"
    model.opset_import.append(helper.make_opsetid("vendor", 1))
    (tmp_path / "odd.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BundleError, match="Relu6"):
        build(tmp_path / "odd.onnx", tmp_path, "8.6")


def test_graphs_that_are_not_ours_are_refused(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "model.onnx")
    (tmp_path / "text.onnx").write_text("no graph")
    (tmp_path / "cut.onnx").write_bytes(graph.read_bytes()[:300])
    (tmp_path / "empty.onnx").touch()
    write_graph(tmp_path / "named.onnx", name_in="image")
    write_graph(tmp_path / "static.onnx", batch=4)
    for file in ["text.onnx", "cut.onnx", "empty.onnx", "named.onnx", "static.onnx", "absent.onnx"]:
        with pytest.raises((BundleError, UsageError)) as caught:
            build(tmp_path / file, tmp_path, "8.6")
        assert file in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "engine.plan").exists()


@pytest.mark.parametrize("outside", ["../secret.bin", "/tmp/secret.bin", "secret.bin"])
def test_weights_outside_the_graph_are_not_read(outside: str, tmp_path: Path, monkeypatch) -> None:
    model = onnx.load(write_graph(tmp_path / "model.onnx"))
    head = next(tensor for tensor in model.graph.initializer if tensor.name == "head")
    folder = tmp_path / "inside"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for place in (tmp_path, folder):
        (place / "secret.bin").write_bytes(head.raw_data)
    head.ClearField("raw_data")
    head.data_location = TensorProto.EXTERNAL
    location = head.external_data.add()
    location.key, location.value = (
        "location",
        outside.replace("/tmp/secret.bin", str(tmp_path / "secret.bin")),
    )
    (folder / "engine.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BundleError, match=r"engine\.onnx"):
        build(folder / "engine.onnx", folder, "8.6")


def test_what_the_package_has_not_is_refused_before_the_build(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "model.onnx")
    target = {"precision": "fp32", "max_batch": 8}
    with pytest.raises(UsageError, match=r"9\.0"):
        backend("9.0").build(graph, tmp_path / "e.plan", **target)
    for option, says in (("hardware_compatible", "hardware"), ("version_compatible", "version")):
        with pytest.raises(UsageError, match=says):
            backend(**{option: True}).build(graph, tmp_path / "e.plan", **target)
    with pytest.raises(UsageError, match="DLA"):
        backend(dla=0).build(graph, tmp_path / "e.plan", **target)
    with pytest.raises(UsageError, match="to tune for"):
        backend(opt_batch=9).build(graph, tmp_path / "e.plan", **target)
    with pytest.raises(UsageError, match="unknown precision"):
        backend().build(graph, tmp_path / "e.plan", precision="fp31", max_batch=8)
    with pytest.raises(EnvironmentMismatchError, match="bf16"):
        backend().build(graph, tmp_path / "e.plan", precision="bf16", max_batch=8)
    with pytest.raises(UsageError, match="batch"):
        backend().build(graph, tmp_path / "e.plan", precision="fp32", max_batch=0)
    assert not (tmp_path / "e.plan").exists()


def test_options_reach_the_builder(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "model.onnx")
    options = {"opt_batch": 16, "optimization_level": 1, "workspace_mb": 64}
    facts = backend("8.6", **options).build(graph, tmp_path / "e.plan", precision="fp32", max_batch=32)
    assert facts["batches"] == [1, 16, 32]


@pytest.fixture
def parsed(tmp_path: Path):
    """``options -> config, what fell back, log, package``, by the package's own builder as far as it goes here."""
    import tensorrt_rtx_bindings as trt

    graph = write_graph(tmp_path / "model.onnx")

    def make(dla_cores: int = 0, timing_cache: Path | None = None, **options: object):
        log = BuildLog()
        builder = trt.Builder(logger_of(trt, log))
        network = builder.create_network(network_flags(trt))
        precision = options.pop("precision", "fp32")
        wanted = TensorRtOptions(**options)
        job = Job(graph, precision, 32, wanted, (), timing_cache, lambda _: None)
        tensorrt_build._parse(trt, job, network, logger_of(trt, log))
        if dla_cores:
            builder = SimpleNamespace(
                num_DLA_cores=dla_cores,
                create_builder_config=builder.create_builder_config,
                create_optimization_profile=builder.create_optimization_profile,
            )
        config, fallen = tensorrt_build._config(
            trt, builder, network, job, log, wanted.batches(job.max_batch)
        )
        return config, fallen, log, trt

    return make


def test_every_option_arrives_in_the_builders_configuration(parsed) -> None:
    config, _, _, trt = parsed(
        version_compatible=True, workspace_mb=64, optimization_level=1, opt_batch=8, hardware_compatible=True
    )
    for flag in ("VERSION_COMPATIBLE", "EXCLUDE_LEAN_RUNTIME", "REQUIRE_USER_ALLOCATION"):
        assert config.get_flag(getattr(trt.BuilderFlag, flag)), flag
    assert config.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE) == 64 << 20
    assert config.builder_optimization_level == 1
    assert config.profiling_verbosity == trt.ProfilingVerbosity.DETAILED
    assert config.num_optimization_profiles == 1
    plain, _, _, _ = parsed()
    assert not plain.get_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    assert plain.builder_optimization_level != 1


@pytest.mark.parametrize(("precision", "allowed"), [("fp32", False), ("fp16", True), ("int8", True)])
def test_fp32_engines_do_not_compute_in_tf32(parsed, precision: str, allowed: bool) -> None:
    config, _, _, trt = parsed(precision=precision)
    assert config.get_flag(trt.BuilderFlag.TF32) == allowed


TURING = CudaDriver("13.0", (CudaDevice(0, "NVIDIA T1000", "7.5", 4 << 30),), "")


@pytest.mark.parametrize(("driver", "capability"), [(TURING, "7.5"), (AMPERE, "8.6")])
def test_built_on_the_device_the_plan_is_for_its_capability(driver, capability: str, tmp_path: Path) -> None:
    import tensorrt_rtx_bindings as trt

    here = TensorRtRtxBackend(driver=lambda: driver)
    graph = write_graph(tmp_path / "model.onnx")
    job = Job(graph, "fp32", 4, TensorRtOptions(), here._targets(), None, lambda _: None)
    built = tensorrt_build.build_plan(trt, job, "tensorrt-rtx")
    assert built.facts["compute_capabilities"] == [capability]
    # It is for this very card all the same, and can be inspected here.
    environment = here.environment()
    assert (environment["gpu"], environment["compute_capability"]) == (driver.devices[0].name, capability)
    assert here._ahead() == ()
    assert TensorRtBackend(driver=lambda: driver)._targets() == ()


def test_layers_that_fall_back_from_the_dla_are_named(parsed) -> None:
    config, fallen, _, trt = parsed(dla_cores=2, dla=1)
    assert config.default_device_type == trt.DeviceType.DLA
    assert config.get_flag(trt.BuilderFlag.GPU_FALLBACK)
    assert len(fallen) > 5  # this package runs nothing there
    assert all(fallen)
    with pytest.raises(EnvironmentMismatchError, match="there is no DLA core 0: this device has 0"):
        parsed(dla=0)


# They do nothing in this package, which warns of them; their part of the API is the same in all.
@pytest.mark.filterwarnings("ignore:.*Timing cache operations:DeprecationWarning")
@pytest.mark.parametrize("before", [None, b"", b"no timing cache"])
def test_kernel_times_are_kept_whatever_the_cache_held(parsed, before: bytes | None, tmp_path: Path) -> None:
    cache = tmp_path / "caches" / "tensorrt-10-A2000.cache"
    if before is not None:
        cache.parent.mkdir()
        cache.write_bytes(before)
    config, _, _, _ = parsed(timing_cache=cache)
    tensorrt_build._keep_timings(config, cache)
    assert len(cache.read_bytes()) > 20
    assert cache.read_bytes() != before
    # An existing cache is used next time or, as here without the device, ignored with a line in the log.
    _, _, log, _ = parsed(timing_cache=cache)
    assert [line for line in log.warnings if "timing cache" in line]


def test_timing_caches_are_one_a_version_and_device(tmp_path: Path) -> None:
    trt = SimpleNamespace(__version__="10.16.1")
    options = TensorRtOptions(timing_caches=tmp_path)
    here = TensorRtBackend(options, driver=lambda: AMPERE)
    assert here._timing_cache(trt) == tmp_path / "tensorrt-10.16.1-NVIDIA-RTX-A2000.cache"
    assert TensorRtBackend(driver=lambda: AMPERE)._timing_cache(trt) is None
    # TensorRT for RTX times nothing while it builds.
    assert TensorRtRtxBackend(options, driver=lambda: AMPERE)._timing_cache(trt) is None


def test_opening_without_a_gpu_says_so(tmp_path: Path) -> None:
    plan, _ = build(write_graph(tmp_path / "model.onnx"), tmp_path, "8.6")
    with pytest.raises(EnvironmentMismatchError, match="no NVIDIA driver"):
        backend().open(plan, precision="fp32", max_batch=4, threads=0)
    assert backend().incompatibility("fp32", {}) == "no NVIDIA driver is installed"


def test_a_plan_is_refused_on_another_machine_than_it_was_built_for() -> None:
    here = TensorRtRtxBackend(driver=lambda: AMPERE)
    version = here.environment()["tensorrt-rtx"]
    built = {"tensorrt-rtx": version, "compute_capability": "8.6 8.9", "gpu": "none", "cuda": "none"}
    assert here.incompatibility("int8", built) == ""
    for change, says in (
        ({"tensorrt-rtx": "1.2.0.54"}, "1.2.0.54"),
        ({"compute_capability": "8.9 12.0"}, "8.9 12.0"),
        ({"gpu": "NVIDIA RTX A4000"}, "A4000"),
    ):
        assert says in here.incompatibility("int8", {**built, **change})
    assert "fp16" in here.incompatibility("bf16", built)


@pytest.mark.parametrize("architecture", ["efficientnet_lite0"])
def test_the_head_as_a_convolution_computes_the_same(architecture: str, tmp_path: Path) -> None:
    (tmp_path / "real.onnx").write_bytes(exported(architecture))
    for graph, batch in (
        (write_graph(tmp_path / "model.onnx"), crops(8)),
        (
            tmp_path / "real.onnx",
            np.random.default_rng(1).integers(0, 256, (4, SIDE, SIDE, 1), dtype=np.uint8),
        ),
    ):
        rewritten = without_gemm(graph, tmp_path / "rewritten.onnx")
        onnx.checker.check_model(onnx.load(rewritten))
        assert "Gemm" not in {node.op_type for node in onnx.load(rewritten).graph.node}
        before, after = (
            onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(
                None, {"crops": batch}
            )[0]
            for path in (graph, rewritten)
        )
        np.testing.assert_allclose(after, before, atol=1e-5)


def test_tensorrt_itself_builds_nothing_without_a_gpu(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "model.onnx")
    with pytest.raises(EnvironmentMismatchError, match="TensorRT cannot build here: no NVIDIA driver"):
        TensorRtBackend(driver=lambda: NO_GPU).build(
            graph, tmp_path / "e.plan", precision="fp32", max_batch=4
        )
    with pytest.raises(UsageError, match="compute capability"):
        TensorRtBackend(TensorRtOptions(compute_capabilities=("8.6",)), driver=lambda: AMPERE).build(
            graph, tmp_path / "e.plan", precision="fp32", max_batch=4
        )


def test_the_registry_knows_both_kinds() -> None:
    assert BACKENDS.get("tensorrt")().suffix == BACKENDS.get("tensorrt-rtx")().suffix == ".plan"
    assert BACKENDS.get("tensorrt-rtx")().name == "tensorrt-rtx"


@pytest.mark.parametrize("rank", [3, 4])
def test_a_guards_product_as_a_convolution_gives_the_same_novelty(rank: int, tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "guarded.onnx", guard=True)
    if rank == 3:
        _with_flat_cells(graph)
    rewritten = without_gemm(graph, tmp_path / "rewritten.onnx")
    kinds = [node.op_type for node in onnx.load(rewritten).graph.node]
    assert kinds.count("Conv") == 3
    assert not {"Gemm", "MatMul"} & set(kinds)
    outputs = [_outputs(path, crops(5)) for path in (graph, rewritten)]
    np.testing.assert_allclose(outputs[0]["novelty"], novelty_formula(crops(5)), atol=2e-5)
    for name, values in outputs[0].items():
        np.testing.assert_allclose(outputs[1][name], values, atol=1e-6)


def _with_flat_cells(graph: Path) -> None:
    """Let the guard see its cells in one row, ``(n, cells, channels)``."""
    model = onnx.load(graph)
    product = next(node for node in model.graph.node if node.op_type == "MatMul")
    place = list(model.graph.node).index(product)
    flat = onnx.helper.make_node("Reshape", [product.input[0], "flat_shape"], ["flat_cells"])
    square = onnx.helper.make_node("Reshape", ["flat_products", "square_shape"], [product.output[0]])
    product.input[0], product.output[0] = "flat_cells", "flat_products"
    model.graph.node.insert(place + 1, square)
    model.graph.node.insert(place, flat)
    shapes = {"flat_shape": [0, -1, 4], "square_shape": [0, 8, 8, -1]}
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.array(shape), name) for name, shape in shapes.items()
    )
    onnx.save(model, graph)


def _outputs(graph: Path, batch: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"crops": batch}), strict=True))

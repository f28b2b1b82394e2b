"""What the host decides, without a device: options, compatibility, the layer table, buffers."""

import json
from types import SimpleNamespace

import pytest

from sji_edge.core.errors import BundleError, EngineInputError, UsageError
from sji_edge.core.protocols import EngineSpec
from sji_edge.runtime.cuda.driver import CudaDevice, CudaDriver
from sji_edge.runtime.tensorrt import plan as tensorrt_plan
from sji_edge.runtime.tensorrt.compatibility import environment_of, plan_incompatibility
from sji_edge.runtime.tensorrt.device_buffers import BufferSizes, Profile
from sji_edge.runtime.tensorrt.layers import count_types, layer_table, unfused
from sji_edge.runtime.tensorrt.log import BuildLog
from sji_edge.runtime.tensorrt.options import TensorRtOptions
from sji_edge.runtime.tensorrt.package import network_flags, precision_flags
from sji_edge.runtime.tensorrt.plan import LoadedPlan, load_plan


def machine(name: str = "A2000", capability: str = "8.6", cuda: str = "13.0") -> CudaDriver:
    return CudaDriver(cuda, (CudaDevice(0, name, capability, 6 << 30),), "")


def recorded(version: str = "10.16.1", driver: CudaDriver | None = None, **options: bool) -> dict[str, str]:
    return environment_of("tensorrt", version, driver or machine(), TensorRtOptions(**options), ())


def reason(here: CudaDriver, version: str, there: dict[str, str]) -> str:
    return plan_incompatibility("tensorrt", "TensorRT", version, here, there)


def test_the_same_machine_runs_its_own_plan() -> None:
    assert recorded()["compute_capability"] == "8.6"
    assert reason(machine(), "10.16.1", recorded()) == ""
    assert reason(machine(), "10.16.1", {}) == ""


@pytest.mark.parametrize(
    ("here", "version", "says"),
    [
        (CudaDriver("", (), "no driver"), "10.16.1", "no driver"),
        (machine(), "10.17.0", "built by TensorRT 10.16.1, and 10.17.0 is installed"),
        (machine(), "11.4", "11.4 is installed"),
        (machine(capability="8.9"), "10.16.1", "compute capability 8.6, but A2000 has 8.9"),
        (machine(name="A4000"), "10.16.1", "built on A2000, and this is A4000"),
        (machine(cuda="12.8"), "10.16.1", "a driver for CUDA 13.0, and the driver here supports CUDA 12.8"),
    ],
)
def test_every_mismatch_is_refused_with_what_differs(here: CudaDriver, version: str, says: str) -> None:
    assert says in reason(here, version, recorded())


def test_a_newer_driver_runs_what_an_older_one_built() -> None:
    assert reason(machine(cuda="13.1"), "10.16.1", recorded()) == ""
    ahead = {**recorded(), "cuda": "none", "gpu": "none", "compute_capability": "8.6"}
    assert reason(machine(cuda="12.8"), "10.16.1", ahead) == ""


def test_wider_plans_run_where_they_may_and_no_further() -> None:
    hardware = recorded(hardware_compatible=True)
    assert reason(machine("RTX 4090", "8.9"), "10.16.1", hardware) == ""
    assert "8.0 or later" in reason(machine("T4", "7.5"), "10.16.1", hardware)
    version = recorded(version_compatible=True)
    assert reason(machine(), "10.17.0", version) == ""
    assert "10.15" in reason(machine(), "10.15.0", version)
    assert "11.0" in reason(machine(), "11.0", version)
    assert "A4000" in reason(machine("A4000"), "10.17.0", version)


def orin(multiprocessors: int) -> CudaDriver:
    return CudaDriver("12.6", (CudaDevice(0, "Orin", "8.7", 8 << 30, multiprocessors),), "")


AGX, NANO = "NVIDIA Jetson AGX Orin Developer Kit", "NVIDIA Jetson Orin Nano Developer Kit"


@pytest.mark.parametrize(
    ("driver", "board", "says"),
    [
        (orin(16), AGX, ""),
        (orin(8), AGX, "Orin with 16 multiprocessors, and this one has 8"),
        (orin(16), NANO, f"built on {AGX}, and this is {NANO}"),
        (orin(16), "", f"built on {AGX}, and this is Orin"),
    ],
)
def test_modules_that_share_a_name_are_told_apart(driver: CudaDriver, board: str, says: str) -> None:
    there = environment_of("tensorrt", "10.3.0", orin(16), TensorRtOptions(), (), AGX)
    found = plan_incompatibility("tensorrt", "TensorRT", "10.3.0", driver, there, board)
    assert found == "" if not says else says in found
    # What was recorded before there were these keys is not held against a plan.
    older = {key: text for key, text in there.items() if key not in ("board", "multiprocessors")}
    assert plan_incompatibility("tensorrt", "TensorRT", "10.3.0", driver, older, board) == ""


def test_a_profile_says_which_batch_runs() -> None:
    profile = Profile.of([(1, 84, 84, 1), (64, 84, 84, 1), (128, 84, 84, 1)], "x.plan")
    assert (profile.run_batch(1), profile.run_batch(100)) == (1, 100)
    for wrong in (0, 129):
        with pytest.raises(EngineInputError):
            profile.run_batch(wrong)
    fixed = Profile.of([(32, 8, 8, 1)] * 3, "x.plan")
    assert [fixed.run_batch(n) for n in (1, 31, 32)] == [32, 32, 32]


@pytest.mark.parametrize(
    "shapes",
    [
        [(1, 8, 8, 1), (4, 8, 8, 1)],
        [(1, 8, 8, 1), (4, 8, 9, 1), (8, 8, 8, 1)],
        [(4, 8, 8, 1), (1, 8, 8, 1), (8, 8, 8, 1)],
        [(0, 8, 8, 1), (1, 8, 8, 1), (8, 8, 8, 1)],
    ],
)
def test_profiles_that_cannot_be_are_refused(shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(BundleError, match="profile"):
        Profile.of(shapes, "x.plan")


def test_buffers_hold_the_greatest_batch_that_runs() -> None:
    spec = EngineSpec((84, 80, 3), 2, 16, "tensorrt", "fp32")
    sizes = BufferSizes.of(spec, Profile(1, 16, 128))
    assert (sizes.crops, sizes.maps, sizes.outputs) == (16 * 84 * 80 * 3, 16 * 48, {"logits": 16 * 2 * 4})
    guarded = EngineSpec((84, 80, 3), 2, 16, "tensorrt", "fp32", guarded=True, features=30)
    outputs = {"logits": 16 * 2 * 4, "novelty": 16 * 4, "features": 16 * 30 * 4}
    assert BufferSizes.of(guarded, Profile(1, 8, 64)).outputs == outputs
    # A plan of one batch size always runs that many, however few crops come.
    assert BufferSizes.of(spec, Profile(32, 32, 32)).outputs["logits"] == 32 * 2 * 4


def test_dla_has_one_batch_and_others_a_range() -> None:
    assert TensorRtOptions().batches(128) == (1, 64, 128)
    assert TensorRtOptions().batches(16) == (1, 16, 16)
    assert TensorRtOptions(opt_batch=100).batches(128) == (1, 100, 128)
    assert TensorRtOptions(dla=0).batches(32) == (32, 32, 32)
    with pytest.raises(UsageError, match="100"):
        TensorRtOptions(opt_batch=100).batches(64)


def test_the_log_gives_the_first_error_without_tensorrts_own_source_lines() -> None:
    log = BuildLog()
    log.add("INFO", "hello")
    log.add("WARNING", "careful\nnow")
    log.add("ERROR", "Cannot compile 'node'. In compileGraph at /_src/x.cpp:2012)")
    log.add("ERROR", "another")
    assert log.reason() == "Cannot compile 'node'."
    assert log.warnings == ["careful now"]
    assert len(log.text().splitlines()) == 4
    assert BuildLog().reason() == "no reason was given"


def test_a_log_of_months_stays_bounded() -> None:
    log = BuildLog()
    for number in range(3000):
        log.add("ERROR", f"error {number}")
        log.add("WARNING", "careful")
    assert len(log.errors) == len(log.warnings) == 1000
    assert (log.reason(), log.latest()) == ("error 0", "error 999")


class _Runtime:
    """A runtime that takes plans of its own version only; it may load the lean one of another."""

    def __init__(self, version: bytes, lean: "_Runtime | None" = None) -> None:
        self.version, self.lean, self.asked = version, lean, ""

    def deserialize_cuda_engine(self, data: bytes) -> bytes | None:
        return data if data == self.version else None

    def load_runtime(self, path: str) -> "_Runtime | None":
        self.asked = path
        return self.lean


@pytest.mark.parametrize("lean", [None, b"10.15"])
def test_a_version_compatible_plan_is_loaded_by_its_own_lean_runtime(lean, tmp_path, monkeypatch) -> None:
    runtime = _Runtime(b"10.16", None if lean is None else _Runtime(lean))
    trt = SimpleNamespace(__version__="10.16.1")
    monkeypatch.setattr(tensorrt_plan, "runtime_of", lambda *_: runtime)
    monkeypatch.setattr(tensorrt_plan, "described", lambda plan, *_: ("spec of", plan))
    plan = tmp_path / "engine.plan"
    plan.write_bytes(b"10.15")
    if lean is None:
        with pytest.raises(BundleError, match=r"cannot load .*engine\.plan"):
            load_plan(trt, plan, 4, "tensorrt", "fp32")
    else:
        loaded = load_plan(trt, plan, 4, "tensorrt", "fp32")
        assert loaded.plan == b"10.15"
        assert loaded.runtimes == (runtime, runtime.lean)
    assert runtime.asked.endswith("libnvinfer_lean.so.10")


def test_a_plan_is_freed_before_its_lean_runtime_and_that_before_its_parent() -> None:
    freed: list[str] = []

    class Held:
        def __init__(self, name: str) -> None:
            self.name = name

        def __del__(self) -> None:
            freed.append(self.name)

    spec = EngineSpec((8, 8, 1), 2, 4, "tensorrt", "fp32")
    for how in ("freed", "dropped"):
        freed.clear()
        loaded = LoadedPlan(None, (Held("parent"), Held("lean")), Held("plan"), spec, Profile(1, 4, 4))
        if how == "freed":
            loaded.free()
        else:
            del loaded
        assert freed == ["plan", "lean", "parent"]


LAYERS = {
    "Layers": [
        {
            "Name": "crops_QuantizeLinear",
            "LayerType": "Reformat",
            "Inputs": [{"Name": "a", "Dimensions": [1], "Format/Datatype": "Row major linear FP32"}],
            "Outputs": [{"Name": "b", "Dimensions": [1], "Format/Datatype": "Row major Int8 format"}],
            "TacticName": "",
        },
        {
            "Name": "conv1.weight + conv1_QuantizeLinear + conv1",
            "LayerType": "CaskConvolution",
            "Inputs": [{"Name": "b", "Format/Datatype": "Int8 NCHW4"}],
            "Outputs": [{"Name": "c", "Datatype": "INT8"}],
            "TacticName": "sm80_xmma_fprop",
        },
        {
            "Name": "add_DequantizeLinear",
            "LayerType": "Dequantize",
            "Inputs": [],
            "Outputs": [{"Name": "d", "Format/Datatype": "Half"}],
        },
    ]
}


def test_the_layer_table_says_which_type_each_layer_got() -> None:
    table = layer_table(json.dumps(LAYERS))
    assert [row["outputs"] for row in table] == [["int8"], ["int8"], ["fp16"]]
    assert count_types(table) == {"fp16": 1, "int8": 2}
    for said, type_ in (("Float", "fp32"), ("Half", "fp16"), ("BFloat16", "bf16"), ("Int8", "int8")):
        # TensorRT 11 says "Float" where earlier versions say "FP32".
        row = {"Name": "x", "LayerType": "y", "Inputs": [], "Outputs": [{"Format/Datatype": said}]}
        assert layer_table(json.dumps({"Layers": [row]}))[0]["outputs"] == [type_]
    assert table[1]["tactic"] == "sm80_xmma_fprop"
    assert "2 quantizing nodes were not fused into a layer: crops_QuantizeLinear, add_" in unfused(table)
    assert unfused(table[:2]) == ""  # the input's own quantizing stays by nature
    assert layer_table('{"Layers": ["conv1 + relu"]}')[0]["name"] == "conv1 + relu"
    for wrong in ("[]", "{}", "no json"):
        with pytest.raises(ValueError):
            layer_table(wrong)


class _Flags:
    """The part of each version's enumerations that the build looks at."""

    class _Old:
        EXPLICIT_BATCH = 0

    class _New:
        EXPLICIT_BATCH = 0
        STRONGLY_TYPED = 1

    class BuilderFlag:
        FP16 = "fp16 flag"
        INT8 = "int8 flag"


def test_only_8_6_needs_the_batch_and_precision_flags() -> None:
    old = type("Trt86", (), {"NetworkDefinitionCreationFlag": _Flags._Old, "BuilderFlag": _Flags.BuilderFlag})
    new = type("Trt10", (), {"NetworkDefinitionCreationFlag": _Flags._New, "BuilderFlag": _Flags.BuilderFlag})
    assert network_flags(old) == 1
    assert [precision_flags(old, p) for p in ("fp32", "fp16", "int8")] == [[], ["fp16 flag"], ["int8 flag"]]
    assert network_flags(new) == 2
    assert precision_flags(new, "int8") == []

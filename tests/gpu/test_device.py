"""What only a GPU can show. ``scripts/gpu_check.sh`` runs this; elsewhere every test is skipped with the reason."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from support.real_graphs import SIDE, write_real_graph
from support.tiny_bundle import crops, formula, novelty_formula, write_graph

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.preprocess import crops_of_frame, crops_to_image
from sji_edge.core.protocols import Backend
from sji_edge.quantization.fp16 import to_half
from sji_edge.recipe.board import Recipe
from sji_edge.runtime import BACKENDS
from sji_edge.runtime.cuda.crop_kernel import launch_of, to_fixed
from sji_edge.runtime.tensorrt.backend import this_driver

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(bool(this_driver().missing), reason=this_driver().missing or "there is a GPU"),
]


def _case(name: str):
    reason = BACKENDS.get(name)().incompatibility("fp32", {})
    return pytest.param(name, marks=pytest.mark.skipif(bool(reason), reason=f"{name}: {reason}"))


KINDS = [_case(name) for name in ("tensorrt", "tensorrt-rtx")]


def opened(kind: Backend, graph: Path, precision: str = "fp32", max_batch: int = 64):
    plan = graph.with_suffix(f".{precision}.plan")
    facts = kind.build(graph, plan, precision=precision, max_batch=max_batch)
    return kind.open(plan, precision=precision, max_batch=max_batch, threads=0), facts


def cut_on_gpu(frame: np.ndarray, maps: np.ndarray, spec: PreprocessSpec) -> np.ndarray:
    from sji_edge.runtime.cuda.device import CudaContext

    context = CudaContext()
    with context.current():
        stream = context.stream()
        launch, maps = launch_of(frame, maps, spec.shape, len(maps)), to_fixed(maps)
        out = context.host_memory((len(maps), *spec.shape), np.uint8)
        memory = [context.device_memory(array.nbytes) for array in (frame, maps, out)]
        context.copy_in(memory[0], frame, stream)
        context.copy_in(memory[1], maps, stream)
        context.cut(launch, *memory, stream)
        context.copy_out(out, memory[2], stream)
        stream.synchronize()
        result = out.copy()
        for one in memory:
            one.free()
    context.close()
    return result


@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_kernel_cuts_as_the_host_does(planes: int, channels: int) -> None:
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (300, 400) if planes == 1 else (300, 400, 3), dtype=np.uint8)
    spec = PreprocessSpec(height=48, width=40, channels=channels)
    boxes = np.column_stack(
        [rng.uniform(100, 200, (50, 2)), rng.uniform(10, 90, (50, 2)), rng.uniform(-3, 3, 50)]
    )
    maps = crops_to_image(boxes, spec)
    wanted = np.empty((50, *spec.shape), np.uint8)
    crops_of_frame(frame, maps, wanted)
    assert np.abs(cut_on_gpu(frame, maps, spec).astype(int) - wanted).max() <= 1


@pytest.mark.skipif("SJI_DATA" not in os.environ, reason="SJI_DATA names no real data")
def test_the_kernel_cuts_real_frames_as_the_host_does() -> None:
    boards = Path(os.environ["SJI_DATA"]) / "boards"
    frame = cv2.imread(str(boards / "board03.png"), cv2.IMREAD_GRAYSCALE)
    assert frame is not None
    spec = PreprocessSpec(height=84, width=84, channels=1)
    maps = crops_to_image(Recipe.load(boards).rois, spec)
    wanted = np.empty((len(maps), *spec.shape), np.uint8)
    crops_of_frame(frame, maps, wanted)
    assert np.abs(cut_on_gpu(frame, maps, spec).astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("name", KINDS)
def test_a_plan_computes_the_formula_and_says_its_layers(name: str, tmp_path: Path) -> None:
    engine, facts = opened(BACKENDS.get(name)(), write_graph(tmp_path / "model.onnx"))
    for size in (1, 7, 64, 3, 3, 64, 1):
        np.testing.assert_allclose(
            engine.infer(crops(size, size)).logits, formula(crops(size, size)), atol=2e-3
        )
    assert facts["layer_types"]
    engine.close()


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_plan_with_a_guard_computes_its_novelty(name: str, precision: str, tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "guarded.onnx", guard=True)
    if precision == "fp16":
        onnx.save(to_half(onnx.load(graph)), graph)
    engine, _ = opened(BACKENDS.get(name)(), graph, precision)
    assert engine.spec.guarded
    for size in (1, 7, 64, 3, 3, 64, 1):
        output = engine.infer(crops(size, size))
        np.testing.assert_allclose(output.logits, formula(crops(size, size)), atol=2e-2)
        np.testing.assert_allclose(output.novelty, novelty_formula(crops(size, size)), atol=5e-3)
    engine.close()


@pytest.mark.parametrize("name", KINDS)
def test_recorded_batches_keep_their_answers_in_any_order_and_thread(name: str, tmp_path: Path) -> None:
    graph = write_real_graph(tmp_path, "efficientnet_lite0", "fp32")
    engine, _ = opened(BACKENDS.get(name)(), graph)
    rng = np.random.default_rng(3)
    sizes = [1, 64, 7, 40, 2]
    engine.prepare(sizes)
    batches = {size: rng.integers(0, 256, (size, SIDE, SIDE, 1), dtype=np.uint8) for size in sizes}
    first = {size: engine.infer(batch).logits for size, batch in batches.items()}

    def again() -> None:
        for size in rng.permutation(sizes * 10):
            np.testing.assert_allclose(engine.infer(batches[int(size)]).logits, first[int(size)], atol=1e-3)

    with ThreadPoolExecutor(1) as other:
        other.submit(again).result()
    again()
    assert engine.graph_failure in ("", "cuda-python is not installed")
    engine.close()


@pytest.mark.parametrize("name", KINDS)
def test_opening_and_closing_over_and_over_leaves_nothing(name: str, tmp_path: Path) -> None:
    from sji_edge.runtime.cuda.device import CudaContext

    kind, graph = BACKENDS.get(name)(), write_graph(tmp_path / "model.onnx")
    held, free = CudaContext(), []
    for _ in range(6):
        engine, _ = opened(kind, graph)
        engine.prepare([1, 30, 64])
        engine.close()
        with held.current():
            free.append(held.cuda.mem_get_info()[0])
    held.close()
    assert free[-1] >= free[2]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_plan_agrees_with_its_graph_on_the_cpu(name: str, precision: str, tmp_path: Path) -> None:
    graph = write_real_graph(tmp_path, "efficientnet_lite0", precision)
    engine, _ = opened(BACKENDS.get(name)(), graph, precision)
    cpu = BACKENDS.get("onnxruntime")().open(graph, precision="fp32", max_batch=64, threads=0)
    batch = np.random.default_rng(1).integers(0, 256, (32, SIDE, SIDE, 1), dtype=np.uint8)
    wanted = cpu.infer(batch).logits
    tolerance = {"fp32": 1e-2, "fp16": 3e-2, "int8": 0.15}[precision]
    assert np.abs(engine.infer(batch).logits - wanted).max() <= tolerance * max(
        1.0, float(np.abs(wanted).max())
    )
    engine.close()


@pytest.mark.parametrize("name", KINDS)
def test_a_frame_gives_the_logits_of_its_crops_and_memory_stays(name: str, tmp_path: Path) -> None:
    engine, _ = opened(BACKENDS.get(name)(), write_graph(tmp_path / "model.onnx"))
    spec = PreprocessSpec(height=16, width=16, channels=1)
    rng = np.random.default_rng(2)
    frame = rng.integers(0, 256, (400, 500), dtype=np.uint8)
    boxes = np.column_stack([rng.uniform(60, 300, (40, 2)), rng.uniform(10, 60, (40, 2)), np.zeros(40)])
    maps = crops_to_image(boxes, spec)
    wanted = np.empty((40, *spec.shape), np.uint8)
    crops_of_frame(frame, maps, wanted)
    expected = engine.infer(wanted).logits
    for _ in range(engine.sets):  # each makes room for the frame
        np.testing.assert_allclose(engine.infer_frame(frame, maps).logits, expected, atol=0.03)
    import pycuda.driver as cuda

    with engine._context.current():
        before = cuda.mem_get_info()[0]
    for _ in range(10_000):
        engine.infer_frame(frame, maps)
    with engine._context.current():
        assert cuda.mem_get_info()[0] == before
    engine.close()


@pytest.mark.parametrize("name", KINDS)
def test_pytorch_works_in_the_same_process(name: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch has no CUDA")
    first = torch.arange(8.0, device="cuda").sum().item()
    engine, _ = opened(BACKENDS.get(name)(), write_graph(tmp_path / "model.onnx"))
    np.testing.assert_allclose(engine.infer(crops(4)).logits, formula(crops(4)), atol=2e-3)
    assert torch.arange(8.0, device="cuda").sum().item() == first == 28.0
    engine.close()
    assert torch.ones(3, device="cuda").sum().item() == 3.0

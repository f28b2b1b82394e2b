"""A tiny real model, its formula in NumPy, and a real bundle of it."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from support.guarded_graph import guard_features, guard_formula, with_guard

from sji_edge.core.card import LossCard, ModelCard, PreprocessSpec
from sji_edge.core.verdict import Thresholds
from sji_edge.parity.crops import Joints
from sji_edge.parity.run import check_parity, record_of
from sji_edge.runtime import BACKENDS
from sji_edge.runtime.bundle.bundle import Bundle, write_bundle
from sji_edge.runtime.bundle.golden import Golden, write_golden
from sji_edge.runtime.bundle.manifest import BundleFacts

SIDE = 16
THRESHOLDS = Thresholds(lower=0.4, upper=0.6)
GUARDED_THRESHOLDS = Thresholds(lower=0.63, upper=0.69, novelty=0.3)
"""With these, some of ``crops(40)`` get each verdict, and the guard stops two whose score says PASS."""

_rng = np.random.default_rng(5)
KERNEL = _rng.normal(size=(4, 1, 3, 3)).astype(np.float32)
BIAS = _rng.normal(size=4).astype(np.float32)
HEAD = (3 * _rng.normal(size=(2, 4))).astype(np.float32)
HEAD_BIAS = np.array([0.3, -0.2], np.float32)


def card(**changes: object) -> ModelCard:
    values = {
        "name": "tiny",
        "architecture": "tiny",
        "classes": ("normal", "defective"),
        "good_class": "normal",
        "preprocess": PreprocessSpec(height=SIDE, width=SIDE, channels=1),
        "loss": LossCard(name="ce"),
        "seed": 0,
        "weights": "none",
        "dataset_sha256": "0" * 64,
        "thresholds": THRESHOLDS,
    }
    return ModelCard(**{**values, **changes})


def crops(n: int, seed: int = 0) -> np.ndarray:
    """Crops of very different brightness, so that the scores spread."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (n, SIDE, SIDE, 1))
    return (noise * rng.random((n, 1, 1, 1))).astype(np.uint8)


def features(batch: np.ndarray) -> np.ndarray:
    """The model's feature map written out: scale, 3x3 convolution of stride 2, ReLU."""
    image = np.pad(batch[..., 0].astype(np.float64) / 255.0, ((0, 0), (1, 1), (1, 1)))
    half = SIDE // 2
    found = np.zeros((len(batch), 4, half, half)) + BIAS[:, None, None]
    for row in range(3):
        for column in range(3):
            patch = image[:, row : row + SIDE : 2, column : column + SIDE : 2]
            found += KERNEL[None, :, 0, row, column, None, None] * patch[:, None]
    return np.maximum(found, 0)


def formula(batch: np.ndarray) -> np.ndarray:
    """The model written out: its feature map, global mean, linear."""
    return features(batch).mean(axis=(2, 3)) @ HEAD.T.astype(np.float64) + HEAD_BIAS


def novelty_formula(batch: np.ndarray) -> np.ndarray:
    """The novelty of a model written with ``guard=True``."""
    return guard_formula(features(batch))


def features_formula(batch: np.ndarray) -> np.ndarray:
    """The features of a model written with ``guard=True``."""
    return guard_features(features(batch))


def write_graph(
    path: Path,
    *,
    head: np.ndarray = HEAD,
    name_in: str = "crops",
    batch: object = "n",
    side: int = SIDE,
    guard: bool = False,
) -> Path:
    weights = {
        "scale": np.float32(1 / 255),
        "kernel": KERNEL,
        "bias": BIAS,
        "head": head,
        "head_bias": HEAD_BIAS,
    }
    nodes = [
        helper.make_node("Cast", [name_in], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["wide", "scale"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernel", "bias"], ["maps"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["maps"], ["active"]),
        helper.make_node("GlobalAveragePool", ["active"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "head", "head_bias"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name_in, TensorProto.UINT8, [batch, side, side, 1])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 2])],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if guard:
        model = with_guard(model, "active", 4)
    made = card(thresholds=GUARDED_THRESHOLDS) if guard else card()
    helper.set_model_props(model, {"sji_edge_card": made.model_dump_json()})
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def make_bundle(
    folder: Path,
    *,
    engine_head: np.ndarray = HEAD,
    backend: str = "onnxruntime",
    name: str = "tiny",
    guard: bool = False,
) -> Bundle:
    """Build a bundle as build-engine does; another ``engine_head`` makes an engine that decides otherwise."""
    limits = GUARDED_THRESHOLDS if guard else THRESHOLDS
    own = card(thresholds=limits)
    work = folder / f"work-{name}"
    work.mkdir(parents=True)
    reference = write_graph(work / "model.onnx", guard=guard)
    graph = write_graph(work / "candidate.onnx", head=engine_head, guard=guard)
    batch = crops(40)
    labels = (np.arange(40) % 2).astype(np.int64)
    novelty = novelty_formula(batch).astype(np.float32) if guard else None
    golden = Golden(batch, formula(batch).astype(np.float32), labels, novelty)
    write_golden(work / "golden.npz", golden, own)
    kind = BACKENDS.get(backend)()
    facts = kind.build(graph, work / "engine.onnx", precision="fp32", max_batch=16)
    engine = kind.open(work / "engine.onnx", precision="fp32", max_batch=16, threads=1)
    plain = BACKENDS.get("onnxruntime")().open(reference, precision="fp32", max_batch=16, threads=1)
    report = check_parity(
        engine,
        plain,
        Joints.of(golden),
        own,
        thresholds=limits,
        reference_thresholds=limits,
    )
    files = {"engine": work / "engine.onnx", "reference": reference, "golden": work / "golden.npz"}
    return write_bundle(
        folder / name,
        BundleFacts(
            name=name,
            backend=backend,
            precision="fp32",
            max_batch=16,
            card=own,
            thresholds=limits,
            reference_thresholds=limits,
            environment=dict(kind.environment()),
            build=dict(facts),
        ),
        parity=record_of(report, **files),
        **files,
    )

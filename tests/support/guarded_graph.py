"""Adds a small guard to any test graph: the outputs ``novelty`` and ``features``, from one of its feature maps."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PROTOTYPES = 5


def prototypes(channels: int) -> np.ndarray:
    return np.random.default_rng(17).normal(size=(channels, PROTOTYPES)).astype(np.float32)


def with_guard(model: onnx.ModelProto, tap: str, channels: int) -> onnx.ModelProto:
    """Return the graph with a guard on a feature map of this many channels; see ``guard_formula``."""
    guarded = onnx.ModelProto()
    guarded.CopyFrom(model)
    constants = {
        "guard_prototypes": prototypes(channels),
        "guard_last": np.array([3]),
        "guard_cells": np.array([1, 2]),
    }
    guarded.graph.node.extend(
        [
            helper.make_node("Transpose", [tap], ["guard_last_channels"], perm=[0, 2, 3, 1]),
            helper.make_node("MatMul", ["guard_last_channels", "guard_prototypes"], ["guard_products"]),
            helper.make_node("Abs", ["guard_products"], ["guard_sizes"]),
            helper.make_node("ReduceMax", ["guard_sizes", "guard_last"], ["guard_largest"], keepdims=0),
            helper.make_node("ReduceMean", ["guard_largest", "guard_cells"], ["novelty"], keepdims=0),
            helper.make_node("ReduceMean", ["guard_products", "guard_cells"], ["features"], keepdims=0),
        ]
    )
    guarded.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in constants.items()
    )
    batch = guarded.graph.output[0].type.tensor_type.shape.dim[0]
    first = batch.dim_param if batch.HasField("dim_param") else batch.dim_value
    guarded.graph.output.append(helper.make_tensor_value_info("novelty", TensorProto.FLOAT, [first]))
    guarded.graph.output.append(
        helper.make_tensor_value_info("features", TensorProto.FLOAT, [first, PROTOTYPES])
    )
    onnx.checker.check_model(guarded)
    return guarded


def guard_formula(features: np.ndarray) -> np.ndarray:
    """The guard written out: the largest |product| with a prototype, averaged over the cells.

    Args:
        features: the feature map, ``(n, channels, height, width)``.
    """
    return np.abs(_products(features)).max(axis=3).mean(axis=(1, 2))


def guard_features(features: np.ndarray) -> np.ndarray:
    """The guard's features written out: each prototype's product, averaged over the cells, ``(n, PROTOTYPES)``."""
    return _products(features).mean(axis=(1, 2))


def _products(features: np.ndarray) -> np.ndarray:
    return np.einsum("nchw,cp->nhwp", features.astype(np.float64), prototypes(features.shape[1]))

"""Finds where two graphs differ: compares every tensor that has the same name in both, along the graph.

Both graphs run in ONNX Runtime with its optimizations off, so that each tensor exists as written. The Q/DQ pairs of
an INT8 graph are then simulated, so the layers show the effect of quantization. The effect of the engine's own
kernels is measured separately: the engine's logits against those of its simulated graph.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.errors import BundleError, GateError, UsageError
from sji_edge.core.extras import load
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.protocols import Engine
from sji_edge.core.registry import nearest
from sji_edge.core.text import one_line
from sji_edge.parity.comparison import NO_CROPS
from sji_edge.runtime.guard_nodes import guard_nodes
from sji_edge.runtime.onnx_graph import INPUT_NAME, OUTPUT_NAME
from sji_edge.runtime.onnxruntime import PROVIDER, load_onnxruntime

TOLERANCES = {"fp32": 1e-4, "fp16": 1e-2, "bf16": 3e-2, "int8": 0.1}
"""Relative RMS error above which two tensors count as different, by the engine's precision."""

CROPS = 16
EQUALIZED = 0.1
PARTED = float(np.finfo(np.float32).max)
"""The error of a tensor that is finite on one side only, or whose shapes differ."""


class Layer(FrozenModel):
    """One tensor, compared.

    Attributes:
        tensor: its name.
        operator: type of the node that computes it.
        error: RMS of the difference over RMS of the reference.
        increase: how much this node adds: its error minus the largest error among the compared tensors that it is
            computed from.
        rescaled: the candidate has the channels of this tensor at other scales, as equalization leaves them; the
            error is measured after scaling them back. A wrong scale shows at the next layer that mixes channels.
    """

    tensor: str
    operator: str
    error: float
    increase: float
    rescaled: bool = False


class Bisection(FrozenModel):
    """All compared tensors.

    Attributes:
        crops: number of crops that were run.
        tolerance: relative RMS error above which two tensors count as different.
        layers: the tensors, in the order of the graph.
        first: the first tensor above the tolerance; None where all agree.
        worst: the tensor with the largest increase.
        kernels: relative RMS error between the engine's logits and those of its own graph.
    """

    crops: int
    tolerance: float
    layers: tuple[Layer, ...]
    first: Layer | None
    worst: Layer
    kernels: float


@dataclass(frozen=True)
class _Node:
    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    operator: str


def bisect(
    reference: Path,
    candidate: Path,
    crops: NDArray[np.uint8],
    *,
    engine: Engine,
    tolerance: float | None = None,
) -> Bisection:
    """Compare the tensors of two ONNX graphs on a few crops.

    Args:
        reference: the graph that is taken as correct, usually the FP32 one.
        candidate: the engine's graph.
        crops: uint8 ``(n, h, w, c)``; the first ``CROPS`` are used.
        engine: the engine itself, for ``kernels``.
        tolerance: relative RMS error; None: by the engine's precision.

    Raises:
        MissingExtraError: ``onnx`` is not installed.
        UsageError: one of the two is not an ONNX graph, or the tolerance is not positive.
        GateError: there is no crop, or no tensor has the same name in both graphs.
        BundleError: a graph cannot be run.
    """
    for path in (reference, candidate):
        if path.suffix != ".onnx":
            raise UsageError(f"{path.name} is not an ONNX graph: only ONNX graphs can be bisected")
    if len(crops) == 0:
        raise GateError(NO_CROPS)
    limit = tolerance_of(engine.spec.precision) if tolerance is None else tolerance
    if not limit > 0:
        raise UsageError(f"the tolerance must be more than 0 (got {limit})")
    chosen = np.ascontiguousarray(crops[: min(CROPS, engine.spec.max_batch)])
    onnx: Any = load("onnx", purpose="parity --bisect")
    first, second = onnx.load(reference), onnx.load(candidate)
    nodes = _nodes(first)
    produced = {name for node in _nodes(second) for name in node.outputs}
    shared = [name for node in nodes for name in node.outputs if name in produced]
    ours, theirs = _tapped(first, shared, chosen), _tapped(second, shared, chosen)
    layers = _layers(nodes, ours, theirs)
    if not layers:
        raise GateError("no tensor has the same name in both graphs: there is nothing to compare")
    simulated = theirs.get(OUTPUT_NAME)
    own = engine.infer(chosen).logits
    return Bisection(
        crops=len(chosen),
        tolerance=limit,
        layers=tuple(layers),
        first=next((layer for layer in layers if layer.error > limit), None),
        worst=max(layers, key=lambda layer: layer.increase),
        kernels=PARTED if simulated is None else relative_rms(simulated, own),
    )


def relative_rms(reference: NDArray[Any], candidate: NDArray[Any]) -> float:
    """Return the RMS of the difference over the RMS of the reference; ``PARTED`` if they cannot be compared."""
    if reference.shape != candidate.shape:
        return PARTED
    wide, other = reference.astype(np.float64), candidate.astype(np.float64)
    finite = np.isfinite(wide)
    if not np.array_equal(finite, np.isfinite(other)):
        return PARTED
    gap = float(np.square((wide - other)[finite]).sum())
    size = float(np.square(wide[finite]).sum())
    if gap == 0:
        return 0.0
    return min(float(np.sqrt(gap / size)), PARTED) if size else PARTED


def _at_reference_scale(
    ours: dict[str, NDArray[Any]], theirs: dict[str, NDArray[Any]], name: str
) -> float | None:
    """Return the error with each channel at its best-fitting scale; None if no scale is off by ``EQUALIZED``."""
    one, two = ours[name].astype(np.float64), theirs[name].astype(np.float64)
    if name == OUTPUT_NAME or one.ndim != 4 or one.shape != two.shape or not np.isfinite(two).all():
        return None
    rest = (0, 2, 3)
    size = np.square(two).sum(axis=rest)
    product = (one * two).sum(axis=rest)
    scale = np.divide(product, size, out=np.ones_like(size), where=(size > 0) & (product > 0))
    if np.abs(scale - 1).max() <= EQUALIZED:
        return None
    return relative_rms(one, two * scale[:, None, None])


def tolerance_of(precision: str) -> float:
    """Return the tolerance of a precision; raises ``UsageError`` for an unknown one."""
    if precision not in TOLERANCES:
        raise UsageError(
            f"no tolerance for precision {precision!r}", hint=nearest(precision, list(TOLERANCES))
        )
    return TOLERANCES[precision]


def _nodes(model: Any) -> list[_Node]:
    """Return the nodes that lead to the logits; those of a guard are left out."""
    guard = {node.output[0] for node in guard_nodes(model.graph)}
    return [
        _Node(tuple(filter(None, node.output)), tuple(filter(None, node.input)), str(node.op_type))
        for node in model.graph.node
        if node.op_type != "Constant" and node.output[0] not in guard
    ]


def _tapped(model: Any, names: list[str], crops: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """Run a graph and return its floating-point tensors among ``names``; its file is not changed."""
    onnx: Any = load("onnx", purpose="parity --bisect")
    present = {output.name for output in model.graph.output}
    # ONNX Runtime infers the type of an output that has none.
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in present)
    runtime = load_onnxruntime()
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    asked = list(dict.fromkeys([*names, OUTPUT_NAME]))
    # ONNX Runtime's errors have no common base class.
    try:
        session = runtime.InferenceSession(model.SerializeToString(), options, providers=[PROVIDER])
        values = session.run(asked, {INPUT_NAME: crops})
    except Exception as error:
        raise BundleError(f"ONNX Runtime cannot run a graph as written: {one_line(error)}") from error
    pairs = zip(asked, values, strict=True)
    return {name: value for name, value in pairs if np.issubdtype(value.dtype, np.floating)}


def _layers(
    nodes: list[_Node], ours: dict[str, NDArray[Any]], theirs: dict[str, NDArray[Any]]
) -> list[Layer]:
    """Compare tensor by tensor; a tensor that is missing from one graph passes on the error that reached it."""
    reached: dict[str, float] = {}
    layers: list[Layer] = []
    for node in nodes:
        before = max((reached.get(name, 0.0) for name in node.inputs), default=0.0)
        for name in node.outputs:
            if name not in ours or name not in theirs:
                reached[name] = before
                continue
            plain, rescaled = relative_rms(ours[name], theirs[name]), _at_reference_scale(ours, theirs, name)
            error = plain if rescaled is None else min(plain, rescaled)
            reached[name] = error
            layers.append(
                Layer(
                    tensor=name,
                    operator=node.operator,
                    error=error,
                    increase=error - before,
                    rescaled=error < plain,
                )
            )
    return layers

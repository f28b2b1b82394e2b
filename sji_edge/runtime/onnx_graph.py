"""Input and output of every engine made from our ONNX graphs, and the checks on them."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.errors import BundleError, EngineInputError, UsageError
from sji_edge.core.files import read_bounded
from sji_edge.core.protocols import EngineSpec
from sji_edge.runtime.external_data import refuse_external_data

INPUT_NAME = "crops"
OUTPUT_NAME = "logits"
NOVELTY_NAME = "novelty"
FEATURES_NAME = "features"
GUARD_NAMES = (NOVELTY_NAME, FEATURES_NAME)
"""The other outputs of a graph with a guard: float32 ``(n,)``, and float32 ``(n, d)``, which may be missing."""

CARD_KEY = "sji_edge_card"
LOG_SUFFIX = ".log"
LAYERS_SUFFIX = ".layers.json"
"""Suffixes of the files that a backend writes beside an engine file: the builder's log, and the layers."""


MAX_ENGINE_BYTES = 2 << 30
"""Size limit of an engine file or a graph, that of a protocol buffer."""

Dimensions = Sequence[int | None]


def spec_of(
    source: Path,
    crops: Dimensions,
    logits: Dimensions,
    novelty: Dimensions | None = None,
    features: Dimensions | None = None,
    *,
    max_batch: int,
    backend: str,
    precision: str,
) -> EngineSpec:
    """Make a spec from the shapes that a graph declares.

    Args:
        source: the file, for the error.
        crops: input shape, None where dynamic.
        logits: output shape, None where dynamic.
        novelty: shape of the guard's output; None for a graph without a guard.
        features: shape of its other output; None for a graph without it.
        max_batch: largest batch that the engine will take.
        backend: name of the backend.
        precision: name of the precision.

    Raises:
        UsageError: ``max_batch`` is not positive.
        BundleError: not ``(n, h, w, c)`` in and ``(n, classes)`` and perhaps ``(n,)`` and ``(n, d)`` out with ``n``
            dynamic.
    """
    if max_batch < 1:
        raise UsageError(f"max batch must be at least 1 (got {max_batch})")
    if len(crops) != 4 or crops[0] is not None or len(logits) != 2:
        raise BundleError(
            f"{source} takes {_shape(crops)} and gives {_shape(logits)}; "
            "it must take (n, height, width, channels) and give (n, classes), with n dynamic",
            hint="export the model with sji-edge export",
        )
    height, width, channels = crops[1:]
    classes = logits[1]
    if height is None or width is None or channels is None or classes is None:
        raise BundleError(f"{source} takes {_shape(crops)} and gives {_shape(logits)}; only n may be dynamic")
    if novelty is not None and tuple(novelty) != (None,):
        raise BundleError(
            f"{source} gives {NOVELTY_NAME} of shape {_shape(novelty)}; it must be (n,), with n dynamic",
            hint="export the model with sji-edge export",
        )
    described = 0
    if features is not None:
        if len(features) != 2 or features[0] is not None or not features[1]:
            raise BundleError(
                f"{source} gives {FEATURES_NAME} of shape {_shape(features)}; it must be (n, d), with only n dynamic",
                hint="export the model with sji-edge export",
            )
        described = features[1]
    return EngineSpec(
        (height, width, channels),
        classes,
        max_batch,
        backend,
        precision,
        guarded=novelty is not None,
        features=described,
    )


def outputs_of(spec: EngineSpec) -> list[str]:
    """Return the names of the outputs of an engine, in the order of ``EngineOutput``."""
    return [OUTPUT_NAME, *GUARD_NAMES[: int(spec.guarded) + int(spec.features > 0)]]


def check_names(source: Path, inputs: Sequence[tuple[str, str]], outputs: Sequence[tuple[str, str]]) -> None:
    """Check that a graph has one uint8 input ``crops`` and a float32 output ``logits``.

    A graph with a guard also has a float32 output ``novelty`` and perhaps ``features``. Their order does not matter.

    Args:
        source: the file, for the error.
        inputs: name and NumPy dtype name of each.
        outputs: name and NumPy dtype name of each.

    Raises:
        BundleError: anything else.
    """
    known = [(name, "float32") for name in (OUTPUT_NAME, *GUARD_NAMES)]
    given = sorted(outputs, key=lambda port: known.index(port) if port in known else len(known))
    if list(inputs) != [(INPUT_NAME, "uint8")] or given not in (known[:1], known[:2], known):
        raise BundleError(
            f"{source} has inputs {_listed(inputs)} and outputs {_listed(outputs)}; "
            f"it must have {INPUT_NAME} uint8, {OUTPUT_NAME} float32 and, with a guard, {NOVELTY_NAME} and "
            f"{FEATURES_NAME} float32",
            hint="export the model with sji-edge export",
        )


def check_crops(crops: NDArray[np.generic], spec: EngineSpec) -> None:
    """Check crops against what an engine takes: dtype, shape, batch size and memory order; nothing is converted.

    Raises:
        EngineInputError: names what was found and what the engine takes.
    """
    if crops.dtype != np.uint8:
        raise EngineInputError(f"crops must be uint8 (got {crops.dtype})")
    if crops.ndim != 4 or crops.shape[1:] != spec.crop_shape:
        raise EngineInputError(
            f"crops have shape {crops.shape}; this engine takes (n, {', '.join(map(str, spec.crop_shape))})",
            hint="cut them with the preprocess spec in the engine's card",
        )
    if not 1 <= len(crops) <= spec.max_batch:
        raise EngineInputError(
            f"a batch for this engine must hold 1 to {spec.max_batch} crops (got {len(crops)})",
            hint="split the batch, or rebuild the engine with a larger max batch",
        )
    if not crops.flags.c_contiguous:
        raise EngineInputError("crops must be C-contiguous; pass np.ascontiguousarray(crops)")


def graph_bytes(source: Path, content: bytes | None = None) -> bytes:
    """Return an ONNX file's bytes, read once, with all weights in them.

    Args:
        source: the file.
        content: its bytes, if the caller has read them already.

    Raises:
        BundleError: the file cannot be read, is not an ONNX graph, or keeps weights in another file.
    """
    graph = read_bounded(source, MAX_ENGINE_BYTES, error=BundleError) if content is None else content
    refuse_external_data(graph, source)
    return graph


def copy_graph(graph: Path, engine_file: Path) -> None:
    """Copy an ONNX graph to where the engine file belongs."""
    if graph.resolve() != engine_file.resolve():
        shutil.copyfile(graph, engine_file)


def _shape(dimensions: Dimensions) -> str:
    return f"({', '.join('n' if size is None else str(size) for size in dimensions)})"


def _listed(ports: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {dtype}" for name, dtype in ports) or "none"

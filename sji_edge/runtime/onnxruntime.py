"""ONNX Runtime on the CPU: the reference for parity, and a backend."""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import ModelCard
from sji_edge.core.errors import BundleError, EngineInputError, EnvironmentMismatchError, UsageError
from sji_edge.core.extras import load, require
from sji_edge.core.protocols import EngineOutput, EngineSpec
from sji_edge.core.registry import nearest
from sji_edge.core.text import one_line
from sji_edge.runtime.host_cpu import cpu_facts, int8_incompatibility
from sji_edge.runtime.onnx_graph import (
    CARD_KEY,
    GUARD_NAMES,
    INPUT_NAME,
    OUTPUT_NAME,
    check_crops,
    check_names,
    copy_graph,
    graph_bytes,
    outputs_of,
    spec_of,
)

PRECISIONS = ("fp32", "fp16", "int8")
"""Precisions that the CPU kernels compute in; they have no bf16."""

PROVIDER = "CPUExecutionProvider"
FATAL_ONLY = 4
NUMPY_NAMES = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}


@cache
def load_onnxruntime() -> Any:
    """Import ONNX Runtime and switch its telemetry off; raises ``MissingExtraError`` if it is not installed."""
    onnxruntime: Any = load("onnxruntime", purpose="ONNX Runtime")
    onnxruntime.disable_telemetry_events()
    return onnxruntime


class OnnxRuntimeEngine:
    """A session on the CPU."""

    def __init__(self, session: Any, spec: EngineSpec) -> None:
        self.spec = spec
        self._session = session
        self._outputs = outputs_of(spec)

    def prepare(self, batch_sizes: Iterable[int]) -> None:
        """Run each batch size once, so that its memory is allocated before the first real batch.

        Raises:
            EngineInputError: a size outside 1 to ``spec.max_batch``.
        """
        for size in sorted(set(batch_sizes)):
            self.infer(np.zeros((max(size, 0), *self.spec.crop_shape), np.uint8))

    def infer(self, crops: NDArray[np.uint8]) -> EngineOutput:
        """Judge crops; see ``core.protocols.Engine``."""
        if self._session is None:
            raise EngineInputError("this engine is closed")
        check_crops(crops, self.spec)
        # ONNX Runtime's errors share no base class.
        try:
            return EngineOutput(*self._session.run(self._outputs, {INPUT_NAME: crops}))
        except Exception as error:
            raise EnvironmentMismatchError(f"ONNX Runtime failed: {one_line(error)}") from error

    def close(self) -> None:
        """Drop the session."""
        self._session = None


class OnnxRuntimeBackend:
    """Engine files are ONNX graphs. Custom-op libraries are never registered."""

    name = "onnxruntime"
    suffix = ".onnx"

    def build(self, graph: Path, engine_file: Path, *, precision: str, max_batch: int) -> Mapping[str, Any]:
        """Check that a graph loads here, and copy it.

        Raises:
            UsageError: an unknown precision.
            BundleError: not a graph of ours, or ONNX Runtime cannot load it.
            EnvironmentMismatchError: the CPU kernels do not support the precision.
        """
        self.open(graph, precision=precision, max_batch=max_batch, threads=0).close()
        copy_graph(graph, engine_file)
        return {"provider": PROVIDER}

    def open(
        self,
        engine_file: Path,
        *,
        precision: str,
        max_batch: int,
        threads: int,
        content: bytes | None = None,
    ) -> OnnxRuntimeEngine:
        """Load a graph; see ``core.protocols.Backend``. Raises as ``build``."""
        if reason := self.incompatibility(precision, {}):
            raise EnvironmentMismatchError(f"cannot open {engine_file}: {reason}")
        session = _session(engine_file, threads, content)
        inputs, outputs = session.get_inputs(), session.get_outputs()
        check_names(engine_file, _ports(inputs), _ports(outputs))
        shapes = {port.name: _dimensions(port) for port in (*inputs, *outputs)}
        spec = spec_of(
            engine_file,
            shapes[INPUT_NAME],
            shapes[OUTPUT_NAME],
            *(shapes.get(name) for name in GUARD_NAMES),
            max_batch=max_batch,
            backend=self.name,
            precision=precision,
        )
        return OnnxRuntimeEngine(session, spec)

    def environment(self) -> Mapping[str, str]:
        """Return ONNX Runtime's version, the CPU and its instruction sets."""
        return {"onnxruntime": str(load_onnxruntime().__version__), **cpu_facts()}

    def incompatibility(self, precision: str, recorded: Mapping[str, str]) -> str:
        """Say why an engine of this precision cannot run here, or return an empty string.

        An ONNX graph is optimized again on every machine, so only the weight bits in ``recorded`` matter.

        Raises:
            MissingExtraError: ONNX Runtime is not installed.
        """
        require("onnxruntime", purpose="an ONNX Runtime engine")
        if precision == "bf16":
            return "ONNX Runtime's CPU kernels have no bf16; the backend openvino may have it"
        if precision not in PRECISIONS:
            raise UsageError(f"unknown precision {precision!r}", hint=nearest(precision, list(PRECISIONS)))
        return int8_incompatibility(recorded)


def card_in_graph(model: Path) -> ModelCard:
    """Read the model card in an exported graph's metadata.

    Raises:
        BundleError: not a graph, or without a card.
        UsageError: the card is not valid.
    """
    metadata: Mapping[str, str] = _session(model, threads=1).get_modelmeta().custom_metadata_map
    if CARD_KEY not in metadata:
        raise BundleError(
            f"{model} has no model card in its metadata", hint="export the model with sji-edge export"
        )
    return ModelCard.parse(metadata[CARD_KEY], model)


def _session(engine_file: Path, threads: int, content: bytes | None = None) -> Any:
    if threads < 0:
        raise UsageError(f"threads must be 0 (automatic) or more (got {threads})")
    runtime = load_onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Failures are raised as errors; the log would repeat them on stderr.
    options.log_severity_level = FATAL_ONLY
    # Loaded from memory: what was hashed is what runs.
    graph = graph_bytes(engine_file, content)
    # ONNX Runtime's errors share no base class.
    try:
        return runtime.InferenceSession(graph, options, providers=[PROVIDER])
    except Exception as error:
        raise BundleError(f"ONNX Runtime cannot load {engine_file}: {one_line(error)}") from error


def _ports(ports: Any) -> list[tuple[str, str]]:
    return [(port.name, NUMPY_NAMES.get(port.type, port.type)) for port in ports]


def _dimensions(port: Any) -> list[int | None]:
    return [size if isinstance(size, int) else None for size in port.shape]

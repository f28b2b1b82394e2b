"""OpenVINO on the CPU, at a precision that is always set and never left to the device.

On a CPU with bf16 units OpenVINO computes FP32 models, and the float part of INT8 graphs, in bf16 unless told
otherwise. So ``INFERENCE_PRECISION_HINT`` is set for every compilation and read back afterwards.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sji_edge.core.errors import BundleError, EnvironmentMismatchError, UsageError
from sji_edge.core.registry import nearest
from sji_edge.core.text import one_line
from sji_edge.runtime.host_cpu import cpu_facts, int8_incompatibility
from sji_edge.runtime.onnx_graph import (
    GUARD_NAMES,
    INPUT_NAME,
    OUTPUT_NAME,
    check_names,
    copy_graph,
    graph_bytes,
    outputs_of,
    spec_of,
)
from sji_edge.runtime.openvino.compiled import CompiledModels
from sji_edge.runtime.openvino.engine import DEVICE, OpenVinoEngine, load_openvino

FLOAT_TYPE = {"fp32": "f32", "fp16": "f32", "bf16": "bf16", "int8": "f32"}
"""The type that each precision's float layers are computed in; on a CPU, FP16 only stores weights."""

NUMPY_NAMES = {"u8": "uint8", "f32": "float32"}


class OpenVinoBackend:
    """Engine files are ONNX graphs, compiled when opened. Extension libraries are never loaded."""

    name = "openvino"
    suffix = ".onnx"

    def build(self, graph: Path, engine_file: Path, *, precision: str, max_batch: int) -> Mapping[str, Any]:
        """Check that a graph compiles here, and copy it; returns the types of the compiled layers.

        Raises:
            UsageError: an unknown precision.
            BundleError: not a graph of ours, or OpenVINO cannot compile it.
            EnvironmentMismatchError: this CPU does not support the precision.
        """
        engine = self.open(graph, precision=precision, max_batch=max_batch, threads=0)
        try:
            facts = {"layer_types": engine.layer_types(), "float_type": FLOAT_TYPE[precision]}
        finally:
            engine.close()
        copy_graph(graph, engine_file)
        return facts

    def open(
        self,
        engine_file: Path,
        *,
        precision: str,
        max_batch: int,
        threads: int,
        content: bytes | None = None,
    ) -> OpenVinoEngine:
        """Load a graph and compile it; see ``core.protocols.Backend``. Raises as ``build``."""
        if reason := self.incompatibility(precision, {}):
            hint = "choose the precision int8 or fp32, or auto, which tries bf16 only where the CPU computes in it"
            raise EnvironmentMismatchError(
                f"cannot open {engine_file}: {reason}", hint=hint if precision == "bf16" else ""
            )
        core = load_openvino().Core()
        model = _read(core, engine_file, content)
        shapes = {port.any_name: _dimensions(port) for port in (*model.inputs, *model.outputs)}
        spec = spec_of(
            engine_file,
            shapes[INPUT_NAME],
            shapes[OUTPUT_NAME],
            *(shapes.get(name) for name in GUARD_NAMES),
            max_batch=max_batch,
            backend=self.name,
            precision=precision,
        )
        # Bytes that the caller verified: what is kept for them belongs to a bundle, and may be used again.
        kept = None if content is None else CompiledModels.of(content, self.environment(), outputs_of(spec))
        return OpenVinoEngine(core, model, _settings(precision, threads), spec, kept)

    def environment(self) -> Mapping[str, str]:
        """Return OpenVINO's version, the CPU and its instruction sets."""
        return {"openvino": str(load_openvino().__version__), **cpu_facts()}

    def incompatibility(self, precision: str, recorded: Mapping[str, str]) -> str:
        """Say why an engine of this precision cannot run here, or return an empty string.

        An ONNX graph is compiled again on every machine, so only the weight bits in ``recorded`` matter.
        """
        if precision not in FLOAT_TYPE:
            raise UsageError(f"unknown precision {precision!r}", hint=nearest(precision, list(FLOAT_TYPE)))
        able = load_openvino().Core().get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
        if precision == "bf16" and "BF16" not in able:
            return f"this CPU ({cpu_facts()['cpu']}) has no bf16 units"
        return int8_incompatibility(recorded)


def _read(core: Any, engine_file: Path, content: bytes | None) -> Any:
    # Read from memory: what was hashed is what runs.
    graph = graph_bytes(engine_file, content)
    try:
        model = core.read_model(graph)
    except RuntimeError as error:
        raise BundleError(f"OpenVINO cannot read {engine_file}: {one_line(error)}") from error
    check_names(engine_file, _ports(model.inputs), _ports(model.outputs))
    return model


def _settings(precision: str, threads: int) -> dict[str, Any]:
    if threads < 0:
        raise UsageError(f"threads must be 0 (automatic) or more (got {threads})")
    return {
        "INFERENCE_PRECISION_HINT": FLOAT_TYPE[precision],
        "PERFORMANCE_HINT": "LATENCY",
        # The loop's other threads share the cores; pinning brought no measurable gain.
        "ENABLE_CPU_PINNING": False,
        # Otherwise OpenVINO may quantize activations on the fly where weights are stored compressed.
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
        **({"INFERENCE_NUM_THREADS": threads} if threads else {}),
    }


def _ports(ports: Any) -> list[tuple[str, str]]:
    kinds = [port.element_type.get_type_name() for port in ports]
    names = [port.any_name if port.names else "" for port in ports]
    return [(name, NUMPY_NAMES.get(kind, kind)) for name, kind in zip(names, kinds, strict=True)]


def _dimensions(port: Any) -> list[int | None]:
    shape = port.partial_shape
    if shape.rank.is_dynamic:
        return []
    return [None if size.is_dynamic else size.get_length() for size in shape]

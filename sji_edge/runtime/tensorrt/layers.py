"""Reads the engine inspector's table: what each layer became, and which Q/DQ nodes were not fused."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

TYPES = {
    "FP32": "fp32",
    "FLOAT": "fp32",
    "FLOAT32": "fp32",
    "FP16": "fp16",
    "HALF": "fp16",
    "FLOAT16": "fp16",
    "BFLOAT16": "bf16",
    "BF16": "bf16",
    "INT8": "int8",
    "UINT8": "uint8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
}
QUANTIZERS = ("QUANTIZELINEAR", "DEQUANTIZELINEAR", "QUANTIZE", "DEQUANTIZE")
MAX_NAMED = 3


def layer_table(text: str) -> list[dict[str, Any]]:
    """Read ``EngineInspector.get_engine_information`` in JSON.

    Returns:
        One row for each layer: ``name``, ``kind``, ``inputs`` and ``outputs`` as types, ``tactic``. A plan that was
        built without details has names only; kind and types are empty.

    Raises:
        ValueError: not the inspector's JSON.
    """
    content = json.loads(text)
    if not isinstance(content, Mapping) or not isinstance(content.get("Layers"), Sequence):
        raise ValueError("the inspector returned no list of layers")
    return [_row(layer) for layer in content["Layers"]]


def count_types(table: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return how many layers have each output type."""
    counts: dict[str, int] = {}
    for row in table:
        kind = row["outputs"][0] if row["outputs"] else "unknown"
        counts[kind] = counts.get(kind, 0) + 1
    return dict(sorted(counts.items()))


def unfused(table: Sequence[Mapping[str, Any]]) -> str:
    """Say which Q/DQ nodes became separate layers, or return an empty string.

    A Q or DQ node that TensorRT could fuse leaves no layer. One that is left costs a pass over memory, and its
    neighbour runs in float. Quantizing the network's input always takes such a layer.
    """
    left = [row["name"] for row in table if _is_quantizer(row)]
    if len(left) < 2:
        return ""
    named = ", ".join(left[:MAX_NAMED]) + (
        f" and {len(left) - MAX_NAMED} more" if len(left) > MAX_NAMED else ""
    )
    return f"{len(left)} quantizing nodes were not fused into a layer: {named}"


def _is_quantizer(row: Mapping[str, Any]) -> bool:
    # A fused layer lists its parts joined with "+"; a layer that only quantizes has a single part.
    name = str(row["name"]).upper()
    return row["kind"].upper() in ("QUANTIZE", "DEQUANTIZE") or (
        "+" not in name
        and any(word in name for word in QUANTIZERS)
        and row["kind"].upper() in ("", "SCALE", "REFORMAT")
    )


def _row(layer: Any) -> dict[str, Any]:
    if not isinstance(layer, Mapping):
        return {"name": str(layer), "kind": "", "inputs": [], "outputs": [], "tactic": ""}
    return {
        "name": str(layer.get("Name", "")),
        "kind": str(layer.get("LayerType", "")),
        "inputs": [_type(port) for port in layer.get("Inputs", [])],
        "outputs": [_type(port) for port in layer.get("Outputs", [])],
        "tactic": str(layer.get("TacticName", "")),
    }


def _type(port: Any) -> str:
    """Return the type in ``"Format/Datatype": "Row major Int8 format"``, or in ``"Datatype"``."""
    said = str(port.get("Datatype") or port.get("Format/Datatype", "")) if isinstance(port, Mapping) else ""
    words = said.upper().replace("/", " ").replace(":", " ").split()
    return next((TYPES[word] for word in words if word in TYPES), said or "unknown")

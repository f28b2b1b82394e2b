"""Refuses ONNX graphs that keep weights in other files: a hash of the graph would not cover those.

The ``onnx`` package is not installed on an edge box, so the graph's protocol buffer is walked here. Only lengths are
read; weights are skipped. Field numbers are those of ``onnx.proto3``.
"""

from collections.abc import Iterator
from pathlib import Path

from sji_edge.core.errors import BundleError

MAX_DEPTH = 24
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
EXTERNAL_DATA, DATA_LOCATION, EXTERNAL = 13, 14, 1

TENSOR = "tensor"
CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: TENSOR, 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: TENSOR, 6: "graph", 10: TENSOR, 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: TENSOR, 2: TENSOR},
}
"""Which fields of a message hold messages that may hold a tensor."""


def refuse_external_data(graph: bytes, source: Path) -> None:
    """Check that a graph holds all of its weights.

    Args:
        graph: an ONNX file's content.
        source: the file, for the error.

    Raises:
        BundleError: a tensor refers to another file, or the content is not an ONNX graph.
    """
    try:
        external = _holds_external(memoryview(graph), "model", 0)
    except ValueError as error:
        raise BundleError(f"{source} is not an ONNX graph: {error}") from error
    if external:
        raise BundleError(
            f"{source} keeps weights in another file, which its hash does not cover",
            hint="export the model again with sji-edge export",
        )


def _holds_external(message: memoryview, kind: str, depth: int) -> bool:
    if depth > MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    for field, value in _fields(message):
        if kind == TENSOR:
            if field == EXTERNAL_DATA or (field == DATA_LOCATION and value == EXTERNAL):
                return True
        elif (
            field in CHILDREN[kind]
            and isinstance(value, memoryview)
            and _holds_external(value, CHILDREN[kind][field], depth + 1)
        ):
            return True
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield each field's number, and its value where that is a varint or bytes."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        kind, field = tag & 7, tag >> 3
        if kind == VARINT:
            value, place = _varint(message, place)
            yield field, value
        elif kind == BYTES:
            size, place = _varint(message, place)
            if size > len(message) - place:
                raise ValueError("it is truncated")
            yield field, message[place : place + size]
            place += size
        elif kind in (FIXED64, FIXED32):
            place += 8 if kind == FIXED64 else 4
        else:
            raise ValueError("it is not a protocol buffer")


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            raise ValueError("it is truncated")
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("it is not a protocol buffer")

"""Finds the nodes of a graph that belong to its guard alone."""

from collections.abc import Iterable
from typing import Any

from sji_edge.runtime.onnx_graph import GUARD_NAMES, OUTPUT_NAME


def guard_nodes(graph: Any) -> list[Any]:
    """Return the nodes that lead to novelty or features and not to the logits, in the graph's order.

    Args:
        graph: an ``onnx.GraphProto``; without a guard, the list is empty.
    """
    backbone = _leading_to(graph, OUTPUT_NAME)
    guard = set().union(*(_leading_to(graph, name) for name in GUARD_NAMES))
    return [node for place, node in enumerate(graph.node) if place in guard and place not in backbone]


def _leading_to(graph: Any, output: str) -> set[int]:
    """Return the places of the nodes that an output is computed from."""
    maker = {name: place for place, node in enumerate(graph.node) for name in node.output if name}
    found: set[int] = set()
    waiting = [maker[output]] if output in maker else []
    while waiting:
        place = waiting.pop()
        if place not in found:
            found.add(place)
            waiting.extend(_makers(graph.node[place].input, maker))
    return found


def _makers(names: Iterable[str], maker: dict[str, int]) -> list[int]:
    return [maker[name] for name in names if name in maker]

"""Hands out sets of buffers or requests to batches in flight; no two batches ever use the same set."""

from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

from sji_edge.core.errors import EngineInputError

Resource = TypeVar("Resource")


class Turns(Generic[Resource]):
    """Hands sets out in turn; each is in use until it is given back.

    Args:
        resources: the sets, at least one.
    """

    def __init__(self, resources: Sequence[Resource]) -> None:
        if not resources:
            raise ValueError("there must be at least one set")
        self._resources = list(resources)
        self._free = deque(range(len(resources)))

    def take(self) -> tuple[int, Resource]:
        """Return the number of the set that has been free for longest, and the set.

        Raises:
            EngineInputError: none is free.
        """
        if not self._free:
            raise EngineInputError(
                f"{len(self._resources)} batches are in flight already; collect one before submitting the next"
            )
        turn = self._free.popleft()
        return turn, self._resources[turn]

    def give_back(self, turn: int) -> Resource:
        """Mark a set as free again.

        Raises:
            EngineInputError: it is not in use.
        """
        if turn in self._free or not 0 <= turn < len(self._resources):
            raise EngineInputError("this batch was collected already, or never submitted")
        self._free.append(turn)
        return self._resources[turn]

    def clear(self) -> None:
        """Drop all sets, so that their memory is freed."""
        self._resources.clear()
        self._free.clear()

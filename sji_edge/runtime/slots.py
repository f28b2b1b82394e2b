"""Whose turn it is: what several batches under way use, such as buffers or requests, never two of them at once."""

from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

from sji_edge.core.errors import EngineInputError

Resource = TypeVar("Resource")


class Turns(Generic[Resource]):
    """Hands sets out in turn, each until it is given back.

    Args:
        resources: the sets, at least one.
    """

    def __init__(self, resources: Sequence[Resource]) -> None:
        if not resources:
            raise ValueError("no set")
        self._resources = list(resources)
        self._free = deque(range(len(resources)))

    def take(self) -> tuple[int, Resource]:
        """Return the number of the set that has been free for longest, and the set.

        Raises:
            EngineInputError: none is free.
        """
        if not self._free:
            raise EngineInputError(
                f"{len(self._resources)} batches are under way already; collect one before the next is given"
            )
        turn = self._free.popleft()
        return turn, self._resources[turn]

    def give_back(self, turn: int) -> Resource:
        """Return a set to the free ones.

        Raises:
            EngineInputError: it is not in use.
        """
        if turn in self._free or not 0 <= turn < len(self._resources):
            raise EngineInputError("this batch was collected already, or never given")
        self._free.append(turn)
        return self._resources[turn]

    def clear(self) -> None:
        """Let go of all sets, so that what they hold is freed."""
        self._resources.clear()
        self._free.clear()

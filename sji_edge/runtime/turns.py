"""Whose turn it is: what several batches under way use, such as buffers or requests, never two of them at once."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Generic, TypeVar

from sji_edge.core.errors import EngineInputError

Resource = TypeVar("Resource")


class State(StrEnum):
    """Of one set."""

    FREE = "free"
    BUSY = "busy"


class Turns(Generic[Resource]):
    """Hands sets out in turn, each until it is given back.

    Args:
        resources: the sets, at least one.
    """

    def __init__(self, resources: Sequence[Resource]) -> None:
        if not resources:
            raise ValueError("no set")
        self._resources = list(resources)
        self._states = [State.FREE] * len(resources)
        self._next = 0

    @property
    def states(self) -> tuple[State, ...]:
        """The state of each set."""
        return tuple(self._states)

    def take(self) -> tuple[int, Resource]:
        """Return the number of the set whose turn it is, and the set.

        Raises:
            EngineInputError: its batch was not collected yet.
        """
        turn = self._next
        if self._states[turn] is State.BUSY:
            raise EngineInputError(
                f"{len(self._resources)} batches are under way already; collect one before the next is given"
            )
        self._states[turn] = State.BUSY
        self._next = (turn + 1) % len(self._resources)
        return turn, self._resources[turn]

    def give_back(self, turn: int) -> Resource:
        """Return a set to the free ones.

        Raises:
            EngineInputError: it is not in use.
        """
        if not 0 <= turn < len(self._states) or self._states[turn] is not State.BUSY:
            raise EngineInputError("this batch was collected already, or never given")
        self._states[turn] = State.FREE
        return self._resources[turn]

    def clear(self) -> None:
        """Let go of all sets, so that what they hold is freed."""
        self._resources.clear()
        self._states.clear()

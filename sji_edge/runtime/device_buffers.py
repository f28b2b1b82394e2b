"""What the host decides before the device works: how many bytes, which batch, whose turn."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from sji_edge.core.errors import BundleError, EngineInputError
from sji_edge.core.protocols import EngineSpec

Resource = TypeVar("Resource")


@dataclass(frozen=True, slots=True)
class Profile:
    """The batches of a plan's optimisation profile."""

    least: int
    tuned: int
    greatest: int

    @classmethod
    def of(cls, shapes: Sequence[Sequence[int]], source: str) -> "Profile":
        """Read the profile of the input: its least, tuned and greatest shape.

        Raises:
            BundleError: other than three shapes, which differ in nothing but the batch.
        """
        if len(shapes) != 3 or len({tuple(shape[1:]) for shape in shapes}) != 1:
            raise BundleError(f"{source} has an optimisation profile of shapes {[tuple(s) for s in shapes]}")
        least, tuned, greatest = (int(shape[0]) for shape in shapes)
        if not 1 <= least <= tuned <= greatest:
            raise BundleError(f"{source} has an optimisation profile of batches {least}, {tuned}, {greatest}")
        return cls(least, tuned, greatest)

    def run_batch(self, crops: int) -> int:
        """Return how many crops the device works on: filled up where the plan takes no fewer (DLA).

        Raises:
            EngineInputError: more crops than the plan takes, or none.
        """
        if not 1 <= crops <= self.greatest:
            raise EngineInputError(f"{crops} crops in one batch; this plan takes 1 to {self.greatest}")
        return max(crops, self.least)


@dataclass(frozen=True, slots=True)
class BufferSizes:
    """Bytes of one buffer set, on the host and on the device alike."""

    crops: int
    logits: int
    maps: int

    @classmethod
    def of(cls, spec: EngineSpec, profile: Profile) -> "BufferSizes":
        """Make room for the greatest batch that may run."""
        batch = profile.run_batch(spec.max_batch)
        height, width, channels = spec.crop_shape
        return cls(batch * height * width * channels, batch * spec.classes * 4, batch * 6 * 8)


class State(StrEnum):
    """Of one buffer set."""

    FREE = "free"
    BUSY = "busy"


class Turns(Generic[Resource]):
    """Hands buffer sets out in turn, each until it is given back: never one to two batches at once.

    Args:
        resources: the sets, at least one.
    """

    def __init__(self, resources: Sequence[Resource]) -> None:
        if not resources:
            raise ValueError("no buffer set")
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

    def clear(self) -> None:
        """Let go of all sets, so that what they hold is freed."""
        self._resources.clear()
        self._states.clear()

    def give_back(self, turn: int) -> Resource:
        """Return a set to the free ones.

        Raises:
            EngineInputError: it is not in use.
        """
        if not 0 <= turn < len(self._states) or self._states[turn] is not State.BUSY:
            raise EngineInputError("this batch was collected already, or never given")
        self._states[turn] = State.FREE
        return self._resources[turn]

"""How many bytes a batch needs, and which batch size the device runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sji_edge.core.errors import BundleError, EngineInputError
from sji_edge.core.protocols import EngineSpec

FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Profile:
    """The batches of a plan's optimization profile."""

    least: int
    tuned: int
    greatest: int

    @classmethod
    def of(cls, shapes: Sequence[Sequence[int]], source: str) -> "Profile":
        """Read the input's profile: its minimum, tuned and maximum shape.

        Raises:
            BundleError: not three shapes that differ in the batch only.
        """
        if len(shapes) != 3 or len({tuple(shape[1:]) for shape in shapes}) != 1:
            raise BundleError(f"{source} has an optimization profile of shapes {[tuple(s) for s in shapes]}")
        least, tuned, greatest = (int(shape[0]) for shape in shapes)
        if not 1 <= least <= tuned <= greatest:
            raise BundleError(f"{source} has an optimization profile of batches {least}, {tuned}, {greatest}")
        return cls(least, tuned, greatest)

    def run_batch(self, crops: int) -> int:
        """Return how many crops the device runs; more than given if the plan accepts no fewer (DLA).

        Raises:
            EngineInputError: no crops, or more than the plan takes.
        """
        if not 1 <= crops <= self.greatest:
            raise EngineInputError(
                f"a batch for this plan must hold 1 to {self.greatest} crops (got {crops})"
            )
        return max(crops, self.least)


@dataclass(frozen=True, slots=True)
class BufferSizes:
    """Bytes of one buffer set, the same on the host and on the device; ``outputs`` as in ``EngineOutput``."""

    crops: int
    outputs: tuple[int, ...]
    maps: int

    @classmethod
    def of(cls, spec: EngineSpec, profile: Profile) -> "BufferSizes":
        """Return the sizes for the largest batch that may run."""
        batch = profile.run_batch(spec.max_batch)
        height, width, channels = spec.crop_shape
        return cls(
            crops=batch * height * width * channels,
            outputs=tuple(batch * math.prod(shape) * FLOAT_BYTES for shape in output_shapes(spec)),
            maps=batch * 6 * 8,
        )


def output_shapes(spec: EngineSpec) -> list[tuple[int, ...]]:
    """Return the shape of one crop's part of each output, in the order of ``EngineOutput``."""
    shapes: list[tuple[int, ...]] = [(spec.classes,)]
    if spec.guarded:
        shapes.append(())
    if spec.features:
        shapes.append((spec.features,))
    return shapes

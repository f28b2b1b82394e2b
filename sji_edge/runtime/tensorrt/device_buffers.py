"""What the host decides before the device works: how many bytes, and which batch."""

from collections.abc import Sequence
from dataclasses import dataclass

from sji_edge.core.errors import BundleError, EngineInputError
from sji_edge.core.protocols import EngineSpec


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

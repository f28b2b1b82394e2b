"""How many bytes a batch needs, and which batch size the device runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from sji_edge.core.errors import BundleError, EngineInputError
from sji_edge.core.protocols import EngineSpec
from sji_edge.runtime.onnx_graph import FEATURES_NAME, NOVELTY_NAME, OUTPUT_NAME, outputs_of

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


def output_shapes(spec: EngineSpec) -> dict[str, tuple[int, ...]]:
    """Return the outputs of an engine, all float32, with the shape of one crop's values.

    The names are those of the graph's outputs and of ``EngineOutput``'s attributes.
    """
    shapes = {OUTPUT_NAME: (spec.classes,), NOVELTY_NAME: (), FEATURES_NAME: (spec.features,)}
    return {name: shapes[name] for name in outputs_of(spec)}


@dataclass(frozen=True, slots=True)
class BufferSizes:
    """Bytes of one buffer set, the same on the host and on the device; ``outputs`` by name."""

    crops: int
    maps: int
    outputs: Mapping[str, int]

    @classmethod
    def of(cls, spec: EngineSpec, profile: Profile) -> "BufferSizes":
        """Return the sizes for the largest batch that may run."""
        batch = profile.run_batch(spec.max_batch)
        return cls(
            crops=batch * prod(spec.crop_shape),
            maps=batch * 6 * 8,
            outputs={name: batch * prod(shape) * FLOAT_BYTES for name, shape in output_shapes(spec).items()},
        )

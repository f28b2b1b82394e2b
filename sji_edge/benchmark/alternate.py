"""Times several predictors in one process, in alternating blocks, so that their speed can be compared.

Whatever slows the machine for a while then slows all of them alike. But a predictor must not slow the next one: a
thread pool keeps its cores busy after its last call, waiting for more work. Measured on two threads, that takes 42 ms
of CPU time in ONNX Runtime, 9 ms in PyTorch (OpenMP) and 1.2 ms in OpenVINO (TBB); during that time the next
predictor's calls took up to 2.6 times as long, and those of the block after it 1.9 times. Therefore a block is much
longer than a call. It starts with a pause of 100 ms and a few untimed calls, which wake its own pool and fill the
caches.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sji_edge.core.clock import Clock
from sji_edge.core.frozen import FrozenModel

Predict = Callable[[NDArray[np.uint8]], object]


class BlockSettings(FrozenModel):
    """How long to measure each predictor at each batch size.

    Attributes:
        seconds: minimum time spent inside timed calls.
        min_calls: minimum number of timed calls.
        block_s: minimum length of one block; a block holds at least one call.
        settle_s: pause before a block, in which the other predictors' thread pools fall asleep.
        warm_calls: untimed calls at the start of a block.
    """

    seconds: float = Field(default=2.0, gt=0.0)
    min_calls: int = Field(default=20, ge=1)
    block_s: float = Field(default=0.5, gt=0.0)
    settle_s: float = Field(default=0.1, ge=0.0)
    warm_calls: int = Field(default=3, ge=1)


@dataclass
class Timing:
    """One predictor's durations in nanoseconds, block by block."""

    blocks: list[list[int]] = field(default_factory=list)

    @property
    def durations_ns(self) -> list[int]:
        """All durations in order."""
        return [duration for block in self.blocks for duration in block]

    def enough(self, settings: BlockSettings) -> bool:
        """Return whether both the time and the number of calls suffice."""
        durations = self.durations_ns
        return len(durations) >= settings.min_calls and sum(durations) >= settings.seconds * 1e9

    def block_means_ns(self) -> list[float]:
        """Mean duration of each block."""
        return [sum(block) / len(block) for block in self.blocks]


def alternate(
    predictors: Sequence[tuple[Predict, NDArray[np.uint8]]], settings: BlockSettings, clock: Clock
) -> list[Timing]:
    """Time predictors in alternating blocks: A B, then B A, and so on, an even number of rounds.

    Args:
        predictors: each with the crops for its calls.
        settings: how long to measure.
        clock: the clock.

    Returns:
        One timing for each predictor, all with the same number of blocks; no call is left out.
    """
    timings = [Timing() for _ in predictors]
    order = list(range(len(predictors)))
    rounds = 0
    while rounds % 2 or not all(timing.enough(settings) for timing in timings):
        for index in order:
            predict, crops = predictors[index]
            timings[index].blocks.append(_block(predict, crops, settings, clock))
        order.reverse()
        rounds += 1
    return timings


def ratio(base: Timing, other: Timing) -> tuple[float, float, float]:
    """Return the speed of ``other`` relative to ``base``: over all calls, then the lowest and highest of a round."""
    base_calls, other_calls = base.durations_ns, other.durations_ns
    overall = (sum(base_calls) / len(base_calls)) / (sum(other_calls) / len(other_calls))
    pairs = zip(base.block_means_ns(), other.block_means_ns(), strict=True)
    rounds = [one / two for one, two in pairs]
    return overall, min(rounds), max(rounds)


def _block(predict: Predict, crops: NDArray[np.uint8], settings: BlockSettings, clock: Clock) -> list[int]:
    clock.sleep(settings.settle_s)
    for _ in range(settings.warm_calls):
        predict(crops)
    durations: list[int] = []
    spent, limit = 0, settings.block_s * 1e9
    while spent < limit:
        start = clock.monotonic_ns()
        predict(crops)
        duration = max(clock.monotonic_ns() - start, 1)
        durations.append(duration)
        spent += duration
    return durations

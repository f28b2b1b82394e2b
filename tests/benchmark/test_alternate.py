from dataclasses import dataclass, field

import numpy as np
import pytest

from sji_edge.benchmark.alternate import BlockSettings, Timing, alternate, ratio


@dataclass
class StepClock:
    """A clock that only the predictors and the pauses move."""

    now_ns: int = 0
    sleeps: list[float] = field(default_factory=list)

    def monotonic_ns(self) -> int:
        return self.now_ns

    def utc(self) -> str:
        return "2025-01-01T00:00:00"

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now_ns += round(seconds * 1e9)


@dataclass
class Steady:
    """Takes a fixed time a call, and writes its name down."""

    name: str
    clock: StepClock
    cost_ns: int
    log: list[str]

    def __call__(self, crops: np.ndarray) -> None:
        assert crops.shape == (2, 4, 4, 1)
        self.log.append(self.name)
        self.clock.now_ns += self.cost_ns


CROPS = np.zeros((2, 4, 4, 1), np.uint8)
MS = 1_000_000


def _run(costs: dict[str, int], settings: BlockSettings) -> tuple[list[Timing], list[str], StepClock]:
    clock, log = StepClock(), []
    subjects = [(Steady(name, clock, cost, log), CROPS) for name, cost in costs.items()]
    return alternate(subjects, settings, clock), log, clock


def test_blocks_alternate_and_the_order_turns_round() -> None:
    settings = BlockSettings(seconds=0.04, min_calls=1, block_s=0.02, settle_s=0.1, warm_calls=1)
    timings, log, clock = _run({"a": 10 * MS, "b": 20 * MS}, settings)
    assert "".join(log) == "aaa" + "bb" + "bb" + "aaa"
    assert [timing.blocks for timing in timings] == [[[10 * MS] * 2] * 2, [[20 * MS]] * 2]
    assert clock.sleeps == [0.1] * 4


def test_neither_pauses_nor_warm_calls_are_timed() -> None:
    settings = BlockSettings(seconds=0.5, min_calls=10, block_s=0.1, settle_s=3.0, warm_calls=7)
    timings, log, _ = _run({"a": 5 * MS}, settings)
    durations = timings[0].durations_ns
    assert set(durations) == {5 * MS}
    assert len(log) == len(durations) + 7 * len(timings[0].blocks)


def test_time_and_number_are_both_reached_in_an_even_number_of_rounds() -> None:
    for seconds, calls in ((0.01, 50), (1.0, 1), (0.3, 3)):
        settings = BlockSettings(seconds=seconds, min_calls=calls, block_s=0.05)
        for timing in _run({"a": 7 * MS, "b": 31 * MS}, settings)[0]:
            assert len(timing.blocks) % 2 == 0
            assert len(timing.durations_ns) >= calls
            assert sum(timing.durations_ns) >= seconds * 1e9


def test_a_call_longer_than_a_block_is_one_block() -> None:
    timing = _run({"a": 900 * MS}, BlockSettings(seconds=1.0, min_calls=3, block_s=0.1))[0][0]
    assert timing.blocks == [[900 * MS]] * 4


def test_the_ratio_is_of_all_calls_and_its_range_of_rounds() -> None:
    base, other = Timing([[40, 60], [30]]), Timing([[10, 10, 10], [5, 25]])
    overall, low, high = ratio(base, other)
    assert overall == pytest.approx((130 / 3) / (60 / 5))
    assert (low, high) == pytest.approx((30 / 15, 50 / 10))

"""Time, passed in so that tests need no patching."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """A monotonic clock for latency, and a wall clock for records only."""

    def monotonic_ns(self) -> int:
        """Nanoseconds that never step back."""

    def utc(self) -> str:
        """Wall-clock time in UTC, ISO 8601 with microseconds."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's own clocks."""

    def monotonic_ns(self) -> int:
        """Nanoseconds that never step back, of ``time.perf_counter_ns``."""
        return time.perf_counter_ns()

    def utc(self) -> str:
        """Wall-clock time in UTC, ISO 8601 with microseconds."""
        return datetime.now(UTC).isoformat(timespec="microseconds")

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

"""Clocks; they are passed in, so that tests need no patching."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """A monotonic clock for latencies, and a wall clock for records."""

    def monotonic_ns(self) -> int:
        """Return nanoseconds that never step back."""

    def utc(self) -> str:
        """Return the wall-clock time in UTC, ISO 8601 with microseconds."""

    def sleep(self, seconds: float) -> None:
        """Wait for this many seconds."""


class SystemClock:
    """The clocks of this machine."""

    def monotonic_ns(self) -> int:
        """Return ``time.perf_counter_ns``: nanoseconds that never step back."""
        return time.perf_counter_ns()

    def utc(self) -> str:
        """Return the wall-clock time in UTC, ISO 8601 with microseconds."""
        return datetime.now(UTC).isoformat(timespec="microseconds")

    def sleep(self, seconds: float) -> None:
        """Wait for this many seconds."""
        time.sleep(seconds)

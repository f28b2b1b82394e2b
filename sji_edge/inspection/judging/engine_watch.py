"""Watches the calls of an engine: notices one that never returns, and keeps the engine open while a call runs."""

import threading
from collections.abc import Callable
from typing import Self

from sji_edge.core.clock import Clock
from sji_edge.core.errors import EngineInputError, EnvironmentMismatchError
from sji_edge.core.protocols import Engine

POLL_S = 0.05
CONFIRMING_LOOKS = 5
"""Number of successive looks that must find a call overdue. A process that was suspended and resumes has a call that
looks old but returns at once."""


_running_calls: set[int] = set()


def calls_running() -> bool:
    """Tell whether any engine of this process is in a call. Some runtimes abort a process that exits then."""
    return bool(_running_calls)


class EngineWatch:
    """Surrounds every call of an engine: ``with watch: engine.infer(crops)``.

    Args:
        engine: the engine; ``close`` closes it.
        clock: measures the calls.
    """

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._lock = threading.Lock()
        self._running = 0
        self._begun_ns = 0
        self._looks = 0
        self._closing = False

    def __enter__(self) -> Self:
        with self._lock:
            if self._closing:
                raise EngineInputError("the engine is closed")
            self._running += 1
            _running_calls.add(id(self))
            self._looks = 0
            self._begun_ns = self._clock.monotonic_ns()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._running -= 1
            if not self._running:
                _running_calls.discard(id(self))
            close = self._closing and not self._running
        if close:
            self._engine.close()

    def close(self) -> None:
        """Close the engine, or leave that to the call that is running. No call can begin afterwards."""
        with self._lock:
            self._closing = True
            idle = not self._running
        if idle:
            self._engine.close()

    def stalled(self, limit_ns: int) -> EnvironmentMismatchError | None:
        """Return the error that ends the run if a call has been running for longer than ``limit_ns``.

        Call it repeatedly: it answers only after ``CONFIRMING_LOOKS`` looks in a row.
        """
        with self._lock:
            if not self._running or (running_ns := self._clock.monotonic_ns() - self._begun_ns) <= limit_ns:
                return None
            self._looks += 1
            if self._looks < CONFIRMING_LOOKS:
                return None
        return EnvironmentMismatchError(
            f"the engine has not answered for {running_ns / 1e9:.1f} s; the limit is {limit_ns / 1e9:g} s",
            hint="check the device (sji-edge doctor) and the engine (sji-edge engine verify), or raise the time limit",
        )

    def run(self, task: Callable[[], object], limit_ns: int) -> None:
        """Run a task that calls the engine in its own thread, and give it up after ``limit_ns``.

        Raises:
            EnvironmentMismatchError: the task did not end in time; its thread is abandoned.
            Exception: raised by the task.
        """
        failures: list[BaseException] = []

        def guarded() -> None:
            try:
                with self:
                    task()
            except BaseException as error:  # noqa: BLE001 - raised again by the caller's thread
                failures.append(error)

        thread = threading.Thread(target=guarded, name="engine call", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(POLL_S)
            if thread.is_alive() and (stall := self.stalled(limit_ns)) is not None:
                raise stall
        if failures:
            raise failures[0]

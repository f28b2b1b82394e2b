"""Keeps garbage collections, exceptions and Ctrl-C out of TensorRT's calls.

TensorRT holds its own locks while it calls our logger. A garbage collection at that moment may free another of its
objects, which needs the same lock, and the process deadlocks (seen with TensorRT for RTX 1.7.1 and a builder that the
traceback of an earlier error kept alive). An exception that leaves one of our callbacks is printed and lost.
"""

import gc
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def undisturbed() -> Iterator[None]:
    """Switch the garbage collector off; after an error, free at once the TensorRT objects that its frames hold."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    except BaseException as error:
        _clear_frames(error)
        raise
    finally:
        if enabled:
            gc.enable()


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Within the block the first Ctrl-C only sets a flag, which is yielded; a second one ends the process.

    Outside the main thread no handler can be set, and the flag is never set.

    Raises:
        KeyboardInterrupt: at the end of the block, if the flag is set.
    """
    asked = threading.Event()

    def note(_number: int, _frame: FrameType | None) -> None:
        asked.set()
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    main = threading.current_thread() is threading.main_thread()
    previous: Any = signal.signal(signal.SIGINT, note) if main else None
    try:
        yield asked.is_set
    finally:
        if main:
            signal.signal(signal.SIGINT, previous)
        if asked.is_set():
            raise KeyboardInterrupt


def monitor_of(trt: Any, step: Callable[[str], None], stop: Callable[[], bool]) -> Any | None:
    """Return a progress monitor, or None if the package has none (8.6).

    Args:
        trt: the package.
        step: receives each step in words.
        stop: polled after each step; True ends the build.
    """
    if not hasattr(trt, "IProgressMonitor"):
        return None

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._totals: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            del parent_phase
            self._totals[phase_name] = num_steps
            step(phase_name)

        def step_complete(self, phase_name: str, step: int) -> bool:
            self._say(phase_name, step)
            return not stop()

        def _say(self, phase_name: str, done: int) -> None:
            total = self._totals.get(phase_name, 0)
            if total > 1:
                step(f"{phase_name}: {done + 1} of {total}")

        def phase_finish(self, phase_name: str) -> None:
            self._totals.pop(phase_name, None)

    return Monitor()


def _clear_frames(error: BaseException) -> None:
    """Clear the local variables in the frames of an error and of the errors that caused it."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        traceback.clear_frames(one.__traceback__)
        one = one.__cause__ or one.__context__

"""What must not happen inside TensorRT's calls: a garbage collection, an exception, Ctrl-C.

TensorRT holds locks of its own while it calls our logger. A garbage collection there may free another of its objects,
which wants the same lock: the process waits for itself for ever (seen with TensorRT for RTX 1.7.1, a builder that was
kept alive by the traceback of an earlier error). And an exception that leaves one of our callbacks is printed and lost.
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
    """Hold the garbage collector; after an error free at once what its frames hold of TensorRT's."""
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
    """Within the block the first Ctrl-C only sets a flag, which is given; a second one ends the process.

    Outside the main thread, where no handler can be set, the flag stays down.

    Raises:
        KeyboardInterrupt: at the end of the block, when the flag is up.
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
    """Return a progress monitor, or None where the package has none (8.6).

    Args:
        trt: the package.
        step: told what is being done.
        stop: asked after each step; True ends the build.
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
    """Clear the local variables of an error's frames, and of the errors that it came from."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        traceback.clear_frames(one.__traceback__)
        one = one.__cause__ or one.__context__

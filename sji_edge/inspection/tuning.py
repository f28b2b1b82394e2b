"""Tunes the process while the loop runs: short pauses of the interpreter, and no threads within OpenCV's calls."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import cv2

SWITCH_S = 0.002
"""Seconds for which a thread may hold the interpreter while another one waits; Python's default is 5 ms."""
ALERT_SWITCH_S = 0.0005
"""The same for ``low_latency``, where something waits for every frame."""


@contextmanager
def short_pauses(*, alert: bool = False) -> Iterator[None]:
    """Exclude existing objects from garbage collection, and let waiting threads run sooner.

    A full collection visits everything that the imported libraries created. It takes 10 to 20 ms, as long as dozens of
    single crops.

    Args:
        alert: let waiting threads run even sooner, which costs a busy loop 1 to 2 % of its throughput.
    """
    before = sys.getswitchinterval()
    gc.freeze()
    sys.setswitchinterval(ALERT_SWITCH_S if alert else SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
        gc.unfreeze()


@contextmanager
def opencv_in_one_thread() -> Iterator[None]:
    """Run each call of OpenCV in the thread that makes it.

    The calls of a frame take microseconds each, and threads that share one spin while they wait for the next, on the
    cores that the engine needs. The results do not depend on it.
    """
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)

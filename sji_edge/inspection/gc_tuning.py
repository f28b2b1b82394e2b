"""Python's own pauses, kept short while the loop runs."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SWITCH_S = 0.002
"""How long a thread may hold the interpreter while another waits for it; Python's own is 5 ms."""
ALERT_SWITCH_S = 0.0005
"""The same where each frame is waited for."""


@contextmanager
def short_pauses(*, alert: bool = False) -> Iterator[None]:
    """Leave what is already there out of garbage collection, and let waiting threads in sooner.

    A full collection looks at everything that the imported libraries made: 10 to 20 ms, as long as dozens of
    lone crops take.

    Args:
        alert: let them in sooner still, which costs a busy loop 1 to 2 % of its joints.
    """
    before = sys.getswitchinterval()
    gc.freeze()
    sys.setswitchinterval(ALERT_SWITCH_S if alert else SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
        gc.unfreeze()

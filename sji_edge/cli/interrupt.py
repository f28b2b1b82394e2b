"""Handles SIGINT, SIGTERM and SIGHUP: they end a command, or ask a run to finish the frames in flight."""

import signal
import sys
import threading
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN_S = 0.02
"""A signal whose exception was swallowed is delivered again after this time."""


class RunInterruptedError(Exception):
    """A signal ended a run that finished what was in flight; the message says what is on record."""


class Interrupt:
    """A context manager in which a signal raises ``KeyboardInterrupt``; after ``defer``, the first only sets a flag.

    A hangup that the parent process ignores, as ``nohup`` does, stays ignored. Outside the main thread, where no
    handler can be installed, signals keep their meaning.

    A signal may arrive while Python runs a finalizer or a weak reference's callback, as it does within imports. Python
    prints and drops what is raised there, so the signal is delivered again.
    """

    def __init__(self) -> None:
        self._asked = False
        self._deferred = False
        self._previous: dict[signal.Signals, Any] = {}
        self._previous_hook = sys.unraisablehook
        self._again: threading.Timer | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._note)
            self._previous_hook, sys.unraisablehook = sys.unraisablehook, self._dropped
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._again is not None:
                # Still within the block: afterwards, the signal would have another meaning.
                self._again.join()
        finally:
            for number, handler in self._previous.items():
                signal.signal(number, handler)
            if self._previous:
                sys.unraisablehook = self._previous_hook

    def defer(self) -> None:
        """From now on, the first signal only sets the flag; the second one raises."""
        self._deferred = True

    def asked(self) -> bool:
        """Whether a signal was received."""
        return self._asked

    def _dropped(self, unraisable: Any) -> None:
        """Deliver a signal again if Python dropped its exception; leave other exceptions to the hook before."""
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            self._previous_hook(unraisable)
            return
        main = threading.main_thread().ident or 0
        # To the thread itself: a signal that is only noted would not end what it waits for.
        self._again = threading.Timer(AGAIN_S, signal.pthread_kill, (main, signal.SIGINT))
        self._again.daemon = True
        self._again.start()

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        if self._asked or not self._deferred:
            self._asked = True
            raise KeyboardInterrupt
        self._asked = True

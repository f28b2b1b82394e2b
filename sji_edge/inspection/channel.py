"""Bounded channels between the stages of the loop."""

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Channel(Generic[T]):
    """A queue of at most ``size`` items between two threads.

    A closed channel takes nothing more and gives what it holds; an aborted one gives nothing either.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: deque[T] = deque()
        self._closed = False
        self._condition = threading.Condition()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> bool:
        """Add an item, waiting for room; False, and not added, when the channel is closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or len(self._items) < self._size)
            if self._closed:
                return False
            self._items.append(item)
            self._condition.notify_all()
            return True

    def put_latest(self, item: T) -> tuple[bool, T | None]:
        """Add an item without waiting.

        Returns:
            Whether it was added, and the oldest item if that had to make room.
        """
        with self._condition:
            if self._closed:
                return False, None
            displaced = self._items.popleft() if len(self._items) >= self._size else None
            self._items.append(item)
            self._condition.notify_all()
            return True, displaced

    def get(self, timeout_s: float | None = None) -> T | None:
        """Take the oldest item, waiting for one; None when closed and empty, or after ``timeout_s``."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._items, timeout_s)
            return self._take()

    def get_waiting(self) -> T | None:
        """Take the oldest item if there is one."""
        with self._condition:
            return self._take()

    def _take(self) -> T | None:
        if not self._items:
            return None
        item = self._items.popleft()
        self._condition.notify_all()
        return item

    @property
    def ended(self) -> bool:
        """Whether it is closed and empty."""
        with self._condition:
            return self._closed and not self._items

    def close(self) -> None:
        """Take nothing more."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def abort(self) -> list[T]:
        """Take nothing more, and empty the channel; returns the items that were in it."""
        with self._condition:
            self._closed = True
            dropped = list(self._items)
            self._items.clear()
            self._condition.notify_all()
            return dropped

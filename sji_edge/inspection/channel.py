"""Bounded channels between the stages of the loop."""

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Channel(Generic[T]):
    """A queue of at most ``size`` items between threads.

    A closed channel accepts no items but still returns those that it holds. An aborted channel is closed and empty.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: deque[T] = deque()
        self._closed = False
        self._condition = threading.Condition()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> bool:
        """Add an item, and wait for room if necessary. Return False, without adding it, if the channel is closed."""
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
            Whether the item was added, and the oldest item if it was dropped to make room.
        """
        with self._condition:
            if self._closed:
                return False, None
            displaced = self._items.popleft() if len(self._items) >= self._size else None
            self._items.append(item)
            self._condition.notify_all()
            return True, displaced

    def get(self, timeout_s: float | None = None) -> T | None:
        """Remove and return the oldest item. Return None if the channel is closed and empty, or after ``timeout_s``."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._items, timeout_s)
            return self._take()

    def get_waiting(self) -> T | None:
        """Remove and return the oldest item, or return None if there is none. Never waits."""
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
        """Whether the channel is closed and empty."""
        with self._condition:
            return self._closed and not self._items

    def close(self) -> None:
        """Accept no more items."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def abort(self) -> list[T]:
        """Accept no more items, and remove and return those in the channel."""
        with self._condition:
            self._closed = True
            dropped = list(self._items)
            self._items.clear()
            self._condition.notify_all()
            return dropped

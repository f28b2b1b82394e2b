"""Closes a sink at the end of a ``with`` block."""

from abc import abstractmethod
from typing import Self


class ClosedOnExit:
    """Base class of the sinks: ``with SqliteSink(path) as sink`` closes it, also after an error."""

    @abstractmethod
    def close(self) -> None:
        """Release the file; a second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

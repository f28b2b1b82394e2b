"""Names for implementations: nothing is imported until one is asked for."""

import difflib
import importlib
from collections.abc import Mapping
from typing import Any

from sji_edge.core.errors import UsageError


def nearest(name: str, known: Mapping[str, object] | list[str]) -> str:
    """Return ``"did you mean 'x'?"`` for the closest known name, or the list of all names."""
    close = difflib.get_close_matches(name, list(known), n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(sorted(known))}"


class Registry:
    """A table from a name to ``"module:attribute"``.

    Args:
        kind: what the names stand for, for the error message (``"loss"``).
        entries: the table.
    """

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def names(self) -> list[str]:
        """All registered names, sorted."""
        return sorted(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def get(self, name: str) -> Any:
        """Import and return what ``name`` stands for.

        Raises:
            UsageError: no such name; suggests the nearest one.
        """
        if name not in self._entries:
            raise UsageError(f"unknown {self.kind} {name!r}", hint=nearest(name, self._entries))
        module, _, attribute = self._entries[name].partition(":")
        return getattr(importlib.import_module(module), attribute)

"""Registries: tables from a name to an implementation, which is imported on first use.

Other packages add entries by entry points, without a change here::

    [project.entry-points."sji_edge.sources"]
    acme = "acme_camera:AcmeSource"          # then: sji-edge infer --stream acme://line1

The groups are ``sji_edge.sources``, ``sji_edge.sinks``, ``sji_edge.losses`` and ``sji_edge.backends``. A script
registers an implementation with ``Registry.add``.
"""

import difflib
import importlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sji_edge.core.errors import EnvironmentMismatchError, UsageError
from sji_edge.core.text import one_line

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"did you mean 'x'?"`` for the closest known name, or the list of all names."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(names)}"


class Registry:
    """A table from a name to ``"module:attribute"``, extended by the entry points of installed packages.

    A built-in name always wins, and installed packages are searched only for a name that is not built in.

    Args:
        kind: what the names stand for, used in error messages (``"loss"``).
        entries: the built-in names.
        group: entry-point group of third-party names; empty for none.
    """

    def __init__(self, kind: str, entries: Mapping[str, str], group: str = "") -> None:
        self.kind = kind
        self.group = group
        self._entries: dict[str, Any] = dict(entries)

    def names(self) -> list[str]:
        """All names, built in or offered by an installed package, sorted; nothing is imported."""
        return sorted({*self._entries, *(entry.name for entry in self._offered())})

    def __contains__(self, name: object) -> bool:
        return name in self._entries or any(entry.name == name for entry in self._offered())

    def add(self, name: str, implementation: Any) -> None:
        """Register an implementation in this process, for a script or a notebook; a package uses an entry point.

        Raises:
            UsageError: the name is taken.
        """
        if name in self._entries:
            raise UsageError(f"{self.kind} {name!r} already exists", hint="choose another name")
        self._entries[name] = implementation

    def get(self, name: str) -> Any:
        """Import and return the implementation of ``name``.

        Raises:
            UsageError: unknown name; the hint suggests the nearest one.
            EnvironmentMismatchError: the package that offers the name cannot be imported, or two packages
                offer it.
        """
        if name in self._entries:
            entry = self._entries[name]
            if not isinstance(entry, str):
                return entry
            module, _, attribute = entry.partition(":")
            return getattr(importlib.import_module(module), attribute)
        found = [entry for entry in self._offered() if entry.name == name]
        if not found:
            raise UsageError(f"unknown {self.kind} {name!r}", hint=nearest(name, self.names()))
        if len(found) > 1:
            owners = " and ".join(sorted(_owner(entry) for entry in found))
            raise EnvironmentMismatchError(
                f"{self.kind} {name!r} is offered by {owners}", hint="uninstall all but one of them"
            )
        return self._load(found[0])

    def _offered(self) -> "list[EntryPoint]":
        """Entry points of the group; a package that two folders of the search path hold counts once."""
        if not self.group:
            return []
        from importlib.metadata import entry_points

        once = {(entry.name, entry.value, _owner(entry)): entry for entry in entry_points(group=self.group)}
        return list(once.values())

    def _load(self, entry: "EntryPoint") -> Any:
        try:
            return entry.load()
        except Exception as error:  # importing another package's code may raise anything
            raise EnvironmentMismatchError(
                f"cannot import {self.kind} {entry.name!r} ({entry.value} of {_owner(entry)}): "
                f"{type(error).__name__}: {one_line(error)}",
                hint=f"reinstall or uninstall {_owner(entry)}",
            ) from error


def _owner(entry: "EntryPoint") -> str:
    return entry.dist.name if entry.dist is not None else "an unnamed package"

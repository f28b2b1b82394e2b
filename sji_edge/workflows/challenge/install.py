"""Installs an engine that passed its challenge: it becomes the one that ``infer`` takes where none is named."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sji_edge.core.errors import UsageError
from sji_edge.core.files import new_folder, output_errors
from sji_edge.runtime.bundle.bundle import open_bundle
from sji_edge.runtime.bundle.selection import choose_engine

JOURNAL = "installed.jsonl"


@dataclass(frozen=True)
class Installed:
    """An engine that was installed.

    Attributes:
        folder: where it is now.
        taken: whether ``infer`` takes it where no engine is named.
        instead: the engine that ``infer`` takes, and why.
    """

    folder: Path
    taken: bool
    instead: str


def check_installable(bundle: Path, engines: Path) -> None:
    """Raise ``UsageError`` or ``BundleError`` if a path is no released engine, or its name is taken in ``engines``."""
    found = open_bundle(bundle)
    target = engines / found.folder.name
    if target.exists() and target.resolve() != bundle.resolve():
        raise UsageError(
            f"{target} exists already, and an engine is never overwritten",
            hint="build the new engine under another name",
        )


def install(bundle: Path, engines: Path, why: Mapping[str, object]) -> Installed:
    """Copy an engine into the folder of all engines, and note it in ``installed.jsonl``.

    Args:
        bundle: the engine, which is verified again.
        engines: folder of all engines.
        why: what is noted beside the engine's name: the challenge that it passed.

    Raises:
        UsageError: its name is taken.
        BundleError: it is altered or not released.
        OutputError: it cannot be copied.
    """
    check_installable(bundle, engines)
    target = engines / bundle.resolve().name
    if not target.exists():
        with new_folder(target) as partial, output_errors(target):
            shutil.copytree(bundle, partial, dirs_exist_ok=True)
    open_bundle(target)
    with output_errors(engines / JOURNAL), (engines / JOURNAL).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({"engine": target.name, **why}, allow_nan=False) + "\n")
    chosen = choose_engine(engines)
    return Installed(
        target, chosen.folder.resolve() == target.resolve(), f"{chosen.folder.name}, {chosen.why}"
    )

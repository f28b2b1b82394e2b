"""Chooses an engine when none is named: the fastest kind that can run here, and says why."""

from dataclasses import dataclass
from pathlib import Path

from sji_edge.core.errors import BundleError, MissingExtraError, SjiError
from sji_edge.runtime.bundle.bundle import backend_of
from sji_edge.runtime.bundle.manifest import MANIFEST, Manifest, read_model
from sji_edge.runtime.bundle.verification import none_released

FASTEST_FIRST = ("tensorrt", "tensorrt-rtx")
"""Backends that are preferred to all others, in this order; the others rank by age alone."""


@dataclass(frozen=True)
class Choice:
    """A bundle's folder, and why it was chosen, in words."""

    folder: Path
    why: str


def choose_engine(parent: Path) -> Choice:
    """Choose among the released bundles of a folder.

    TensorRT engines that can run on this machine are preferred; among engines of one kind, the newest is taken. An
    engine that cannot run here is skipped, and ``why`` says so.

    Args:
        parent: folder of all engines.

    Raises:
        UsageError: none is released.
        BundleError: none can run here, or a manifest cannot be read, so that the right one is not known.
    """
    engines = [
        (path.parent, read_model(path, Manifest, "manifest"))
        for path in sorted(parent.glob(f"*/{MANIFEST}"))
        if not path.parent.name.startswith(".")
    ]
    released = [(folder, manifest) for folder, manifest in engines if manifest.released]
    if not released:
        newest_first = sorted(engines, key=lambda item: item[1].created_utc, reverse=True)
        raise none_released(parent, [path for path, manifest in newest_first if manifest.waits_for_device])
    reasons = {folder: _reason(manifest) for folder, manifest in released}
    able = [(folder, manifest) for folder, manifest in released if not reasons[folder]]
    passed_over = [
        f"{folder.name} cannot run here: {reasons[folder]}"
        for folder, manifest in sorted(released, key=lambda item: _rank(item[1]), reverse=True)
        if reasons[folder]
    ]
    if not able:
        raise BundleError(
            f"no engine in {parent} can run here: {passed_over[0]}",
            hint="build one on this machine, rebuild one with sji-edge infer --rebuild, or name the engine",
        )
    folder, manifest = max(able, key=lambda item: _rank(item[1]))
    why = f"the newest released {manifest.backend} engine in {parent}/"
    if manifest.backend in FASTEST_FIRST:
        why += ", which is preferred to CPU engines on a machine with a GPU"
    better = [text for text, kind in zip(passed_over, _kinds(released, reasons), strict=True) if kind]
    return Choice(folder, "; ".join([why, *better[:1]]))


def _kinds(released: list[tuple[Path, Manifest]], reasons: dict[Path, str]) -> list[bool]:
    """Return for each skipped engine, best first, whether it is of a preferred kind."""
    ordered = sorted(released, key=lambda item: _rank(item[1]), reverse=True)
    return [manifest.backend in FASTEST_FIRST for folder, manifest in ordered if reasons[folder]]


def _rank(manifest: Manifest) -> tuple[int, str]:
    place = FASTEST_FIRST.index(manifest.backend) if manifest.backend in FASTEST_FIRST else len(FASTEST_FIRST)
    return -place, manifest.created_utc


def _reason(manifest: Manifest) -> str:
    try:
        return backend_of(manifest).incompatibility(manifest.precision, manifest.environment)
    except MissingExtraError as error:
        return f"{error.message}: {error.hint}"
    except SjiError as error:
        return error.message

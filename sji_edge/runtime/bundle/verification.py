"""Holding a bundle's folder to its manifest: every file there, none besides, each as it was written."""

from collections.abc import Sequence
from pathlib import Path

from sji_edge.core import run_files
from sji_edge.core.errors import BundleError, GateError, UsageError
from sji_edge.core.files import sha256_of
from sji_edge.runtime.bundle.manifest import (
    GOLDEN,
    MANIFEST,
    PARITY,
    REFERENCE,
    SIGNATURE,
    Manifest,
    ParityRecord,
)

REBUILD = "build it again with sji-edge build-engine"
LIST_ENGINES = "see what there is with sji-edge engine list, or make one with sji-edge build-engine"
MAX_LISTED = 5


def proof_on_device(folder: Path) -> str:
    """Return the next step with an engine that was built ahead of time and waits for its device."""
    return f"on the device that it is for: sji-edge engine release {folder}"


def none_released(parent: Path, waiting: Sequence[Path]) -> UsageError:
    """Return the error of a folder without a released engine.

    Args:
        parent: folder of all engines.
        waiting: the engines in it that wait for their device, the next to prove first.
    """
    if not waiting:
        return UsageError(f"no released engine in {parent}", hint="make one with sji-edge build-engine")
    wait = "1 waits for its device" if len(waiting) == 1 else f"{len(waiting)} wait for their devices"
    return UsageError(
        f"no released engine in {parent}; {wait}: {_listed([folder.name for folder in waiting])}",
        hint=proof_on_device(waiting[0]),
    )


def check_is_bundle(folder: Path) -> None:
    """Tell a bundle's folder from what a user names in its place; raises ``BundleError`` with the way from there."""
    if (folder / MANIFEST).exists():
        return
    if (folder / run_files.CARD).is_file():
        raise BundleError(
            f"{folder} is a run, no engine bundle", hint=f"make its engine: sji-edge build-engine {folder}"
        )
    if folder.is_dir():
        inside = sorted(mark.parent.name for mark in folder.glob(f"*/{MANIFEST}"))
        raise BundleError(
            f"{folder} is no engine bundle: it holds no {MANIFEST}",
            hint=f"name one of those in it: {_listed(inside)}" if inside else LIST_ENGINES,
        )
    if folder.exists():
        raise BundleError(
            f"{folder} is no engine bundle: not a folder", hint="name the folder that it lies in"
        )
    raise BundleError(f"there is no engine bundle {folder}", hint=LIST_ENGINES)


def check_files(folder: Path, manifest: Manifest) -> None:
    """Compare a folder's files with the manifest's list, sizes and hashes.

    Raises:
        BundleError: a file is altered, missing, not plain, or not listed.
        GateError: of all files only the parity record is missing.
    """
    present = {entry.name for entry in folder.iterdir()}
    extra = sorted(present - set(manifest.files) - {MANIFEST, SIGNATURE})
    if extra:
        raise BundleError(f"{folder} holds {_listed(extra)}, which the manifest does not list", hint=REBUILD)
    missing = sorted(set(manifest.files) - present)
    if missing == [PARITY]:
        raise GateError(f"{folder} is not released: it has no parity record", hint=REBUILD)
    if missing:
        raise BundleError(f"{folder} lacks {_listed(missing)}", hint="copy the whole folder again")
    for name, entry in manifest.files.items():
        path = plain_file(folder, name)
        size = path.stat().st_size
        if size != entry.size:
            raise BundleError(f"{path} was altered: {size} bytes, not {entry.size}", hint=REBUILD)
        if sha256_of(path) != entry.sha256:
            raise BundleError(f"{path} was altered: its sha256 is not the manifest's", hint=REBUILD)


def check_parity(folder: Path, manifest: Manifest, parity: ParityRecord) -> None:
    """Hold a parity record to the files, thresholds and release it was given for.

    Raises:
        BundleError: it belongs to something else. Both are written together, so one of them was altered.
    """
    wanted = {
        "another engine": (parity.engine_sha256, manifest.files[manifest.engine_file].sha256),
        "another reference": (parity.reference_sha256, manifest.files[REFERENCE].sha256),
        "other golden crops": (parity.golden_sha256, manifest.files[GOLDEN].sha256),
        "other thresholds": (parity.thresholds, manifest.thresholds),
        "other reference thresholds": (parity.reference_thresholds, manifest.reference_thresholds),
        "an engine that passed" if parity.passed else "an engine that failed": (
            parity.passed,
            manifest.released,
        ),
    }
    other = [what for what, (recorded, actual) in wanted.items() if recorded != actual]
    if other:
        raise BundleError(f"{folder} was altered: its parity record is for {_listed(other)}", hint=REBUILD)


def plain_file(folder: Path, name: str) -> Path:
    """Return a bundle's file, refusing whatever is not a plain file of the folder itself."""
    path = folder / name
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise BundleError(f"{path} is not a plain file", hint="copy the bundle's files themselves, not links")
    return path


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:MAX_LISTED]) + (
        f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    )

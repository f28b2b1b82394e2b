"""Verifies a bundle's folder against its manifest: no file is missing, extra or changed."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from sji_edge.core import run_files
from sji_edge.core.errors import BundleError, GateError, UsageError
from sji_edge.core.files import read_bounded
from sji_edge.runtime.bundle.manifest import (
    GOLDEN,
    MANIFEST,
    PARITY,
    REFERENCE,
    SIGNATURE,
    FileEntry,
    Manifest,
    ParityRecord,
)

REBUILD = "build it again with sji-edge build-engine"
LIST_ENGINES = "list the engines with sji-edge engine list, or build one with sji-edge build-engine"
MAX_LISTED = 5


def proof_on_device(folder: Path) -> str:
    """Return the next step for an engine that was built ahead of time and waits for its device."""
    return f"run sji-edge engine release {folder} on the device that the engine is for"


def none_released(parent: Path, waiting: Sequence[Path]) -> UsageError:
    """Return the error for a folder without a released engine.

    Args:
        parent: folder of all engines.
        waiting: the engines in it that wait for their device, newest first.
    """
    if not waiting:
        return UsageError(f"no released engine in {parent}", hint="build one with sji-edge build-engine")
    wait = (
        "1 is waiting for its device"
        if len(waiting) == 1
        else f"{len(waiting)} are waiting for their devices"
    )
    return UsageError(
        f"no released engine in {parent}; {wait}: {_listed([folder.name for folder in waiting])}",
        hint=proof_on_device(waiting[0]),
    )


def check_is_bundle(folder: Path) -> None:
    """Raise ``BundleError`` when a folder is not a bundle, with a hint that fits what it really is."""
    if (folder / MANIFEST).exists():
        return
    if (folder / run_files.CARD).is_file():
        raise BundleError(
            f"{folder} is a run, not an engine bundle",
            hint=f"build its engine with sji-edge build-engine {folder}",
        )
    if folder.is_dir():
        inside = sorted(mark.parent.name for mark in folder.glob(f"*/{MANIFEST}"))
        raise BundleError(
            f"{folder} is not an engine bundle: it holds no {MANIFEST}",
            hint=f"name one of the bundles in it: {_listed(inside)}" if inside else LIST_ENGINES,
        )
    if folder.exists():
        raise BundleError(
            f"{folder} is not an engine bundle: it is not a folder", hint="name the folder that holds it"
        )
    raise BundleError(f"there is no engine bundle {folder}", hint=LIST_ENGINES)


def check_files(folder: Path, manifest: Manifest) -> None:
    """Compare a folder's files with the manifest's list, sizes and hashes.

    Raises:
        BundleError: a file is altered, missing, not plain, or not listed.
        GateError: only the parity record is missing.
    """
    try:
        present = {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise BundleError(f"cannot read {folder}: {error.strerror}") from error
    extra = sorted(present - set(manifest.files) - {MANIFEST, SIGNATURE})
    if extra:
        raise BundleError(f"{folder} holds {_listed(extra)}, which its manifest does not list", hint=REBUILD)
    missing = sorted(set(manifest.files) - present)
    if missing == [PARITY]:
        raise GateError(f"{folder} is not released: it has no parity record", hint=REBUILD)
    if missing:
        raise BundleError(f"{folder} lacks {_listed(missing)}", hint="copy the whole folder again")
    for name, entry in manifest.files.items():
        verified_bytes(folder, name, entry)


def verified_bytes(folder: Path, name: str, entry: FileEntry) -> bytes:
    """Read a bundle's file once, and return its content if it matches the manifest.

    Args:
        folder: the bundle.
        name: the file.
        entry: its entry in the manifest.

    Raises:
        BundleError: the file is altered, not plain, or cannot be read.
    """
    path = plain_file(folder, name)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}") from error
    if size != entry.size:
        raise BundleError(
            f"{path} was altered: it has {size} bytes, the manifest says {entry.size}", hint=REBUILD
        )
    content = read_bounded(path, entry.size, error=BundleError)
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise BundleError(f"{path} was altered: its sha256 is not the manifest's", hint=REBUILD)
    return content


def check_parity(folder: Path, manifest: Manifest, parity: ParityRecord) -> None:
    """Check that a parity record belongs to a bundle's files, thresholds and release.

    Raises:
        BundleError: it belongs to something else. Both were written together, so one of them was altered.
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
    """Return a bundle's file; anything but a plain file in the folder itself is refused."""
    path = folder / name
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise BundleError(
            f"{path} is not a plain file", hint="copy the files of the bundle, not links to them"
        )
    return path


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:MAX_LISTED]) + (
        f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    )

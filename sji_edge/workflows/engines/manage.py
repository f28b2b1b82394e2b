"""What ``sji-edge engine`` does: lists, verifies, releases, packs, unpacks and signs engine bundles."""

from dataclasses import dataclass
from pathlib import Path

from sji_edge.core.errors import GateError, SjiError, UsageError
from sji_edge.core.extras import require
from sji_edge.parity.crops import golden_joints
from sji_edge.parity.run import ParityReport, run_parity
from sji_edge.runtime.bundle import archive
from sji_edge.runtime.bundle.bundle import (
    Bundle,
    backend_of,
    environment_changes,
    open_bundle,
    verify_bundle,
)
from sji_edge.workflows.artifacts import released_engine


@dataclass(frozen=True)
class Listed:
    """One folder of ``engines/``: its bundle, or the reason why it is not one."""

    folder: Path
    bundle: Bundle | None
    fault: str = ""


@dataclass(frozen=True)
class Verified:
    """A bundle that was verified on this machine.

    Attributes:
        bundle: the bundle.
        changes: what differs between this machine and the one that proved the engine.
        report: the engine compared with PyTorch on the golden crops, here.
        failures: why the engine must not be used here; empty if nothing is wrong.
    """

    bundle: Bundle
    changes: tuple[str, ...]
    report: ParityReport
    failures: tuple[str, ...]

    def require_pass(self) -> None:
        """Raise ``GateError`` when the engine must not be used here."""
        if not self.failures:
            return
        proven = self.report.result and self.bundle.manifest.waits_for_device
        raise GateError(
            f"{self.bundle.folder} fails: {'; '.join(self.failures)}",
            hint=f"release it here: sji-edge engine release {self.bundle.folder}"
            if proven
            else "rebuild it on this machine",
        )


def list_engines(engines: Path) -> list[Listed]:
    """Verify every bundle in a folder; one that cannot be opened does not hide the others.

    Raises:
        UsageError: the folder holds none.
    """
    folders = sorted(path for path in engines.glob("*") if path.is_dir() and not path.name.startswith("."))
    if not folders:
        raise UsageError(f"there is no engine in {engines}", hint="build one with sji-edge build-engine")
    return [_listed(folder) for folder in folders]


def _listed(folder: Path) -> Listed:
    try:
        return Listed(folder, verify_bundle(folder, require_released=False))
    except SjiError as error:
        return Listed(folder, None, error.message)


def state_of(bundle: Bundle) -> str:
    """Say in words whether a bundle is released, and whether it can run here."""
    manifest = bundle.manifest
    if manifest.waits_for_device:
        return (
            "not released yet; its parity check is waiting for the device: run sji-edge engine release there"
        )
    if not manifest.released:
        return "not released: it failed its parity gate"
    try:
        reason = backend_of(manifest).incompatibility(manifest.precision, manifest.environment)
    except SjiError as error:
        reason = error.message
    if reason:
        return f"released, but cannot run here: {reason}"
    return "released" + (", proven on another machine" if environment_changes(bundle) else "")


def shown_engine(folder: Path | None, engines: Path) -> Bundle:
    """Verify a bundle, whether or not it is released or can run here."""
    return verify_bundle(released_engine(folder, engines).folder, require_released=False)


def verify_engine(
    folder: Path | None = None,
    *,
    engines: Path = Path("engines"),
    require_signature: Path | None = None,
    threads: int = 0,
) -> Verified:
    """Verify a bundle on this machine: hashes, signature, compatibility, and a replay of its golden crops.

    Args:
        folder: the bundle; None: the newest released one that can run here.
        engines: folder of all engines.
        require_signature: a public key that must have signed the bundle.
        threads: CPU threads; 0 leaves the choice to the backend.

    Raises:
        UsageError: no engine is released, or ``require_signature`` is not a public key.
        BundleError: the bundle is altered, not signed by the key, or cannot run here.
        GateError: it has no parity record.
    """
    bundle = open_bundle(
        released_engine(folder, engines).folder, require_released=False, require_signature=require_signature
    )
    report = run_parity(bundle, golden_joints(bundle), threads)
    unreleased = () if bundle.manifest.released else ("it was never released",)
    return Verified(
        bundle=bundle,
        changes=tuple(environment_changes(bundle)),
        report=report,
        failures=(*unreleased, *report.result.failures),
    )


def pack_engine(
    folder: Path | None = None,
    target: Path | None = None,
    *,
    engines: Path = Path("engines"),
    require_signature: Path | None = None,
) -> Path:
    """Write a verified bundle into one file; see ``runtime.bundle.archive.pack``.

    Args:
        folder: the bundle; None: the newest released one that can run here.
        target: ``NAME.tar.zst`` or ``NAME.zip``; None: the bundle's name, in the working directory.
        engines: folder of all engines.
        require_signature: a public key that must have signed the bundle.

    Returns:
        The archive.
    """
    chosen = released_engine(folder, engines).folder
    path = target or Path(f"{chosen.resolve().name}.tar.zst")
    archive.pack(chosen, path, require_signature=require_signature)
    return path


def sign_engine(folder: Path, key: Path, passphrase: bytes | None = None) -> str:
    """Sign a released bundle: the manifest that was verified, which pins the hash of every file.

    Returns:
        The key's fingerprint.

    Raises:
        MissingExtraError: ``cryptography`` is not installed.
        BundleError: the bundle is altered.
        GateError: it is not released.
        UsageError: not a private key, or a wrong passphrase.
        OutputError: the folder cannot be written.
    """
    require("cryptography", purpose="signing an engine")
    from sji_edge.runtime.bundle import signature

    verified = verify_bundle(folder)
    return signature.sign(folder, verified.manifest_bytes, key, passphrase)

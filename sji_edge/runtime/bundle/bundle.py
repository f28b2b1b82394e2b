"""The engine bundle: written completely or not at all, verified before use, and free of code."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sji_edge.core.card import ModelCard, PreprocessSpec
from sji_edge.core.clock import Clock, SystemClock
from sji_edge.core.errors import BundleError, GateError, UsageError
from sji_edge.core.extras import installed, require
from sji_edge.core.files import new_folder, output_errors, read_bounded, sha256_of, write_atomic
from sji_edge.core.protocols import Backend, Engine
from sji_edge.core.verdict import Thresholds
from sji_edge.runtime import BACKENDS
from sji_edge.runtime.bundle.golden import Golden, parse_golden
from sji_edge.runtime.bundle.manifest import (
    GOLDEN,
    GRAPH,
    MANIFEST,
    MAX_JSON_BYTES,
    PARITY,
    REFERENCE,
    BundleFacts,
    FileEntry,
    Manifest,
    ParityRecord,
    parse_model,
)
from sji_edge.runtime.bundle.verification import (
    REBUILD,
    check_files,
    check_is_bundle,
    check_parity,
    plain_file,
    proof_on_device,
    verified_bytes,
)
from sji_edge.runtime.host_cpu import INT8_WEIGHT_BITS


@dataclass(frozen=True)
class Bundle:
    """A verified bundle: every file is what the manifest says."""

    folder: Path
    manifest: Manifest
    parity: ParityRecord
    manifest_bytes: bytes = field(repr=False, compare=False)
    """The manifest as it was verified, for a signature over it."""

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self.manifest.card

    @property
    def thresholds(self) -> Thresholds:
        """The deployed thresholds, for this engine's scores."""
        return self.manifest.thresholds

    @property
    def preprocess(self) -> PreprocessSpec:
        """The crop that the engine takes."""
        return self.card.preprocess

    @property
    def engine_sha256(self) -> str:
        """Hash of the engine file, which identifies the engine in every record."""
        return self.manifest.files[self.manifest.engine_file].sha256

    @property
    def engine_path(self) -> Path:
        """The engine file."""
        return self.folder / self.manifest.engine_file

    @property
    def reference_path(self) -> Path:
        """The FP32 graph that the engine was made from."""
        return self.folder / REFERENCE

    def content(self, name: str) -> bytes:
        """Read a listed file once and return the bytes that were checked against the manifest.

        Load these bytes, not the file: only they were verified.

        Args:
            name: a key of ``manifest.files``.

        Raises:
            BundleError: the file was altered since, or cannot be read.
        """
        return verified_bytes(self.folder, name, self.manifest.files[name])

    def golden(self) -> Golden:
        """Read the golden crops; raises ``BundleError`` when they do not fit the card."""
        return parse_golden(self.content(GOLDEN), self.folder / GOLDEN, self.card)

    def copy_into(self, folder: Path) -> None:
        """Write every listed file into a folder, as it was verified; raises ``BundleError`` as ``content``."""
        for name in self.manifest.files:
            (folder / name).write_bytes(self.content(name))


def write_bundle(
    folder: Path,
    facts: BundleFacts,
    *,
    reference: Path,
    engine: Path,
    golden: Path,
    parity: ParityRecord,
    extras: Mapping[str, Path] | None = None,
    clock: Clock | None = None,
) -> Bundle:
    """Write a bundle in one step and verify it; it may be for another machine than this one.

    Args:
        folder: ``engines/NAME``; must not exist yet.
        facts: what is known about the engine.
        reference: the FP32 ONNX graph.
        engine: the engine file; its suffix is kept.
        golden: the golden crops.
        parity: the record for exactly these files; the bundle is released when it passed.
        extras: other files by their names in the bundle, such as ``GRAPH`` and ``BUILD_LOG``.
        clock: for ``created_utc``.

    Raises:
        OutputError: ``folder`` exists, or cannot be written.
        BundleError: the parity record belongs to other files or thresholds.
    """
    engine_file = f"engine{engine.suffix}"
    sources = {REFERENCE: reference, engine_file: engine, GOLDEN: golden, **(extras or {})}
    with output_errors(folder), new_folder(folder) as partial:
        for name, source in sources.items():
            shutil.copyfile(source, partial / name)
        write_atomic(partial / PARITY, parity.model_dump_json(indent=2) + "\n")
        manifest = Manifest(
            **dict(facts),
            created_utc=(clock or SystemClock()).utc(),
            engine_file=engine_file,
            files={name: _entry(partial / name) for name in (*sources, PARITY)},
            released=parity.passed,
        )
        write_atomic(partial / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
        verify_bundle(partial, require_released=False)
    return verify_bundle(folder, require_released=False)


def open_bundle(
    folder: Path, *, require_released: bool = True, require_signature: Path | None = None
) -> Bundle:
    """Verify a bundle and open it. Nothing in it is executed, and nothing outside it is read.

    Args:
        folder: ``engines/NAME``.
        require_released: refuse an engine that failed its parity gate.
        require_signature: a public key; refuse a bundle that it did not sign.

    Raises:
        BundleError: as ``verify_bundle``, or made for a backend that cannot run here.
        GateError: the engine has no parity record, or it failed.
        UsageError: ``require_signature`` is not a public key.
    """
    bundle = verify_bundle(folder, require_released=require_released, require_signature=require_signature)
    manifest = bundle.manifest
    backend = backend_of(manifest)
    reason = backend.incompatibility(manifest.precision, manifest.environment)
    if reason:
        # If it cannot run here without a record either, rebuilding does not help.
        rebuildable = GRAPH in manifest.files and not backend.incompatibility(manifest.precision, {})
        hint = f"{REBUILD} on this machine"
        if rebuildable:
            hint = f"sji-edge engine release {folder} --rebuild on this machine"
        elif manifest.waits_for_device:
            hint = proof_on_device(folder)
        raise BundleError(f"{folder} cannot run here: {reason}", hint=hint)
    return bundle


def verify_bundle(
    folder: Path, *, require_released: bool = True, require_signature: Path | None = None
) -> Bundle:
    """Verify a bundle against its manifest, whatever machine it was made for; see ``open_bundle``.

    Raises:
        BundleError: not a bundle, of another schema, incomplete, altered, with an extra file, or not signed by
            ``require_signature``.
        GateError: the engine has no parity record, or it failed.
        UsageError: ``require_signature`` is not a public key.
    """
    check_is_bundle(folder)
    # Read once: these bytes are the ones that are verified, parsed and used.
    path = plain_file(folder, MANIFEST)
    manifest_bytes = read_bounded(path, MAX_JSON_BYTES, error=BundleError)
    if require_signature is not None:
        # Before anything in the bundle is parsed; cryptography is an extra.
        require("cryptography", purpose="checking an engine's signature")
        from sji_edge.runtime.bundle.signature import check_signature

        check_signature(folder, manifest_bytes, require_signature)
    manifest = parse_model(manifest_bytes, path, Manifest, "manifest")
    check_files(folder, manifest)
    record = verified_bytes(folder, PARITY, manifest.files[PARITY])
    parity = parse_model(record, folder / PARITY, ParityRecord, "parity record")
    check_parity(folder, manifest, parity)
    if require_released and not (manifest.released and parity.passed):
        reasons = "; ".join(parity.failures) or "the manifest says so"
        waits = manifest.waits_for_device
        hint = proof_on_device(folder) if waits else "sji-edge parity shows the comparison"
        raise GateError(f"{folder} is not released: {reasons}", hint=hint)
    return Bundle(folder, manifest, parity, manifest_bytes)


def backend_of(manifest: Manifest) -> Backend:
    """Return the backend that a manifest names; raises ``BundleError`` if there is no such backend."""
    try:
        backend: Backend = BACKENDS.get(manifest.backend)()
    except UsageError as error:
        raise BundleError(f"the bundle is for {error.message}", hint=error.hint) from error
    return backend


def open_engine(bundle: Bundle, threads: int = 0) -> Engine:
    """Load a bundle's engine from bytes that are verified as they are read.

    Args:
        bundle: a verified bundle.
        threads: CPU threads; 0 leaves the choice to the backend.

    Raises:
        BundleError: the engine file was altered since the bundle was verified, does not load, or does not take
            or give what the card says.
    """
    manifest = bundle.manifest
    engine = backend_of(manifest).open(
        bundle.engine_path,
        precision=manifest.precision,
        max_batch=manifest.max_batch,
        threads=threads,
        content=bundle.content(manifest.engine_file),
    )
    _check_against_card(engine, bundle.card, bundle.engine_path)
    return engine


def open_reference(bundle: Bundle, threads: int = 0) -> Engine:
    """Load a bundle's reference graph at FP32; raises as ``open_engine``.

    It runs in ONNX Runtime, so that the reference of an OpenVINO engine does not share its kernels; in OpenVINO where
    ONNX Runtime, an extra, is not installed.
    """
    backend: Backend = BACKENDS.get("onnxruntime" if installed("onnxruntime") else "openvino")()
    path = bundle.reference_path
    engine = backend.open(
        path,
        precision="fp32",
        max_batch=bundle.manifest.max_batch,
        threads=threads,
        content=bundle.content(REFERENCE),
    )
    _check_against_card(engine, bundle.card, path)
    return engine


def environment_changes(bundle: Bundle) -> list[str]:
    """Say what differs between this machine and the one that proved the engine's parity.

    An ONNX engine runs on both, but INT8 kernels round differently from one instruction set to another:
    ``sji-edge parity ENGINE --golden`` proves it again here. The number of weight bits is left out: it is a fact of
    the engine, not of a machine.
    """
    recorded, here = bundle.manifest.environment, dict(backend_of(bundle.manifest).environment())
    return [
        f"{key}: {recorded.get(key, 'none')} there, {here.get(key, 'none')} here"
        for key in sorted((recorded.keys() | here.keys()) - {INT8_WEIGHT_BITS})
        if recorded.get(key) != here.get(key)
    ]


def _check_against_card(engine: Engine, card: ModelCard, source: Path) -> None:
    found = (engine.spec.crop_shape, engine.spec.classes)
    wanted = (card.preprocess.shape, len(card.classes))
    if found != wanted:
        engine.close()
        raise BundleError(
            f"{source} takes {found[0]} crops and gives {found[1]} logits; "
            f"its card says {wanted[0]} and {wanted[1]}",
            hint=REBUILD,
        )


def _entry(path: Path) -> FileEntry:
    return FileEntry(sha256=sha256_of(path), size=path.stat().st_size)

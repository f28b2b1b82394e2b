"""Proves an engine on this machine and releases it here, unchanged or rebuilt from its graph.

An engine that was built without its card still waits for its device; one that was proven on another machine may not
even load here. Either way the engine gets its own bundle, ``NAME-DEVICE``, with this machine's parity record; the
bundle that it came from does not change.
"""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from sji_edge.core.errors import BundleError, UsageError
from sji_edge.core.files import check_new_folder
from sji_edge.core.protocols import Backend
from sji_edge.quantization.ladder import Candidate
from sji_edge.runtime.bundle.bundle import Bundle, backend_of, verify_bundle
from sji_edge.runtime.bundle.manifest import BUILD_LOG, GRAPH, LAYERS, REFERENCE
from sji_edge.runtime.host_cpu import INT8_WEIGHT_BITS
from sji_edge.workflows.build.trial import Workbench
from sji_edge.workflows.build.write_bundle import Built, extras_of, release

DEVICE_KEYS = ("gpu", "cpu")
DEFAULT_WEIGHT_BITS = 8


def device_name(backend: Backend) -> str:
    """Return this machine's device as part of a folder's name: ``nvidia-rtx-a2000``."""
    environment = backend.environment()
    device = next((environment[key] for key in DEVICE_KEYS if key in environment), "here")
    return re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")[:40] or "here"


def adopted_name(bundle: Bundle) -> str:
    """Return the name of the bundle that ``adopt`` makes from this one on this machine."""
    return f"{bundle.folder.resolve().name}-{device_name(backend_of(bundle.manifest))}"


def release_here(
    folder: Path,
    *,
    rebuild: bool = False,
    name: str = "",
    require_signature: Path | None = None,
    threads: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Built:
    """Verify a bundle, prove its engine on this machine and release it here; see ``adopt``.

    Args:
        folder: the bundle, released or not.
        rebuild: rebuild the engine for this device, from the bundle's graph.
        name: name of the new bundle; empty: the old name and this device's.
        require_signature: a public key that must have signed the bundle.
        threads: CPU threads; 0 leaves the choice to the backend.
        progress: receives each step in words.
    """
    verified = verify_bundle(folder, require_released=False, require_signature=require_signature)
    return adopt(verified, rebuild=rebuild, name=name, threads=threads, step=progress or (lambda _: None))


def adopt(
    bundle: Bundle,
    *,
    rebuild: bool,
    name: str = "",
    threads: int = 0,
    step: Callable[[str], None] = lambda _: None,
) -> Built:
    """Prove an engine here and write it as a bundle beside the one it came from; released when it passes.

    Args:
        bundle: a verified bundle, released or not.
        rebuild: rebuild the engine for this device, from the bundle's graph.
        name: name of the new bundle; empty: ``adopted_name``.
        threads: CPU threads; 0 leaves the choice to the backend.
        step: receives each step in words.

    Raises:
        UsageError: there is no graph to rebuild the engine from.
        BundleError: the engine cannot run here.
        OutputError: a bundle of that name exists, or the folder cannot be written.
    """
    manifest, backend = bundle.manifest, backend_of(bundle.manifest)
    _check(bundle, backend, rebuild=rebuild)
    parent = bundle.folder.resolve().parent
    check_new_folder(parent / (name or adopted_name(bundle)))
    with (
        tempfile.TemporaryDirectory(prefix="sji-edge-source-") as source,
        tempfile.TemporaryDirectory(prefix="sji-edge-adopt-") as folder,
    ):
        # Copies of the verified files: a file that is swapped in the bundle meanwhile is not used.
        bundle.copy_into(Path(source))
        engine_file = Path(source) / manifest.engine_file
        graph = Path(source) / GRAPH if GRAPH in manifest.files else engine_file
        candidate = Candidate(manifest.precision, manifest.precision, graph, dict(manifest.build))
        bench = Workbench(
            model=Path(source) / REFERENCE,
            backend=backend,
            card=bundle.card,
            golden=bundle.golden(),
            folder=Path(folder),
            step=step,
            max_batch=manifest.max_batch,
            threads=threads,
        )
        trial = bench.judge(candidate) if rebuild else bench.compare(candidate, engine_file, {})
        [kept] = bench.timed([trial])
        return release(
            bench,
            [kept],
            kept,
            engines=parent,
            name=name or adopted_name(bundle),
            calibration=manifest.calibration,
            weight_bits=int(manifest.environment.get(INT8_WEIGHT_BITS, DEFAULT_WEIGHT_BITS)),
            extras=extras_of(kept.engine_file, graph) if rebuild else _kept_extras(bundle, Path(source)),
        )


def _check(bundle: Bundle, backend: Backend, *, rebuild: bool) -> None:
    """Refuse an engine that cannot be rebuilt or run here."""
    manifest = bundle.manifest
    if rebuild and GRAPH not in manifest.files:
        raise UsageError(
            f"{bundle.folder} has no separate graph to rebuild from: its engine is the graph",
            hint="release it without rebuilding it",
        )
    recorded = {} if rebuild else manifest.environment
    if reason := backend.incompatibility(manifest.precision, recorded):
        able = GRAPH in manifest.files and not backend.incompatibility(manifest.precision, {})
        hint = "rebuild it for this machine" if able else "run this on the device that the engine is for"
        raise BundleError(f"{bundle.folder} cannot run here: {reason}", hint=hint)


def _kept_extras(bundle: Bundle, source: Path) -> dict[str, Path]:
    names = (GRAPH, BUILD_LOG, LAYERS)
    return {name: source / name for name in names if name in bundle.manifest.files}

"""Rebuilds an engine for this machine once; ``infer --rebuild`` does this before it opens the engine."""

from collections.abc import Callable
from pathlib import Path

from sji_edge.core.errors import GateError, UsageError
from sji_edge.core.extras import require
from sji_edge.runtime.bundle.bundle import backend_of, open_bundle, verify_bundle
from sji_edge.runtime.bundle.manifest import GRAPH, MANIFEST, Manifest, read_model
from sji_edge.workflows.engines.open import ChosenBundle
from sji_edge.workflows.engines.prove_here import adopt, adopted_name


def rebuilt_here(
    engine: Path | None,
    engines: Path,
    require_signature: Path | None = None,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> ChosenBundle:
    """Return an engine that runs here and passed its gate, rebuilt if necessary.

    That is the engine itself if it is released and can run here, or else the bundle that an earlier call made from it
    on this machine. Otherwise a new one is built from the graph in the bundle; it must pass the gate on this machine.

    Args:
        engine: the bundle; None: the newest in ``engines`` that holds a graph to rebuild from.
        engines: folder of all engines.
        require_signature: a public key; always refused, because a rebuilt engine is not signed.
        progress: receives each step in words.

    Raises:
        UsageError: there is nothing to rebuild, or a signature is required.
        GateError: the rebuilt engine fails its gate; it is kept but not released.
    """
    if require_signature is not None:
        raise UsageError(
            "a signature is required, but a rebuilt engine has none",
            hint="rebuild it with sji-edge engine release, then sign it with sji-edge engine sign",
        )
    source = verify_bundle(engine or _newest_with_graph(engines), require_released=False)
    manifest = source.manifest
    able = not backend_of(manifest).incompatibility(manifest.precision, manifest.environment)
    if able and manifest.released:
        return ChosenBundle(open_bundle(source.folder), "it runs here without a rebuild")
    kept = source.folder.resolve().parent / adopted_name(source)
    if kept.exists():
        return ChosenBundle(open_bundle(kept), f"{source.folder.name}, rebuilt on this machine before")
    require("onnx", purpose="rebuilding an engine")
    built = adopt(source, rebuild=not able, step=progress)
    if not built.bundle.manifest.released:
        raise GateError(
            f"{built.bundle.folder} is not released: {'; '.join(built.report.result.failures)}",
            hint="build a wider precision with sji-edge build-engine",
        )
    done = "proven" if able else "rebuilt"
    return ChosenBundle(built.bundle, f"{source.folder.name}, {done} on this machine now")


def _newest_with_graph(engines: Path) -> Path:
    found = [
        (manifest.created_utc, path.parent)
        for path in sorted(engines.glob(f"*/{MANIFEST}"))
        if not path.parent.name.startswith(".")
        and GRAPH in (manifest := read_model(path, Manifest, "manifest")).files
    ]
    if not found:
        raise UsageError(
            f"no engine in {engines} holds a graph to rebuild from",
            hint="build one with sji-edge build-engine for TensorRT",
        )
    return max(found)[1]

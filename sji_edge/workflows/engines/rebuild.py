"""``infer --rebuild``: an engine that was made for another device, made anew for this one, once."""

from pathlib import Path

from sji_edge.cli.render.common import console
from sji_edge.core.errors import GateError, UsageError
from sji_edge.core.extras import require
from sji_edge.runtime.bundle.bundle import Bundle, backend_of, open_bundle, verify_bundle
from sji_edge.runtime.bundle.manifest import GRAPH, MANIFEST, Manifest, read_model
from sji_edge.workflows.engines.prove_here import adopt, adopted_name


def rebuilt_here(engine: Path | None, engines: Path, require_signature: Path | None) -> tuple[Bundle, str]:
    """Return an engine that runs here and passed its gate, and why it is this one.

    The engine itself where it can run and is released; else the bundle that an earlier call made of it here; else
    a new one, from the graph in its bundle. A rebuilt engine goes through the gate on this machine before it is used.

    Args:
        engine: the bundle; None: the newest in ``engines`` that holds a graph to rebuild from.
        engines: folder of all engines.
        require_signature: a public key.

    Raises:
        UsageError: nothing to rebuild, or a signature is required: a rebuilt engine has none.
        GateError: the rebuilt engine fails its gate; it is kept, and not released.
    """
    if require_signature is not None:
        raise UsageError(
            "a rebuilt engine is not signed, and a signature is required",
            hint="rebuild it with sji-edge engine release, then sign it with sji-edge engine sign",
        )
    source = verify_bundle(engine or _newest_with_graph(engines), require_released=False)
    manifest = source.manifest
    able = not backend_of(manifest).incompatibility(manifest.precision, manifest.environment)
    if able and manifest.released:
        return open_bundle(source.folder), "it runs here as it is"
    kept = source.folder.resolve().parent / adopted_name(source)
    if kept.exists():
        return open_bundle(kept), f"{source.folder.name}, rebuilt on this machine before"
    require("onnx", purpose="infer --rebuild")
    with console().status("rebuilding") as status:
        built = adopt(source, rebuild=not able, step=lambda text: status.update(text))
    if not built.bundle.manifest.released:
        raise GateError(
            f"{built.bundle.folder} is not released: {'; '.join(built.report.result.failures)}",
            hint="build a wider precision with sji-edge build-engine",
        )
    return built.bundle, f"{source.folder.name}, {'proven' if able else 'rebuilt'} on this machine now"


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
            hint="build one with sji-edge build-engine --backend tensorrt or tensorrt-rtx",
        )
    return max(found)[1]

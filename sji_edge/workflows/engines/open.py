"""Opening the engine that is meant: chosen, verified, loaded. Nothing here can build one."""

from dataclasses import dataclass
from pathlib import Path

from sji_edge.core.protocols import Engine
from sji_edge.runtime.bundle.bundle import Bundle, open_bundle
from sji_edge.runtime.bundle.bundle import open_engine as load_engine
from sji_edge.workflows.artifacts import released_engine

ENGINES = Path("engines")


@dataclass(frozen=True)
class ChosenBundle:
    """A verified bundle that can run on this machine, and why it is this one, in words."""

    bundle: Bundle
    why: str


def choose_bundle(
    folder: Path | None = None, *, engines: Path = ENGINES, require_signature: Path | None = None
) -> ChosenBundle:
    """Choose a released engine bundle and verify it.

    Args:
        folder: the bundle; None: ``workflows.artifacts.released_engine`` chooses one.
        engines: folder of all engines.
        require_signature: a public key; a bundle that it did not sign is refused.

    Raises:
        UsageError: no engine is released, or ``require_signature`` is not a public key.
        BundleError: the bundle is altered, not signed by that key, or cannot run here.
        GateError: the engine has no parity record, or failed its gate.
    """
    choice = released_engine(folder, engines)
    return ChosenBundle(open_bundle(choice.folder, require_signature=require_signature), choice.why)


def open_engine(
    folder: str | Path | None = None,
    *,
    engines: str | Path = ENGINES,
    threads: int = 0,
    require_signature: str | Path | None = None,
) -> Engine:
    """Open a released engine, ready to judge crops; the caller closes it.

    Args:
        folder: the engine bundle; None: the newest released one in ``engines`` that can run on this machine.
        engines: folder of all engines.
        threads: CPU threads; 0 leaves the choice to the backend.
        require_signature: a public key (PEM); a bundle that it did not sign is refused.

    Returns:
        An engine that takes crops uint8 ``(n, height, width, channels)`` and gives logits float32 ``(n, classes)``.

    Raises:
        UsageError: no engine is released, or ``require_signature`` is not a public key.
        BundleError: the bundle is altered, not signed by that key, or cannot run here.
        GateError: the engine has no parity record, or failed its gate.
    """
    chosen = choose_bundle(
        None if folder is None else Path(folder),
        engines=Path(engines),
        require_signature=None if require_signature is None else Path(require_signature),
    )
    return load_engine(chosen.bundle, threads)

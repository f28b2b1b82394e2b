"""Chooses, verifies and loads an engine. Nothing here can build one."""

from dataclasses import dataclass
from pathlib import Path

from sji_edge.core.errors import RecipeError
from sji_edge.core.files import StrPath
from sji_edge.core.protocols import Engine
from sji_edge.core.text import listing
from sji_edge.recipe.board import Recipe
from sji_edge.runtime.bundle.bundle import Bundle, open_bundle
from sji_edge.runtime.bundle.bundle import open_engine as load_engine
from sji_edge.workflows.artifacts import released_engine

ENGINES = Path("engines")


@dataclass(frozen=True)
class ChosenBundle:
    """A verified bundle that can run on this machine.

    Attributes:
        bundle: the bundle.
        why: why this one was chosen, in words.
        signature_required: a required key signed it; a recipe may then only tighten its limits.
    """

    bundle: Bundle
    why: str
    signature_required: bool = False

    def check_recipe(self, recipe: Recipe) -> None:
        """If a signature is required, check that a recipe does not loosen the signed limits.

        A recipe is not signed itself. It may lower a joint's limits, which sends more joints to REVIEW and FAIL, but
        not raise them above the engine's.

        Raises:
            RecipeError: names the joints whose limits are looser.
        """
        signed = self.bundle.thresholds
        looser = [
            f"{joint.refdes} ({joint.lower:g}, {joint.upper:g})"
            for joint in recipe.joints
            if joint.lower is not None
            and joint.upper is not None
            and (joint.lower > signed.lower or joint.upper > signed.upper)
        ]
        if self.signature_required and looser:
            raise RecipeError(
                f"recipe {recipe.folder} has limits looser than the signed engine's "
                f"({signed.lower:g}, {signed.upper:g}): {listing(looser)}",
                hint="lower or remove these limits; where a signature is required, a recipe may only tighten limits",
            )


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
    bundle = open_bundle(choice.folder, require_signature=require_signature)
    return ChosenBundle(bundle, choice.why, signature_required=require_signature is not None)


def open_engine(
    folder: StrPath | None = None,
    *,
    engines: StrPath = ENGINES,
    threads: int = 0,
    require_signature: StrPath | None = None,
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

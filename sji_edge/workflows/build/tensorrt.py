"""Chooses TensorRT's batch to tune for, and the target cards on a machine without one."""

from dataclasses import dataclass
from pathlib import Path

from sji_edge.core.errors import UsageError
from sji_edge.recipe.board import Recipe
from sji_edge.runtime import BACKENDS
from sji_edge.runtime.tensorrt.compatibility import NONE
from sji_edge.runtime.tensorrt.options import DEFAULTS, TensorRtOptions

RTX = "tensorrt-rtx"


@dataclass(frozen=True)
class Targets:
    """The cards that an engine is built for on a machine without a GPU.

    ``capabilities`` are compute capabilities such as ``8.6``; ``by_default`` says that nobody chose them.
    """

    capabilities: tuple[str, ...]
    by_default: bool


def tuned_batches(text: str, max_batch: int, recipe: Path | None = None) -> tuple[int | None, int]:
    """Return the batch size to tune for, None for no preference, and the largest one.

    Args:
        text: ``OPT,MAX``, two whole numbers; empty: a recipe decides, or nothing does.
        max_batch: the largest batch size where ``text`` is empty.
        recipe: recipe folder; its number of joints is the batch of every board.

    Raises:
        UsageError: not two whole numbers, the first is greater than the second, or both ways are used.
        RecipeError: the recipe cannot be read.
    """
    if text and recipe is not None:
        raise UsageError("the batch size to tune for was given twice: as a batch and by a recipe")
    if recipe is not None:
        joints = len(Recipe.load(recipe).joints)
        return joints, max(joints, max_batch)
    if not text:
        return None, max_batch
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(part.isdecimal() and len(part) < 7 and int(part) > 0 for part in parts):
        raise UsageError(f"batch must be OPT,MAX, two whole numbers such as 64,128 (got {text!r})")
    tuned, greatest = map(int, parts)
    if tuned > greatest:
        raise UsageError(f"batch must be OPT,MAX with OPT not greater than MAX (got {text!r})")
    return tuned, greatest


def ahead_of_time(backend: str, options: TensorRtOptions | None) -> Targets | None:
    """Return the cards that an engine is built for ahead of time; called before the build, which takes minutes.

    Returns:
        None where the GPU of this machine is the target, and for other backends.

    Raises:
        EnvironmentMismatchError: TensorRT for RTX is not installed.
    """
    if backend != RTX:
        return None
    chosen = options or DEFAULTS
    environment = BACKENDS.get(RTX)(chosen).environment()
    if environment["gpu"] != NONE:
        return None
    named = tuple(environment.get("compute_capability", "").split())
    return Targets(named, by_default=not chosen.compute_capabilities)

"""All that a student is taught: the teachers' answers on views of each joint, and hints for its guard."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.preprocess import Image
from sji_edge.models.classifier import JointClassifier
from sji_edge.models.guard import Guard, GuardedClassifier, guard_layers
from sji_edge.training.distillation.hints import Hints, hints_of, read_hints, write_hints
from sji_edge.training.distillation.lessons import judge_views, read_logits, write_logits
from sji_edge.training.distillation.teachers import Teacher
from sji_edge.training.guard import cells_of
from sji_edge.training.settings import TrainSettings


@dataclass(frozen=True, eq=False)
class Teaching:
    """What the teachers said.

    Attributes:
        logits: float32 ``(joints, views, teachers, classes)``, as of ``judge_views``.
        hints: the first teacher's, for a guard; None for a student without one.
    """

    logits: NDArray[np.float32]
    hints: Hints | None


def teach(
    teachers: Sequence[Teacher],
    student: JointClassifier,
    images: Sequence[Image],
    good: NDArray[np.bool_],
    spec: PreprocessSpec,
    settings: TrainSettings,
    work: Path,
    progress: Callable[[str], None],
) -> Teaching:
    """Ask the teachers, and keep their answers for a resumed run.

    Args:
        teachers: at least one; of the same classes and crops.
        student: new, on the CPU.
        images: decoded training joints.
        good: which of them are, bool ``(n,)``.
        spec: their crop.
        settings: of the student.
        work: folder of the checkpoints.
        progress: told what is being done.

    Raises:
        UsageError: a teacher's logits are not finite.
    """
    logits = judge_views(
        teachers, images, spec, views=settings.teacher_views, seed=settings.seed, progress=progress
    )
    write_logits(work, logits)
    grid = _grid(student, spec) if settings.guard and good.any() else None
    hints = None
    if grid is not None:
        hints = hints_of(teachers[0], images, good, spec, grid, settings.seed, progress)
    if hints is not None:
        write_hints(work, hints)
    return Teaching(logits, hints)


def taught_before(work: Path, joints: int) -> Teaching:
    """Read what the teachers of an interrupted run said.

    Raises:
        UsageError: it is missing or damaged, or says something of another number of joints.
    """
    return Teaching(read_logits(work, joints), read_hints(work))


def _grid(student: JointClassifier, spec: PreprocessSpec) -> tuple[int, int] | None:
    """Return rows and columns of the maps that a guard looks at; None where there are none."""
    student.eval()
    layers, channels = guard_layers(student, spec.shape)
    if not layers:
        return None
    cells = cells_of(
        GuardedClassifier(student, Guard(channels, 1), layers), np.zeros((1, *spec.shape), np.uint8)
    )
    return cells.shape[2], cells.shape[3]

"""The lessons of a student: jittered views of every training joint, and what the teachers say of each.

The teachers judge each view once, before the training. A view is drawn from a seed of its own, so only the logits are
kept, and a training that is resumed needs neither the teachers nor the pictures of the views.
"""

import io
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from torch.utils.data import Dataset

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import UsageError
from sji_edge.core.files import write_atomic
from sji_edge.core.preprocess import Image
from sji_edge.data.jitter import TRAINING_JITTER, jittered_crop
from sji_edge.models.predict import logits_of
from sji_edge.training.distillation.teachers import Teacher

LOGITS = "teacher-logits.npy"
"""Beside the checkpoints of an unfinished run."""

CHUNK = 512
"""Views that the teachers judge at once: bounds the memory, whatever the number of joints."""


def view_of(image: Image, spec: PreprocessSpec, seed: int, joint: int, view: int) -> Image:
    """Return one of a joint's views, uint8 ``(h, w, c)``; the same numbers always give the same one."""
    return jittered_crop(image, spec, TRAINING_JITTER, np.random.default_rng((seed, joint, view)))


def judge_views(
    teachers: Sequence[Teacher],
    images: Sequence[Image],
    spec: PreprocessSpec,
    *,
    views: int,
    seed: int,
    progress: Callable[[str], None],
) -> NDArray[np.float32]:
    """Let every teacher judge every view of every joint.

    Args:
        teachers: of the same classes and crops.
        images: decoded training joints.
        spec: their crop.
        views: how many of each joint.
        seed: of the views.
        progress: told what is done, and when a quarter of it is.

    Returns:
        Logits, float32 ``(joints, views, teachers, classes)``.

    Raises:
        UsageError: a teacher's logits are not finite.
    """
    total = len(images) * views
    parts = []
    for start in range(0, total, CHUNK):
        crops = np.stack(
            [
                view_of(images[index // views], spec, seed, index // views, index % views)
                for index in range(start, min(start + CHUNK, total))
            ]
        )
        parts.append(np.stack([logits_of(teacher.model, crops) for teacher in teachers], axis=1))
        if 4 * (start + CHUNK) // total > 4 * start // total:
            progress(f"teachers judged {min(start + CHUNK, total)} of {total} views")
    logits = np.concatenate(parts).reshape(len(images), views, len(teachers), -1)
    for number, teacher in enumerate(teachers):
        if not np.isfinite(logits[:, :, number]).all():
            raise UsageError(
                f"the teacher {teacher.folder} gives logits that are not finite", hint="train it again"
            )
    return logits


def write_logits(work: Path, logits: NDArray[np.float32]) -> None:
    """Keep the teachers' logits beside the checkpoints."""
    content = io.BytesIO()
    np.save(content, logits, allow_pickle=False)
    write_atomic(work / LOGITS, content.getvalue())


def read_logits(work: Path, joints: int) -> NDArray[np.float32]:
    """Read the logits that ``write_logits`` kept.

    Raises:
        UsageError: they are missing or damaged, or are not those of this many joints.
    """
    path = work / LOGITS
    try:
        logits = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        logits = None
    if not isinstance(logits, np.ndarray) or logits.ndim != 4 or len(logits) != joints:
        raise UsageError(
            f"the run cannot be resumed: {path} is missing or damaged",
            hint=f"remove {work} and start the run again",
        )
    return logits


class Lessons(Dataset[tuple[torch.Tensor, int, torch.Tensor]]):
    """Each access returns one of a joint's views at random, its class, and what the teachers say of that view.

    Args:
        images: decoded joints, kept in memory.
        labels: int64 ``(n,)``.
        spec: the crop's size and channels.
        logits: the teachers', float32 ``(n, views, teachers, classes)``, as of ``judge_views``.
        seed: of the views, the one that the teachers saw.
        temperature: softens the teachers' answers.

    Random numbers come from PyTorch's generator, so ``seed_everything(workers=True)`` makes them repeatable.
    """

    def __init__(
        self,
        images: Sequence[Image],
        labels: NDArray[np.int64],
        spec: PreprocessSpec,
        logits: NDArray[np.float32],
        *,
        seed: int,
        temperature: float,
    ) -> None:
        if not len(images) == len(labels) == len(logits):
            raise ValueError(
                f"{len(images)} images, {len(labels)} labels and answers on {len(logits)} joints; "
                "there must be one of each"
            )
        self._images = images
        self._labels = labels
        self._spec = spec
        self._seed = seed
        # What several teachers say together is the mean of their probabilities.
        soft = functional.softmax(torch.from_numpy(logits) / temperature, dim=-1)
        self._answers = soft.mean(dim=2)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int, torch.Tensor]:
        """Return the crop, uint8 ``(h, w, c)``, the class index and probabilities, float ``(classes,)``."""
        view = int(torch.randint(self._answers.shape[1], ()))
        crop = view_of(self._images[index], self._spec, self._seed, index, view)
        return torch.from_numpy(crop), int(self._labels[index]), self._answers[index, view]

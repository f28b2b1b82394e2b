"""What a student is told for its guard's sake: pictures, and the cells in which its teacher's guard sees them.

A guard needs features that tell what no training set shows, and a small network without pretraining has none of its
own. It learns to predict its teacher's, on views of the training joints and on made-up novelties, and to tell the two
apart (FitNets: Romero et al., ICLR 2015, arXiv 1412.6550; against novelties: Bergmann et al., CVPR 2020, arXiv
1911.02357).
"""

import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import UsageError
from sji_edge.core.files import write_atomic
from sji_edge.core.preprocess import Image
from sji_edge.data.folder import crops_of
from sji_edge.data.jitter import TRAINING_JITTER, jittered_crops
from sji_edge.data.novelties import novelty
from sji_edge.models.guard import Guard, GuardedClassifier, guard_layers
from sji_edge.training.distillation.teachers import Teacher
from sji_edge.training.guard import UNKNOWN, cells_of

VIEWS, NOVELTIES = 2500, 5000
"""Pictures of each kind, at most: they bound time and memory, whatever the number of joints."""
NOVELTIES_EACH = 8

HINTS = "teacher-hints.npz"
"""Beside the checkpoints of an unfinished run."""
ARRAYS = ("pictures", "cells", "changed", "novel")


@dataclass(frozen=True, eq=False)
class Hints:
    """Pictures and what a teacher's guard layers make of them.

    Attributes:
        pictures: crops, uint8 ``(n, h, w, c)``.
        cells: the teacher's cells, float16 ``(n, fine + coarse, rows, columns)``.
        changed: share of each cell that shows no good joint, float32 ``(n, 1, rows, columns)``.
        novel: which pictures show no good joint, bool ``(n,)``.
        fine: how many channels of the cells come from the finer map.
    """

    pictures: NDArray[np.uint8]
    cells: NDArray[np.float16]
    changed: NDArray[np.float32]
    novel: NDArray[np.bool_]
    fine: int

    @property
    def channels(self) -> tuple[int, int]:
        """Channels of the cells, those of the finer and of the coarser map."""
        return self.fine, self.cells.shape[1] - self.fine

    def __deepcopy__(self, _memo: object) -> "Hints":
        """Return itself: the averaged copy of a training module needs no second set."""
        return self

    def draw(self, count: int) -> "Drawn":
        """Return some of them, drawn by PyTorch's generator."""
        chosen = torch.randint(len(self.pictures), (count,)).numpy()
        return Drawn(
            torch.from_numpy(self.pictures[chosen]),
            torch.from_numpy(self.cells[chosen]).float(),
            torch.from_numpy(self.changed[chosen]),
            torch.from_numpy(self.novel[chosen]).float(),
        )


class Drawn(NamedTuple):
    """Some pictures, uint8, and what ``Hints`` says of each, float32."""

    pictures: torch.Tensor
    cells: torch.Tensor
    changed: torch.Tensor
    novel: torch.Tensor


def hints_of(
    teacher: Teacher,
    images: Sequence[Image],
    good: NDArray[np.bool_],
    spec: PreprocessSpec,
    grid: tuple[int, int],
    seed: int,
    progress: Callable[[str], None],
) -> Hints | None:
    """Let a teacher look at views of the training joints, and at novelties made of the good ones.

    Args:
        teacher: whose guard layers look.
        images: decoded training joints.
        good: which of them are, bool ``(n,)``; at least one.
        spec: the crops.
        grid: rows and columns of the student's coarser map; a teacher's other grid is averaged to it.
        seed: of views and novelties.
        progress: told what is being done, and if this teacher has no layer that a guard could look at.
    """
    layers, channels = guard_layers(teacher.model, spec.shape)
    if not layers:
        progress(f"no hints: {teacher.card.architecture} has no feature map that a guard could look at")
        return None
    progress("hints: showing views and novelties to the teacher")
    rng = np.random.default_rng((seed, 0))
    chosen = rng.permutation(len(images))[:VIEWS]
    shown = [images[index] for index in chosen]
    repeats = max(1, VIEWS // len(shown))
    views = np.concatenate([jittered_crops(shown, spec, TRAINING_JITTER, rng) for _ in range(repeats)])
    whole = [images[index] for index in np.flatnonzero(good)[:VIEWS]]
    plain = np.concatenate([crops_of(whole, spec), jittered_crops(whole, spec, TRAINING_JITTER, rng)])
    count = min(NOVELTIES_EACH * len(whole), NOVELTIES)
    novelties = [novelty(plain, int(rng.integers(len(plain))), rng) for _ in range(count)]
    pictures = np.concatenate([views, np.stack([picture for picture, _ in novelties])])
    # Where a defect lies is not known.
    shares = np.where(np.tile(good[chosen], repeats), 0.0, UNKNOWN)[:, None, None, None]
    masks = torch.from_numpy(np.stack([mask for _, mask in novelties]))[:, None]
    changed = np.concatenate(
        [
            np.broadcast_to(shares, (len(views), 1, *grid)),
            F.interpolate(masks, size=grid, mode="area").numpy(),
        ]
    )
    looking = GuardedClassifier(teacher.model, Guard(channels, 1), layers).eval()
    cells = cells_of(looking, pictures)
    if tuple(cells.shape[2:]) != grid:
        cells = F.adaptive_avg_pool2d(cells.float(), grid).half()
    novel = np.concatenate([np.tile(~good[chosen], repeats), np.ones(count, bool)])
    return Hints(pictures, cells.numpy(), changed.astype(np.float32), novel, channels[0])


def write_hints(work: Path, hints: Hints) -> None:
    """Keep the hints beside the checkpoints, so that a resumed run needs no teacher."""
    content = io.BytesIO()
    np.savez(content, **{name: getattr(hints, name) for name in ARRAYS}, fine=hints.fine)
    write_atomic(work / HINTS, content.getvalue())


def read_hints(work: Path) -> Hints | None:
    """Read what ``write_hints`` kept; None where the run was started without hints.

    Raises:
        UsageError: they are damaged.
    """
    path = work / HINTS
    if not path.exists():
        return None
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
            return Hints(**{name: kept[name] for name in ARRAYS}, fine=int(kept["fine"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(
            f"the run cannot be resumed: {path} is damaged",
            hint=f"remove {work} and start the run again",
        ) from error

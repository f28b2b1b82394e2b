"""Fitting the guard to a trained model: prototypes of good joints, and a detector taught on made-up novelties.

The classifier stays as it is: its feature maps are computed once, and only the guard's own 30,000 weights are trained.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.features import CELL_FEATURES
from sji_edge.core.preprocess import Image
from sji_edge.data.folder import FolderDataset, crops_of
from sji_edge.data.jitter import TRAINING_JITTER, jittered_crops
from sji_edge.data.novelties import novelty
from sji_edge.data.views import other_views
from sji_edge.models.classifier import JointClassifier
from sji_edge.models.guard import Guard, GuardedClassifier, Regressor, guard_layers, tapped

PROTOTYPES = 160
MEMORY_CELLS = 20_000
MAX_GOOD = 5000
NOVELTIES_EACH, MAX_NOVELTIES = 8, 5000
LINE_REPEATS = 2
"""A line's joints count as often as this: they are fewer than the dataset's views, and what the guard will see."""
LINE_NOVELTIES_EACH, MAX_LINE_NOVELTIES = 5, 4000

DEFECT_VIEWS = 3
"""Known defects are unlike good joints, too: this often each is shown to the detector as a whole."""
EPOCHS = 6
BATCH = 128
LEARNING_RATE = 4e-3
WEIGHT_DECAY = 1e-2
SURELY_CHANGED, SURELY_KEPT = 0.3, 0.02
"""A cell teaches the detector when more, or less, than this share of it was changed; those between do not."""
UNKNOWN = (SURELY_CHANGED + SURELY_KEPT) / 2
MAX_CELL_BYTES = 512_000_000
USUAL, UNUSUAL = 0.5, 0.99
"""Quantiles of good validation views that novelty 0 and 1 stand for."""

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class LineJoints:
    """What a line shows, cut by its recipe from enrolled boards; uint8 ``(n, h, w, c)`` each.

    Attributes:
        good: good joints to teach the guard with.
        held_out: good joints of other boards, which only say what is usual.
        backgrounds: places of the boards without a joint.
    """

    good: NDArray[np.uint8]
    held_out: NDArray[np.uint8]
    backgrounds: NDArray[np.uint8]


def guard_of(
    model: JointClassifier,
    dataset: FolderDataset,
    images: Mapping[str, Sequence[Image]],
    spec: PreprocessSpec,
    seed: int,
    progress: Say = lambda _: None,
    line: LineJoints | None = None,
    regressor: Regressor | None = None,
) -> GuardedClassifier | None:
    """Fit a guard to good and defective training joints, scaled by views of good validation joints.

    Args:
        model: the trained classifier, on the CPU.
        dataset: opened with train and validation.
        images: of these splits, uint8 grey or BGR.
        spec: the model's crops.
        seed: see ``fit_guard``.
        progress: told what is being done, and if the architecture can have no guard.
        line: see ``fit_guard``.
        regressor: see ``fit_guard``.
    """
    good = dataset.classes.index(dataset.good_class)

    def of(split: str, *, wanted: bool) -> list[Image]:
        labels = dataset.labels(split) == good
        return [image for image, is_good in zip(images[split], labels, strict=True) if is_good == wanted]

    usual = other_views(of("validation", wanted=True), spec, seed)
    taught, defects = of("train", wanted=True), of("train", wanted=False)
    guarded = fit_guard(
        model, taught, defects, usual, spec, seed=seed, line=line, regressor=regressor, progress=progress
    )
    if guarded is None:
        progress(f"no guard: {model.architecture} has no feature map that it could look at")
    return guarded


def fit_guard(
    model: JointClassifier,
    good: list[Image],
    defects: list[Image],
    usual: NDArray[np.uint8],
    spec: PreprocessSpec,
    *,
    seed: int,
    line: LineJoints | None = None,
    regressor: Regressor | None = None,
    progress: Say = lambda _: None,
) -> GuardedClassifier | None:
    """Fit a guard.

    Args:
        model: the trained classifier, on the CPU.
        good: images of good training joints, uint8 grey or BGR.
        defects: images of defective training joints; may be empty.
        usual: crops of good validation joints that say what is usual, uint8 ``(n, h, w, c)``.
        spec: the model's crops.
        seed: of views, novelties and the detector.
        line: joints as the line shows them; None: the guard knows the dataset only.
        regressor: what a student was taught of its teacher's cells; None: the guard looks at the model's own maps.
        progress: told what is being done.

    Returns:
        The classifier with its guard, or None where the architecture has no feature map to look at.
    """
    model.eval()
    layers, channels = guard_layers(model, spec.shape)
    if not layers:
        return None
    if regressor is not None:
        channels = regressor.channels
    rng = np.random.default_rng(seed)
    guarded = GuardedClassifier(model, Guard(channels, PROTOTYPES, regressor), layers).eval()
    progress("guard: drawing novelties")
    plain = crops_of(good, spec)
    views = max(1, min(6, MAX_GOOD // len(plain)))
    shown = np.concatenate([plain, *(jittered_crops(good, spec, TRAINING_JITTER, rng) for _ in range(views))])
    grid, bytes_each = _grid(guarded, shown[:1])
    most = max(200, MAX_CELL_BYTES // bytes_each)
    shown = shown[: most // 2]
    count = min(NOVELTIES_EACH * len(plain), MAX_NOVELTIES, most // 2)
    made = [novelty(shown, int(rng.integers(len(shown))), rng) for _ in range(count)]
    if line is not None:
        count = min(LINE_NOVELTIES_EACH * len(line.good), MAX_LINE_NOVELTIES, most // 2)
        backgrounds = line.backgrounds if len(line.backgrounds) else None
        made += [
            novelty(line.good, int(rng.integers(len(line.good))), rng, backgrounds) for _ in range(count)
        ]
        shown = np.concatenate([shown, *[line.good] * LINE_REPEATS])
    novel = np.stack([crop for crop, _ in made])
    masks = torch.from_numpy(np.stack([mask for _, mask in made]))[:, None]
    progress("guard: computing feature maps")
    good_cells, novel_cells = cells_of(guarded, shown), cells_of(guarded, novel)
    changed = F.interpolate(masks, size=grid, mode="area")
    if len(defects):
        bad = np.concatenate(
            [jittered_crops(defects, spec, TRAINING_JITTER, rng) for _ in range(DEFECT_VIEWS)]
        )
        novel_cells = torch.cat([novel_cells, cells_of(guarded, bad)])
        # Where a defect lies is not known: it teaches as a whole only.
        unknown = torch.full((len(bad), 1, *grid), UNKNOWN)
        changed = torch.cat([changed, unknown])
    guarded.guard.prototypes = prototypes_of(good_cells[:, channels[0] :], PROTOTYPES, rng)
    _standardise(guarded.guard, good_cells, novel_cells)
    progress("guard: training the detector")
    _train_detector(guarded.guard, good_cells, novel_cells, changed, seed)
    calibrate(guarded, [usual] if line is None else [usual, line.held_out])
    return guarded


@torch.inference_mode()
def cells_of(guarded: GuardedClassifier, crops: NDArray[np.uint8], batch: int = 64) -> torch.Tensor:
    """Return the guard's cells of crops, float16 ``(n, channels, h, w)``."""
    parts = []
    for start in range(0, len(crops), batch):
        with tapped(guarded.classifier, guarded.layers) as maps:
            guarded.classifier(torch.from_numpy(crops[start : start + batch]))
        parts.append(guarded.guard.cells([maps[name] for name in guarded.layers]).half())
    return torch.cat(parts)


def prototypes_of(cells: torch.Tensor, count: int, rng: np.random.Generator) -> torch.Tensor:
    """Choose prototypes by greedy k-centre: each the cell that is furthest from all chosen before.

    Args:
        cells: ``(n, channels, h, w)``, each cell of length 1.
        count: how many to choose.
        rng: picks the cells to choose from, ``MEMORY_CELLS`` at most.

    Returns:
        float32 ``(count, channels)``.
    """
    flat = cells.flatten(2).transpose(1, 2).flatten(0, 1)
    picked = torch.from_numpy(rng.permutation(len(flat))[:MEMORY_CELLS])
    flat = flat[picked].float()
    chosen = [0]
    nearest = flat @ flat[0]
    while len(chosen) < min(count, len(flat)):
        chosen.append(int(nearest.argmin()))
        nearest = torch.maximum(nearest, flat @ flat[chosen[-1]])
    kept = flat[chosen]
    return kept if len(kept) == count else kept[torch.arange(count) % len(kept)]


@torch.inference_mode()
def calibrate(guarded: GuardedClassifier, usual: Sequence[NDArray[np.uint8]]) -> None:
    """Scale both measures so that the median of usual good joints is 0 and their 99 % quantile is 1.

    Of several groups, each with its own quantile, the largest counts.

    Args:
        guarded: its guard is changed.
        usual: crops of good joints, uint8 ``(n, h, w, c)`` each group.
    """
    lows, highs = [], []
    for crops in usual:
        cells = cells_of(guarded, crops)
        measures = torch.cat([guarded.guard.measures(part.float()) for part in torch.split(cells, 256)])
        low, high = torch.quantile(measures, torch.tensor([USUAL, UNUSUAL]), dim=0)
        lows.append(low)
        highs.append(high)
    low, high = lows[0], torch.stack(highs).amax(dim=0)
    guarded.guard.offset.copy_(low)
    guarded.guard.scale.copy_(1.0 / (high - low).clamp_min(1e-6))


def _grid(guarded: GuardedClassifier, crops: NDArray[np.uint8]) -> tuple[tuple[int, int], int]:
    cells = cells_of(guarded, crops)
    return (cells.shape[2], cells.shape[3]), cells[0].numel() * cells.element_size()


def _standardise(guard: Guard, good: torch.Tensor, novel: torch.Tensor) -> None:
    """Set mean and deviation of the cells, and the projection that makes features of them.

    Features are the principal components of good cells, each scaled to unit variance.
    """
    cells = torch.cat([good, novel])
    sample = cells[:: max(1, len(cells) // 2000)].float()
    guard.mean.copy_(sample.mean(dim=(0, 2, 3)))
    guard.deviation.copy_(sample.std(dim=(0, 2, 3)) + 1e-4)
    usual = good[:: max(1, len(good) // 2000)].float().transpose(0, 1).flatten(1)
    variances, directions = torch.linalg.eigh(torch.cov(usual))
    first = min(CELL_FEATURES, len(variances))
    scaled = directions[:, -first:] / (variances[-first:].clamp_min(0.0) + 1e-6).sqrt()
    guard.projection.zero_()
    guard.projection[:first] = scaled.T.flip(0)


def _train_detector(
    guard: Guard, good: torch.Tensor, novel: torch.Tensor, changed: torch.Tensor, seed: int
) -> None:
    """Teach the detector which cells were changed, and which crops are novel; the guard's mean must be set."""
    cells = torch.cat([good, novel])
    changed = torch.cat([torch.zeros(len(good), *changed.shape[1:]), changed])
    is_novel = torch.cat([torch.zeros(len(good)), torch.ones(len(novel))])
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for layer in guard.detector:
            if isinstance(layer, nn.Conv2d):
                layer.reset_parameters()
    optimiser = torch.optim.AdamW(guard.detector.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps = EPOCHS * -(-len(cells) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
    for _ in range(EPOCHS):
        for chosen in torch.split(torch.randperm(len(cells), generator=generator), BATCH):
            loss = detector_loss(guard, cells[chosen].float(), changed[chosen], is_novel[chosen])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    guard.detector.requires_grad_(False)


def detector_loss(
    guard: Guard, cells: torch.Tensor, changed: torch.Tensor, is_novel: torch.Tensor
) -> torch.Tensor:
    """Return the detector's loss, a scalar: half of it by cell, the rest by crop, each a cross-entropy in nats.

    Args:
        guard: its mean and deviation must be set.
        cells: float ``(n, c, h, w)``.
        changed: share of each cell that was changed, float ``(n, 1, h, w)``.
        is_novel: 1 for a crop that is no good joint, otherwise 0, float ``(n,)``.
    """
    logits = guard.detect(cells)
    sure = ((changed > SURELY_CHANGED) | (changed < SURELY_KEPT)).float()
    by_cell = F.binary_cross_entropy_with_logits(logits, (changed > SURELY_CHANGED).float(), weight=sure)
    by_crop = F.binary_cross_entropy_with_logits(guard.worst(logits.flatten(1)), is_novel)
    return 0.5 * by_cell + by_crop

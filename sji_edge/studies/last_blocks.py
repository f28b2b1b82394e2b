"""Quick preset: compute the trunk's activations once, and train only the last blocks on them in each trial."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import EnvironmentMismatchError
from sji_edge.core.files import new_folder
from sji_edge.data.folder import FolderDataset, channels_of, crops_of
from sji_edge.data.jitter import TRAINING_JITTER, jittered_crops
from sji_edge.losses.build import build_loss
from sji_edge.losses.joint_loss import JointLoss
from sji_edge.models.backbones import has_local_imagenet
from sji_edge.models.classifier import JointClassifier
from sji_edge.models.features import FeatureTap
from sji_edge.models.split import split_last_blocks
from sji_edge.studies.settings import Budget
from sji_edge.studies.trials import TrialSpec
from sji_edge.training.averaging import ema_decay
from sji_edge.training.optimizer import adamw_one_cycle
from sji_edge.training.trainer import TrainingDivergedError

TRUNK_SEED = 0
VIEW_SEED = 0
BATCH = 64
FOLDER = ".activations"
Halves = NDArray[np.float16]


@dataclass(frozen=True)
class Activations:
    """Output of the frozen trunk, float16: ``train`` is ``(views, n, …)``, the others are ``(n, …)``."""

    train: Halves
    validation: Halves
    test: Halves


def prepare_activations(
    out: Path, dataset: FolderDataset, sha256: str, backbone: str, budget: Budget
) -> Path:
    """Compute a backbone's activations unless their folder exists; return the folder.

    All methods and seeds of a study share the same views.

    Raises:
        EnvironmentMismatchError: the ImageNet weights are not on this machine; a frozen trunk would be random.
        UsageError: the architecture's last blocks cannot be trained alone.
    """
    key = hashlib.sha256(f"{sha256} {backbone} {budget.model_dump_json()}".encode()).hexdigest()[:10]
    folder = out / FOLDER / f"{backbone}-{key}"
    if folder.is_dir():
        return folder
    images = {split: dataset.read(split) for split in dataset.splits}
    channels = channels_of(images["train"])
    trunk = _split(backbone, len(dataset.classes), channels, budget)[0].to(_device())
    spec = _spec(channels, budget)
    rng = np.random.default_rng(VIEW_SEED)
    with new_folder(folder) as partial:
        views = [
            _activations(trunk, jittered_crops(images["train"], spec, TRAINING_JITTER, rng))
            for _ in range(budget.cached_views)
        ]
        np.save(partial / "train.npy", np.stack(views))
        for split in ("validation", "test"):
            np.save(partial / f"{split}.npy", _activations(trunk, crops_of(images[split], spec)))
    return folder


def read_activations(folder: Path) -> Activations:
    """Memory-map the activations in a folder of ``prepare_activations``."""
    train, validation, test = (
        np.load(folder / f"{split}.npy", mmap_mode="r") for split in ("train", "validation", "test")
    )
    return Activations(train, validation, test)


def train_tail(
    spec: TrialSpec, dataset: FolderDataset, activations: Activations
) -> dict[str, NDArray[np.float32]]:
    """Train the last blocks and the head with a trial's loss, and return the held-out logits, float32 ``(n, classes)``.

    Uses AdamW with a one-cycle schedule and averages the last weights; the last epoch is used, none is selected.

    Raises:
        TrainingDivergedError: a logit is not finite.
    """
    device = _device()
    # The number of channels matters to the trunk's stem only, which is not part of the tail.
    tail = _split(spec.backbone, len(dataset.classes), 1, spec.budget)[1].to(device)
    torch.manual_seed(spec.seed)
    head = [module for module in tail.modules() if isinstance(module, nn.Linear)][-1]
    head.reset_parameters()
    average = _fit(
        tail, build_loss(spec.loss, spec.options), spec, dataset.labels("train"), activations.train
    )
    logits = {
        "validation": _logits(average, activations.validation),
        "test": _logits(average, activations.test),
    }
    if not all(np.isfinite(values).all() for values in logits.values()):
        raise TrainingDivergedError(
            f"trial {spec.name} diverged: its logits are not finite", hint="try a smaller learning rate"
        )
    return logits


def _fit(
    tail: nn.Sequential, criterion: JointLoss, spec: TrialSpec, labels: NDArray[np.int64], views: Halves
) -> nn.Module:
    budget, joints = spec.budget, len(labels)
    batches = max(1, joints // budget.batch_size)
    optimizer, schedule = adamw_one_cycle(
        tail,
        learning_rate=spec.learning_rate,
        weight_decay=budget.weight_decay,
        steps=budget.epochs * batches,
    )
    decay = ema_decay(budget.epochs * batches)
    averaging = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    average = AveragedModel(tail, multi_avg_fn=averaging, use_buffers=True)
    tap = FeatureTap(tail, spec.backbone) if criterion.needs_features else None
    device, rng = _device(), np.random.default_rng(spec.seed)
    tail.train()
    for _ in range(budget.epochs):
        order, view = rng.permutation(joints), rng.integers(len(views), size=joints)
        for batch in np.array_split(order[: batches * budget.batch_size], batches):
            inputs = torch.from_numpy(views[view[batch], batch].astype(np.float32)).to(device)
            targets = torch.from_numpy(labels[batch]).to(device)
            outputs = tail(inputs)
            loss = criterion(outputs, targets, tap.take() if tap else None)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            average.update_parameters(tail)
    return average.eval()


def _split(backbone: str, classes: int, channels: int, budget: Budget) -> tuple[nn.Sequential, nn.Sequential]:
    assert budget.trained_blocks is not None
    if not has_local_imagenet(backbone):
        raise EnvironmentMismatchError(
            f"the ImageNet weights of {backbone} are not on this machine, so its frozen trunk would be random",
            hint="choose efficientnet_lite0, 1 or 2, whose weights are packaged, or the preset full",
        )
    torch.manual_seed(TRUNK_SEED)
    model = JointClassifier(backbone, classes, _spec(channels, budget), imagenet=True)
    trunk, tail = split_last_blocks(model, budget.trained_blocks)
    return trunk.eval(), tail


def _spec(channels: int, budget: Budget) -> PreprocessSpec:
    return PreprocessSpec(
        height=budget.image_size, width=budget.image_size, channels=1 if channels == 1 else 3
    )


def _activations(trunk: nn.Module, crops: NDArray[np.uint8]) -> Halves:
    return np.concatenate([_forward(trunk, torch.from_numpy(part)) for part in _parts(crops)]).astype(
        np.float16
    )


def _logits(tail: nn.Module, activations: Halves) -> NDArray[np.float32]:
    return np.concatenate(
        [_forward(tail, torch.from_numpy(part.astype(np.float32))) for part in _parts(activations)]
    )


def _parts(rows: NDArray[np.uint8] | Halves) -> Sequence[NDArray[np.uint8] | Halves]:
    return [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]


def _forward(module: nn.Module, inputs: torch.Tensor) -> NDArray[np.float32]:
    with torch.inference_mode():
        outputs: NDArray[np.float32] = module(inputs.to(_device())).float().cpu().numpy()
    return outputs


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")

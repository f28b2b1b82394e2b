"""Quantization-aware fine-tuning: train a Q/DQ graph to answer like the float model.

The float model is the teacher, and the target is its logits, not the labels: an engine must decide like the validated
model, and learning from the labels would move it away from that. No labels are needed, and the fine-tuned engine passes
the same gate, against the original model's logits.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from pydantic import Field
from torch.nn import functional
from torch.utils.data import DataLoader

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import GateError, UsageError
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.preprocess import Image
from sji_edge.data.folder import crops_of
from sji_edge.data.jitter import Jitter
from sji_edge.data.torch_crops import JointCrops
from sji_edge.training.qat.qdq_network import QdqNetwork

WARM_UP_SHARE = 0.1
HELD_OUT_EVERY = 8
JITTER = Jitter(
    angle_rad=0.03,
    shift=0.04,
    zoom=(0.95, 1.05),
    aspect=1.03,
    gain=1.1,
    offset=4.0,
    blur_px=0.3,
    noise=2.0,
)
"""Views close to those of a line: the engine never judges others."""

Progress = Callable[[int, int, float], None]


class FineTuneSettings(FrozenModel):
    """Duration and rates of a fine-tuning; the bundle's manifest records every field.

    The rates are small because Adam moves all weights of a layer alike at first: a thousand weights moved by a
    hundredth of a level each make a larger error than rounding them does.

    Attributes:
        epochs: passes over the images.
        batch_size: crops per step.
        learning_rate: Adam's rate for kernels, in levels per step.
        bias_rate: Adam's rate for biases, as a share of the kernel's largest value.
        step_rate: Adam's rate for activation steps, as a share of the step.
        seed: seed of views and order.
    """

    epochs: int = Field(default=4, ge=1)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0.0)
    bias_rate: float = Field(default=5e-5, ge=0.0)
    step_rate: float = Field(default=5e-4, ge=0.0)
    seed: int = Field(default=0, ge=0)


@dataclass(frozen=True)
class FineTuned:
    """Result of a fine-tuning.

    Attributes:
        graph: the graph of the best epoch, or the original one when no epoch came closer to the teacher.
        rms_before: RMS Δlogit to the teacher on the held-out joints, before fine-tuning.
        rms_by_epoch: the same after each epoch.
        torch_version: PyTorch's version.
    """

    graph: onnx.ModelProto
    rms_before: float
    rms_by_epoch: tuple[float, ...]
    torch_version: str = torch.__version__


def fine_tune(
    graph: onnx.ModelProto,
    floats: onnx.ModelProto,
    teacher: onnx.ModelProto,
    images: Sequence[Image],
    spec: PreprocessSpec,
    settings: FineTuneSettings,
    *,
    progress: Progress = lambda _done, _all, _rms: None,
) -> FineTuned:
    """Train a Q/DQ graph's kernels, biases and activation steps towards a float graph's logits.

    Every eighth image is held out, or the last one of fewer than eight. The epoch that comes closest to the teacher
    on them is kept; if none comes closer, the graph stays unchanged.

    Args:
        graph: the Q/DQ graph.
        floats: the float graph that it was quantized from.
        teacher: the float graph whose logits are the target.
        images: decoded joints of the training split, at least two.
        spec: the model's crops.
        settings: duration and rates.
        progress: given the batches done, their number over all epochs, and the last batch's RMS Δlogit.

    Raises:
        UsageError: the graph has an operator that fine-tuning does not know, or there are fewer than two images.
        GateError: fine-tuning diverged.
    """
    if len(images) < 2:
        raise UsageError(
            f"fine-tuning needs at least 2 images (got {len(images)})",
            hint="give the dataset that the model was trained on",
        )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pair = _Pair(QdqNetwork(graph, floats).to(device), QdqNetwork(teacher, teacher).to(device).eval())
    apart = set(range(HELD_OUT_EVERY - 1, len(images), HELD_OUT_EVERY)) or {len(images) - 1}
    held_out = [image for number, image in enumerate(images) if number in apart]
    trained = [image for number, image in enumerate(images) if number not in apart]
    plain = torch.from_numpy(crops_of(held_out, spec))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        crops = JointCrops(trained, np.zeros(len(trained), np.int64), spec, JITTER)
        loader = DataLoader(crops, batch_size=settings.batch_size, shuffle=True)
        before = pair.rms(plain)
        after = list(_epochs(pair, loader, plain, settings, progress))
    if not np.isfinite(after).all():
        raise GateError(
            "fine-tuning diverged", hint="build without fine-tuning, and please report this model"
        )
    if min(after) >= before:
        return FineTuned(graph, before, tuple(after))
    return FineTuned(pair.best_graph(), before, tuple(after))


class _Pair:
    """The network that is trained, and its teacher."""

    def __init__(self, network: QdqNetwork, teacher: QdqNetwork) -> None:
        self.network, self.teacher = network, teacher
        self._best: tuple[float, dict[str, torch.Tensor]] = (float("inf"), {})

    def loss(self, crops: torch.Tensor) -> torch.Tensor:
        """Mean square Δlogit."""
        with torch.no_grad():
            wanted = self.teacher(crops)
        return functional.mse_loss(self.network(crops), wanted)

    def rms(self, crops: torch.Tensor) -> float:
        """Root mean square Δlogit over any number of crops."""
        device = next(self.network.parameters()).device
        with torch.no_grad():
            sums = [float(self.loss(part.to(device))) * len(part) for part in torch.split(crops, 64)]
        return float(np.sqrt(sum(sums) / len(crops)))

    def keep_if_best(self, rms: float) -> None:
        """Remember the network's state if it is the closest so far."""
        if rms < self._best[0]:
            state = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
            self._best = (rms, state)

    def best_graph(self) -> onnx.ModelProto:
        """Return the graph of the best epoch."""
        self.network.load_state_dict(self._best[1])
        return self.network.cpu().to_graph()


def _epochs(
    pair: _Pair,
    loader: DataLoader[tuple[torch.Tensor, int]],
    held_out: torch.Tensor,
    settings: FineTuneSettings,
    progress: Progress,
) -> Iterator[float]:
    """Train; yield the RMS Δlogit on the held-out crops after each epoch."""
    network, total = pair.network, settings.epochs * len(loader)
    device = next(network.parameters()).device
    optimizer = torch.optim.Adam(
        [
            {"params": list(network.kernels.parameters()), "lr": settings.learning_rate},
            {"params": list(network.biases.parameters()), "lr": settings.bias_rate},
            {"params": list(network.grids.parameters()), "lr": settings.step_rate},
        ]
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, total))
    for epoch in range(settings.epochs):
        for number, (crops, _) in enumerate(loader, start=1):
            loss = pair.loss(crops.to(device))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            progress(epoch * len(loader) + number, total, float(loss.detach()) ** 0.5)
        rms = pair.rms(held_out)
        pair.keep_if_best(rms)
        yield rms


def _rate(step: int, total: int) -> float:
    """Return the factor on the learning rate: a short rise, then half a cosine down to 0."""
    rise = max(1.0, WARM_UP_SHARE * total)
    if step < rise:
        return (step + 1) / (rise + 1)
    return 0.5 * (1.0 + float(np.cos(np.pi * min(1.0, (step - rise) / max(1.0, total - rise)))))

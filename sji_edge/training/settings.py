"""What ``sji-edge train`` can be told."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from sji_edge.core.card import LossCard
from sji_edge.core.frozen import FrozenModel

Views = Literal["none", "attention-crop", "jigsaw"]


class TrainSettings(FrozenModel):
    """One training run; every field is one option of the command."""

    data: Path
    runs: Path = Path("runs")
    name: str = ""
    good_class: str = "normal"
    model: str = "efficientnet_lite0"
    weights: str = "auto"
    image_size: int = Field(default=84, ge=16, le=1024)
    channels: Literal["auto", "1", "3"] = "auto"
    attention: Literal["none", "cbam", "se"] = "none"
    loss: LossCard
    class_weights: str = "none"
    sampler: Literal["none", "balanced"] = "none"
    views: Views = "none"
    epochs: int = Field(default=12, ge=1)
    batch_size: int = Field(default=32, ge=2)
    learning_rate: float = Field(default=1e-3, gt=0.0)
    weight_decay: float = Field(default=1e-2, ge=0.0)
    patience: int = Field(default=6, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**32)
    workers: int = Field(default=0, ge=0)
    accelerator: str = "auto"
    devices: str = "auto"
    nodes: int = Field(default=1, ge=1)
    strategy: str = "auto"
    resume: bool = False
    progress: bool = True

    @property
    def architecture(self) -> str:
        """The model with its attention, as the card names it: ``resnet18+cbam``."""
        return self.model if self.attention == "none" else f"{self.model}+{self.attention}"

"""The settings of one training run."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from sji_edge.core.card import LossCard
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.review_budget import DEFAULT_BUDGET, MAX_BUDGET

Views = Literal["none", "attention-crop", "jigsaw"]


class TrainSettings(FrozenModel):
    """Everything that determines how a run is trained and where it is written.

    ``model_fields_set`` tells which of them the user gave; a resumed run takes the others from its record.

    Attributes:
        data: dataset folder, ``DATA/{train,validation,test}/CLASS/IMAGE``.
        runs: folder of all runs.
        name: folder of this run inside ``runs``; empty for a name made of model and loss.
        good_class: class that means *no defect*.
        bit_depth: bits that the samples of 16-bit images use; None: all 16.
        model: backbone name for ``models.backbones.build_backbone``.
        weights: initial weights: ``imagenet``, ``none``, ``auto``, a weights file or a run's folder.
        image_size: side of the square crop, in pixels.
        channels: ``1`` (grey), ``3`` (BGR), or ``auto`` to follow the images.
        attention: module after each stage of a ResNet.
        loss: criterion and its settings.
        class_weights: ``none``, ``balanced``, or one number per class, separated by commas.
        sampler: ``balanced`` draws every class equally often.
        guard: fit a guard beside the classifier, which turns PASS into REVIEW for what is unlike training.
        review_budget: share of the good joints that may be kept from PASS.
        views: second view of each joint that carries half of the loss.
        epochs: maximum number of epochs.
        batch_size: crops per step.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: AdamW's weight decay.
        patience: epochs without improvement after which training stops.
        teachers: runs whose answers are taught besides the labels; empty: the labels alone.
        teacher_views: jittered views of each training joint that the teachers judge.
        temperature: softens the teachers' answers.
        teacher_share: weight of the teachers in the loss.
        student: architecture that the finished run teaches afterwards, or ``none``. The student then has the guard.
        seed: seed of all randomness.
        no_test: the dataset has no test split.
        workers: processes that prepare crops.
        accelerator: Lightning's accelerator.
        devices: number of devices, or ``auto``.
        nodes: number of machines.
        strategy: Lightning's strategy.
        resume: continue an interrupted run.
    """

    data: Path | None = None
    runs: Path = Path("runs")
    name: str = ""
    good_class: str = "normal"
    bit_depth: int | None = Field(default=None, ge=9, le=16)
    model: str = "efficientnet_lite0"
    weights: str = "auto"
    image_size: int = Field(default=84, ge=16, le=1024)
    channels: Literal["auto", "1", "3"] = "auto"
    attention: Literal["none", "cbam", "se"] = "none"
    loss: LossCard = LossCard(name="alpha-js", settings={"alpha": 0.1, "beta": 0.3})
    class_weights: str = "none"
    sampler: Literal["none", "balanced"] = "none"
    guard: bool = True
    review_budget: float = Field(default=DEFAULT_BUDGET, gt=0.0, le=MAX_BUDGET)
    views: Views = "none"
    epochs: int = Field(default=12, ge=1)
    batch_size: int = Field(default=32, ge=2)
    learning_rate: float = Field(default=1e-3, gt=0.0)
    weight_decay: float = Field(default=1e-2, ge=0.0)
    patience: int = Field(default=6, ge=1)
    teachers: tuple[Path, ...] = ()
    teacher_views: int = Field(default=12, ge=1)
    temperature: float = Field(default=2.0, gt=0.0)
    teacher_share: float = Field(default=0.8, ge=0.0, le=1.0)
    student: str = "none"
    seed: int = Field(default=0, ge=0, lt=2**32)
    no_test: bool = False
    workers: int = Field(default=0, ge=0)
    accelerator: str = "auto"
    devices: str = "auto"
    nodes: int = Field(default=1, ge=1)
    strategy: str = "auto"
    resume: bool = False

    @field_validator("name")
    @classmethod
    def _is_one_folder(cls, name: str) -> str:
        if "/" in name or "\\" in name or name.startswith("."):
            raise ValueError(f"{name!r} is not a plain folder name")
        return name

    @model_validator(mode="after")
    def _views_are_judged(self) -> Self:
        if self.teachers and self.views != "none":
            raise ValueError(f"teachers cannot judge the second views of {self.views}")
        return self

    @property
    def architecture(self) -> str:
        """The model with its attention, as the card names it: ``resnet18+cbam``."""
        return self.model if self.attention == "none" else f"{self.model}+{self.attention}"

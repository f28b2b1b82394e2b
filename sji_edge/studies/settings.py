"""The settings of a study, and its presets."""

import os
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, model_validator

from sji_edge.core.frozen import FrozenModel
from sji_edge.studies.methods import METHODS, method


class Budget(FrozenModel):
    """The budget of each trial of a study, the same for all.

    Attributes:
        image_size: side of the crop, in pixels.
        epochs: number of epochs.
        batch_size: crops per step.
        learning_rate: peak of the one-cycle schedule, and the middle of the searched range.
        weight_decay: AdamW's weight decay.
        trained_blocks: number of a backbone's last blocks that are trained, with the head, on activations of the
            frozen rest; None trains the whole network on fresh views, as ``sji-edge train`` does.
        cached_views: random views of each training joint whose activations are computed once.
    """

    image_size: int = Field(default=84, ge=16, le=1024)
    epochs: int = Field(default=12, ge=1)
    batch_size: int = Field(default=32, ge=2)
    learning_rate: float = Field(default=1e-3, gt=0.0)
    weight_decay: float = Field(default=1e-2, ge=0.0)
    trained_blocks: int | None = Field(default=None, ge=1)
    cached_views: int = Field(default=8, ge=1)


class StudySettings(FrozenModel):
    """One study.

    Attributes:
        data: dataset folder with train, validation and test.
        out: folder for the study.
        good_class: class that means *no defect*.
        budget: what every trial may spend.
        methods: names of ``studies.methods.METHODS``.
        backbones: names of models, with or without attention.
        seeds: number of trainings of each method's best settings.
        tries: number of settings tried for each method on each backbone.
        search_learning_rate: search the learning rate as well for methods that have a strength.
        guard: fit a guard to each method's best settings with every seed, and show them unknown pictures.
        replicates: number of bootstrap resamples.
        workers: number of processes.
        threads: CPU threads of each process.
        storage: Optuna's storage; may hold a password, so it is never written or shown unredacted.
    """

    data: Path
    out: Path
    good_class: str = "normal"
    budget: Budget
    methods: tuple[str, ...] = Field(min_length=1)
    backbones: tuple[str, ...] = Field(min_length=1)
    seeds: int = Field(ge=1)
    tries: int = Field(ge=1)
    search_learning_rate: bool = False
    guard: bool = False
    replicates: int = Field(default=1000, ge=100)
    workers: int = Field(default=1, ge=1)
    threads: int = Field(default=1, ge=1)
    storage: str = Field(default="", repr=False)

    @model_validator(mode="after")
    def _possible(self) -> "StudySettings":
        for kind, names in (("method", self.methods), ("backbone", self.backbones)):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"duplicate {kind} {twice[0]!r}")
        viewed = [name for name in self.methods if name in METHODS and method(name).views != "none"]
        if viewed and self.budget.trained_blocks is not None:
            raise ValueError(f"method {viewed[0]!r} needs the whole network trained: use the preset full")
        if self.guard and self.budget.trained_blocks is not None:
            raise ValueError("a guard needs the whole network trained: use the preset full")
        return self


QUICK_METHODS = (
    "ce",
    "label-smoothing",
    "confidence-penalty",
    "alpha-js-0.1",
    "alpha-js-0.5",
    "alpha-js-0.9",
    "focal",
    "mbls",
)
PAPER_BACKBONES = (
    "efficientnet_lite0",
    "googlenet",
    "resnet18",
    "resnet50",
    "vgg16",
    "resnet18+cbam",
    "resnet18+se",
    "swin_t",
    "vit_b_16",
)

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        "budget": Budget(epochs=8, trained_blocks=1, cached_views=8),
        "methods": QUICK_METHODS,
        "backbones": ("efficientnet_lite0", "efficientnet_lite1"),
        "seeds": 3,
        "tries": 4,
        "search_learning_rate": True,
        "replicates": 500,
    },
    "full": {
        # 96 is a multiple of the vision transformer's patch.
        "budget": Budget(image_size=96, epochs=24),
        "methods": tuple(METHODS),
        "backbones": PAPER_BACKBONES,
        "seeds": 5,
        "tries": 12,
        "search_learning_rate": True,
        "replicates": 2000,
    },
}


def default_workers(threads: int) -> int:
    """Return the number of GPUs, or without one the usable CPU cores divided by the threads of a process."""
    return torch.cuda.device_count() or max(1, len(os.sched_getaffinity(0)) // threads)

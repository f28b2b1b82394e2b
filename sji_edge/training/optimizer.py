"""AdamW with a one-cycle schedule (Smith and Topin 2018, arXiv 1708.07120)."""

import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

WARM_UP = 0.2
"""Share of the steps during which the learning rate rises."""


def adamw_one_cycle(
    model: nn.Module, *, learning_rate: float, weight_decay: float, steps: int
) -> tuple[torch.optim.AdamW, OneCycleLR]:
    """Return the optimizer and the schedule; step the schedule every batch.

    Args:
        model: its parameters that require a gradient are trained; only matrices and kernels decay.
        learning_rate: peak of the schedule.
        weight_decay: AdamW's weight decay.
        steps: number of batches of the whole training.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate)
    # With exactly one step of warm-up, PyTorch divides by the zero steps between its start and its end.
    warm_up = 1.5 / steps if WARM_UP * steps == 1.0 else WARM_UP
    return optimizer, OneCycleLR(optimizer, max_lr=learning_rate, total_steps=steps, pct_start=warm_up)

"""The Lightning module: one optimiser, one schedule, and what is measured on validation."""

from typing import Any

import lightning
import torch
from torch import nn
from torch.nn import functional
from torchmetrics import MeanMetric
from torchmetrics.classification import BinaryAveragePrecision

from sji_edge.models.classifier import JointClassifier


class JointTraining(lightning.LightningModule):
    """Trains a classifier with a criterion, and ranks epochs by average precision of *defect*.

    Args:
        model: takes uint8 crops, gives logits.
        criterion: ``(logits, targets)`` to a scalar.
        good_index: the good class's column.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: AdamW's, on matrices and kernels only.

    Logs ``train_loss``; on validation ``val_ap``, ``val_ce`` (cross-entropy in nats, whatever the criterion)
    and ``val_rank``, by which the best epoch is kept: the average precision to two decimals, ties broken by
    the lower cross-entropy (with the few defects of a validation split, finer differences are chance).
    """

    def __init__(
        self,
        model: JointClassifier,
        criterion: nn.Module,
        *,
        good_index: int,
        learning_rate: float,
        weight_decay: float,
    ) -> None:
        super().__init__()
        self.model = model
        self.criterion = criterion
        self._good_index = good_index
        self._learning_rate = learning_rate
        self._weight_decay = weight_decay
        self.average_precision = BinaryAveragePrecision()
        # A NaN must show: early stopping ends on it.
        self.cross_entropy = MeanMetric(nan_strategy="disable")

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _batch_index: int) -> torch.Tensor:
        """Return the criterion on one batch of uint8 crops."""
        crops, targets = batch
        loss: torch.Tensor = self.criterion(self.model(crops), targets)
        self.log("train_loss", loss, on_epoch=True, on_step=False, prog_bar=True, batch_size=len(targets))
        return loss

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], _batch_index: int) -> None:
        """Collect scores and cross-entropy of one batch."""
        crops, targets = batch
        logits = self.model(crops).float()
        scores = 1.0 - logits.softmax(dim=-1)[:, self._good_index]
        self.average_precision.update(scores, (targets != self._good_index).long())
        self.cross_entropy.update(functional.cross_entropy(logits, targets, reduction="none"))

    def on_validation_epoch_end(self) -> None:
        """Log the epoch's average precision, cross-entropy and rank."""
        precision, cross_entropy = self.average_precision.compute(), self.cross_entropy.compute()
        self.log("val_ap", precision, prog_bar=True)
        self.log("val_ce", cross_entropy, prog_bar=True)
        self.log("val_rank", torch.round(precision, decimals=2) - 1e-3 * cross_entropy.clamp(max=4.0))
        self.average_precision.reset()
        self.cross_entropy.reset()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Give the weights back the layers' versions, without which MNASNet refuses to load."""
        state = self.state_dict()
        state.update(checkpoint["state_dict"])
        checkpoint["state_dict"] = state

    def configure_optimizers(self) -> Any:
        """AdamW under a one-cycle schedule stepped every batch."""
        matrices = [p for p in self.model.parameters() if p.ndim > 1]
        vectors = [p for p in self.model.parameters() if p.ndim <= 1]
        optimiser = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": self._weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=self._learning_rate,
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            max_lr=self._learning_rate,
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=0.2,
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

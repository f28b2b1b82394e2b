"""The Lightning module: one optimizer, one schedule, and the validation figures."""

from typing import Any

import lightning
import torch
from torch import nn
from torch.nn import functional
from torchmetrics import MeanMetric
from torchmetrics.classification import BinaryAveragePrecision

from sji_edge.losses.joint_loss import JointLoss
from sji_edge.models.classifier import JointClassifier
from sji_edge.models.features import FeatureTap
from sji_edge.training.optimizer import adamw_one_cycle
from sji_edge.training.settings import TrainSettings
from sji_edge.training.views.attention_crop import attention_crops
from sji_edge.training.views.jigsaw import GRIDS, jigsaw


class JointTraining(lightning.LightningModule):
    """Trains a classifier with a criterion, and ranks epochs by average precision of *defect*.

    Args:
        model: a classifier from uint8 crops to logits.
        criterion: the loss; a loss that needs features is given the last feature map.
        settings: its learning rate, weight decay (on matrices and kernels only) and second views, which carry half of
            the loss.
        good_index: column of the good class in the logits.
        class_weights: float ``(classes,)``, or None.

    Logs ``train_loss``; on validation ``val_ap``, ``val_ce`` (cross-entropy in nats, whatever the criterion)
    and ``val_rank``, which selects the best epoch: the average precision to two decimals, ties broken by the lower
    cross-entropy (with the few defects of a validation split, smaller differences are chance).
    """

    _class_weights: torch.Tensor | None

    def __init__(
        self,
        model: JointClassifier,
        criterion: JointLoss,
        settings: TrainSettings,
        good_index: int,
        class_weights: torch.Tensor | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.criterion = criterion
        self.register_buffer("_class_weights", class_weights, persistent=False)
        self._settings = settings
        looks = criterion.needs_features or settings.views == "attention-crop"
        self._tap = FeatureTap(model, model.architecture) if looks else None
        self._good_index = good_index
        self.average_precision = BinaryAveragePrecision()
        # NaN must not be dropped: early stopping ends the training on it.
        self.cross_entropy = MeanMetric(nan_strategy="disable")

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _batch_index: int) -> torch.Tensor:
        """Return the criterion on one batch of uint8 crops."""
        crops, targets = batch
        loss, _, features = self._judged(crops, targets)
        if self._settings.views != "none":
            loss = (loss + self._judged(self._view(crops, features), targets)[0]) / 2
        return self._logged(loss, len(targets))

    def _logged(self, loss: torch.Tensor, crops: int) -> torch.Tensor:
        self.log("train_loss", loss, on_epoch=True, on_step=False, prog_bar=True, batch_size=crops)
        return loss

    def _judged(
        self, crops: torch.Tensor, targets: torch.Tensor, beside: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Return the criterion, the logits and, where something needs it, the feature map.

        The model is shown pictures ``beside`` the batch in the same pass; they have no target.
        """
        logits = self.model(crops if beside is None else torch.cat([crops, beside]))[: len(crops)]
        features = self._tap.take()[: len(crops)] if self._tap else None
        loss: torch.Tensor = self.criterion(logits, targets, features, self._class_weights)
        return loss, logits, features

    def _view(self, crops: torch.Tensor, features: torch.Tensor | None) -> torch.Tensor:
        if features is not None and self._settings.views == "attention-crop":
            return attention_crops(crops, features)
        return jigsaw(crops, GRIDS[int(torch.randint(len(GRIDS), ()))])

    def close(self) -> None:
        """Remove the hooks from the trained model."""
        if self._tap:
            self._tap.close()

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
        """Add the layers' versions to the weights; MNASNet refuses to load without them."""
        state = self.state_dict()
        state.update(checkpoint["state_dict"])
        checkpoint["state_dict"] = state

    def configure_optimizers(self) -> Any:
        """Return AdamW and a one-cycle schedule that is stepped every batch."""
        optimizer, schedule = adamw_one_cycle(
            self._trained(),
            learning_rate=self._settings.learning_rate,
            weight_decay=self._settings.weight_decay,
            steps=int(self.trainer.estimated_stepping_batches),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _trained(self) -> nn.Module:
        """Return what the optimizer changes."""
        return self.model

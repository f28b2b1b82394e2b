"""The training of a student: the labels, how its answers differ from its teachers', and what a teacher sees."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from sji_edge.losses.joint_loss import JointLoss
from sji_edge.models.classifier import JointClassifier
from sji_edge.models.guard import Guard, Regressor, guard_layers, on_one_grid, tapped
from sji_edge.training.distillation.hints import Hints
from sji_edge.training.guard import detector_loss
from sji_edge.training.module import JointTraining
from sji_edge.training.settings import TrainSettings

HINTED = 24
"""Pictures with a teacher's cells in each step, beside the batch."""
DETECTOR_SHARE = 0.5
"""Weight of a guard's detector, which shapes the predicted cells so that novelties can be told from good joints."""


class StudentTraining(JointTraining):
    """Trains a classifier on labels and on its teachers' softened answers, and a regressor of a teacher's cells.

    Args:
        model: the student.
        criterion: the loss on the labels.
        settings: as of ``JointTraining``, and the weight and the temperature of the teachers.
        good_index: column of the good class in the logits.
        class_weights: float ``(classes,)``, or None.
        hints: a teacher's cells; None: there is no regressor.
    """

    def __init__(
        self,
        model: JointClassifier,
        criterion: JointLoss,
        settings: TrainSettings,
        good_index: int,
        class_weights: torch.Tensor | None = None,
        hints: Hints | None = None,
    ) -> None:
        super().__init__(model, criterion, settings, good_index, class_weights)
        self._hints = hints
        self._guard: Guard | None = None
        if hints is not None:
            size = hints.pictures.shape[1:]
            self._layers, channels = guard_layers(model.eval(), (size[0], size[1], size[2]))
            regressor = Regressor(sum(channels), hints.channels)
            regressor.standardise(torch.from_numpy(hints.cells))
            self._guard = Guard(hints.channels, 1, regressor)
            self._guard.mean.copy_(regressor.mean)
            self._guard.deviation.copy_(regressor.deviation)
            model.train()

    @property
    def regressor(self) -> Regressor | None:
        """What the student learned of its teacher's cells; None without hints."""
        return None if self._guard is None else self._guard.regressor

    def _trained(self) -> nn.Module:
        return self.model if self._guard is None else nn.ModuleList([self.model, self._guard])

    def training_step(self, batch: Any, _batch_index: int) -> torch.Tensor:
        """Return the loss on one batch: uint8 crops, class indices, and the teachers' probabilities."""
        crops, targets, answers = batch
        if self._hints is None or self._guard is None or self.regressor is None:
            return self._logged(self._taught(crops, targets, answers), len(targets))
        pictures, cells, changed, novel = (tensor.to(crops.device) for tensor in self._hints.draw(HINTED))
        with tapped(self.model, self._layers) as maps:
            taught = self._taught(crops, targets, answers, pictures)
        seen = [maps[name][len(crops) :] for name in self._layers]
        alike = self.regressor.loss(torch.cat(on_one_grid(seen), dim=1), cells)
        told_apart = detector_loss(self._guard, self._guard.cells(seen), changed, novel)
        return self._logged(taught + alike + DETECTOR_SHARE * told_apart, len(targets))

    def _taught(
        self,
        crops: torch.Tensor,
        targets: torch.Tensor,
        answers: torch.Tensor,
        beside: torch.Tensor | None = None,
    ) -> torch.Tensor:
        hard, logits, _ = self._judged(crops, targets, beside)
        return taught_loss(
            hard,
            logits,
            answers,
            temperature=self._settings.temperature,
            share=self._settings.teacher_share,
        )


def taught_loss(
    hard: torch.Tensor, logits: torch.Tensor, answers: torch.Tensor, *, temperature: float, share: float
) -> torch.Tensor:
    """Return ``(1 - share) * hard + share * T² * KL(answers ‖ softmax(logits / T))`` in nats, a scalar.

    T² keeps the gradients of the soft part at their size (Hinton, Vinyals and Dean 2015, arXiv 1503.02531).

    Args:
        hard: the criterion on the labels, a scalar.
        logits: the student's, float ``(n, classes)``.
        answers: the teachers' probabilities at the temperature, float ``(n, classes)``.
        temperature: T, above 0.
        share: weight of the teachers in [0, 1].
    """
    heated = functional.log_softmax(logits / temperature, dim=-1)
    distance = functional.kl_div(heated, answers, reduction="batchmean")
    return (1.0 - share) * hard + share * temperature**2 * distance

"""The training of a student: the labels, how its answers differ from its teachers', and what a teacher sees."""

from typing import Any

import torch
from torch.nn import functional

from sji_edge.losses.joint_loss import JointLoss
from sji_edge.models.classifier import JointClassifier
from sji_edge.models.guard import Regressor, guard_layers, on_one_grid, tapped
from sji_edge.training.distillation.hints import Hints
from sji_edge.training.module import JointTraining
from sji_edge.training.settings import TrainSettings

HINTED = 24
"""Pictures with a teacher's cells in each step, beside the batch."""


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
        self.regressor: Regressor | None = None
        if hints is not None:
            size = hints.pictures.shape[1:]
            self._layers, channels = guard_layers(model.eval(), (size[0], size[1], size[2]))
            self.regressor = Regressor(sum(channels), hints.channels)
            self.regressor.standardise(torch.from_numpy(hints.cells))
            model.train()

    def training_step(self, batch: Any, _batch_index: int) -> torch.Tensor:
        """Return the loss on one batch: uint8 crops, class indices, and the teachers' probabilities."""
        crops, targets, answers = batch
        if self._hints is None or self.regressor is None:
            return self._logged(self._taught(crops, targets, answers), len(targets))
        pictures, cells = (tensor.to(crops.device) for tensor in self._hints.draw(HINTED))
        with tapped(self.model, self._layers) as maps:
            taught = self._taught(crops, targets, answers, pictures)
        seen = torch.cat(on_one_grid([maps[name][len(crops) :] for name in self._layers]), dim=1)
        return self._logged(taught + self.regressor.loss(seen, cells), len(targets))

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

"""The training of a student: the labels, and how its answers differ from its teachers'."""

from typing import Any

import torch
from torch.nn import functional

from sji_edge.training.module import JointTraining


class StudentTraining(JointTraining):
    """Trains a classifier on labels and on its teachers' softened answers; takes what ``JointTraining`` does."""

    def training_step(self, batch: Any, _batch_index: int) -> torch.Tensor:
        """Return the loss on one batch: uint8 crops, class indices, and the teachers' probabilities."""
        crops, targets, answers = batch
        hard, logits, _ = self._judged(crops, targets)
        loss = taught_loss(
            hard,
            logits,
            answers,
            temperature=self._settings.temperature,
            share=self._settings.teacher_share,
        )
        self.log("train_loss", loss, on_epoch=True, on_step=False, prog_bar=True, batch_size=len(targets))
        return loss


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

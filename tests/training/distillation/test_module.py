import numpy as np
import pytest
import torch

from sji_edge.training.distillation.module import taught_loss


def test_the_loss_weighs_labels_and_teachers_as_the_paper_does():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 3, generator=generator)
    answers = torch.softmax(torch.randn(5, 3, generator=generator), dim=1)
    found = taught_loss(torch.tensor(0.8), logits, answers, temperature=3.0, share=0.7)
    powers = np.exp(logits.double().numpy() / 3)
    soft = powers / powers.sum(axis=1, keepdims=True)
    p = answers.double().numpy()
    distance = (p * np.log(p / soft)).sum(axis=1).mean()
    assert float(found) == pytest.approx(0.3 * 0.8 + 0.7 * 9 * distance, rel=1e-5)


def test_the_gradients_of_the_soft_part_keep_their_size_when_it_is_heated():
    def size(temperature: float) -> float:
        logits = torch.tensor([[0.3, -0.2]], requires_grad=True)
        teacher = torch.tensor([[0.9, -0.9]])
        answers = torch.softmax(teacher / temperature, dim=1)
        taught_loss(torch.tensor(0.0), logits, answers, temperature=temperature, share=1.0).backward()
        return float(logits.grad.norm())

    assert size(20.0) == pytest.approx(size(10.0), rel=0.01)

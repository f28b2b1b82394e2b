"""What every registered loss must keep, so that a new one is tested without editing a test."""

import pytest
import torch

from sji_edge.losses import LOSSES

pytestmark = pytest.mark.parametrize("name", LOSSES.names())


def batch(classes: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(classes)
    logits = (3 * torch.randn(17, classes, generator=generator)).to(dtype).requires_grad_()
    return logits, torch.randint(classes, (17,), generator=generator)


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_it_is_a_finite_scalar_with_a_finite_gradient(name, classes, dtype):
    logits, targets = batch(classes, dtype)
    kept = logits.detach().clone()
    loss = LOSSES.get(name)()(logits, targets)
    assert loss.shape == ()
    assert torch.isfinite(loss)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad.shape == logits.shape
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.abs().sum() > 0
    assert torch.equal(logits.detach(), kept)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [3e2, 3e4])
def test_huge_logits_stay_finite(name, dtype, size):
    logits = (size * torch.tensor([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [0.0, 1.0]])).to(dtype)
    logits.requires_grad_()
    loss = LOSSES.get(name)()(logits, torch.tensor([0, 0, 1, 0]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_the_gradient_is_that_of_the_value(name):
    logits, targets = batch(3, torch.float64)
    criterion = LOSSES.get(name)()
    assert torch.autograd.gradcheck(lambda x: criterion(x, targets), (logits,))


def test_the_order_of_joints_and_the_names_of_classes_do_not_matter(name):
    logits, targets = batch(4, torch.float64)
    criterion = LOSSES.get(name)()
    loss = criterion(logits, targets)
    shuffled = torch.randperm(len(targets), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(criterion(logits[shuffled], targets[shuffled]), loss)
    renamed = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(criterion(logits[:, renamed], renamed.argsort()[targets]), loss)


def test_a_constant_added_to_all_logits_changes_nothing(name):
    logits, targets = batch(3, torch.float64)
    criterion = LOSSES.get(name)()
    torch.testing.assert_close(criterion(logits + 7.5, targets), criterion(logits, targets))


def test_descending_it_learns_the_targets(name):
    logits, targets = batch(3)
    criterion = LOSSES.get(name)()
    optimiser = torch.optim.SGD([logits], lr=5.0)
    for _ in range(200):
        optimiser.zero_grad()
        criterion(logits, targets).backward()
        optimiser.step()
    assert torch.equal(logits.argmax(dim=1), targets)

"""What every registered loss must keep, so that a new one is tested without editing a test."""

import inspect

import numpy as np
import pytest
import torch

from sji_edge.losses import LOSSES
from sji_edge.losses.joint_loss import JointLoss

pytestmark = pytest.mark.parametrize("name", LOSSES.names())

SEES_A_CONSTANT = {"logit-norm"}
"""Losses that a constant added to all logits changes, as their papers define them."""


def settled(name: str) -> JointLoss:
    """A loss without the randomness that training adds."""
    criterion: JointLoss = LOSSES.get(name)()
    return criterion.eval()


def batch(
    classes: int, dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(classes)
    logits = (3 * torch.randn(17, classes, generator=generator)).to(dtype).requires_grad_()
    targets = torch.randint(classes, (17,), generator=generator)
    features = torch.randn(17, 2 * classes, 3, 2, generator=generator).to(dtype).requires_grad_()
    return logits, targets, features


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_it_is_a_finite_scalar_with_a_finite_gradient(name, classes, dtype):
    logits, targets, features = batch(classes, dtype)
    kept = logits.detach().clone()
    criterion = LOSSES.get(name)()
    loss = criterion(logits, targets, features)
    assert loss.shape == ()
    assert torch.isfinite(loss)
    loss.backward()
    for given in (logits, features) if criterion.needs_features else (logits,):
        assert given.grad is not None
        assert given.grad.shape == given.shape
        assert torch.isfinite(given.grad).all()
        assert given.grad.abs().sum() > 0
    assert torch.equal(logits.detach(), kept)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [3e2, 3e4])
def test_huge_logits_stay_finite(name, dtype, size):
    logits = (size * torch.tensor([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]])).to(dtype)
    logits.requires_grad_()
    features = (size * torch.randn(5, 4, 2, 2, generator=torch.Generator().manual_seed(0))).to(dtype)
    features.requires_grad_()
    loss = LOSSES.get(name)()(logits, torch.tensor([0, 0, 1, 0, 1]), features)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
    assert features.grad is None or torch.isfinite(features.grad).all()


def test_the_gradient_is_that_of_the_value(name):
    logits, targets, features = batch(3, torch.float64)
    criterion = settled(name)
    assert torch.autograd.gradcheck(lambda x, f: criterion(x, targets, f), (logits, features))


def test_the_order_of_joints_and_the_names_of_classes_do_not_matter(name):
    logits, targets, features = batch(4, torch.float64)
    criterion = settled(name)
    loss = criterion(logits, targets, features)
    shuffled = torch.randperm(len(targets), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(criterion(logits[shuffled], targets[shuffled], features[shuffled]), loss)
    renamed = torch.tensor([2, 0, 3, 1])
    # A loss on features shares the channels out to the classes in order.
    channels = features.unflatten(1, (4, 2))[:, renamed].flatten(1, 2)
    torch.testing.assert_close(criterion(logits[:, renamed], renamed.argsort()[targets], channels), loss)


def test_a_constant_added_to_all_logits_changes_nothing_where_the_paper_has_it_so(name):
    logits, targets, features = batch(3, torch.float64)
    criterion = settled(name)
    moved, kept = criterion(logits + 7.5, targets, features), criterion(logits, targets, features)
    assert torch.isclose(moved, kept).item() == (name not in SEES_A_CONSTANT)


def test_class_weights_are_a_weighted_mean_over_the_joints(name):
    logits, targets, features = batch(3, torch.float64)
    criterion, weights = settled(name), torch.tensor([0.5, 2.0, 3.0])
    each = criterion.per_joint(logits, targets, features).detach().numpy()
    by_hand = np.average(each, weights=weights.numpy()[targets.numpy()])
    weighted = criterion(logits, targets, features, class_weights=weights)
    assert weighted.item() == pytest.approx(by_hand, rel=1e-12)
    assert criterion(logits, targets, features).item() == pytest.approx(each.mean(), rel=1e-12)


def test_descending_it_learns_the_targets(name):
    logits, targets, features = batch(3)
    criterion = LOSSES.get(name)()
    optimizer = torch.optim.SGD([logits], lr=5.0)
    for _ in range(200):
        optimizer.zero_grad()
        criterion(logits, targets, features).backward()
        optimizer.step()
    assert torch.equal(logits.argmax(dim=1), targets)


def test_settings_of_another_kind_or_not_finite_are_refused(name):
    for option, known in inspect.signature(LOSSES.get(name).__init__).parameters.items():
        if isinstance(known.default, float):
            for value in (float("nan"), float("inf"), -2.0):
                with pytest.raises(ValueError, match=f"{option} must be"):
                    LOSSES.get(name)(**{option: value})

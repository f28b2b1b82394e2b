"""Each loss against its paper's formula, written naively in float64 NumPy, one joint at a time."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy

from sji_edge.core.errors import UsageError
from sji_edge.losses import LOSSES
from sji_edge.losses.build import build_loss, option_names, parse_options
from sji_edge.losses.mutual_channel import MutualChannel

N = 11


def ce(z, y):
    return -np.log(softmax(z)[y])


def label_smoothing(z, y, epsilon=0.1):
    goal = np.full(len(z), epsilon / len(z))
    goal[y] += 1 - epsilon
    return -(goal * np.log(softmax(z))).sum()


def confidence_penalty(z, y, beta=0.1):
    return ce(z, y) - beta * entropy(softmax(z))


def alpha_js(z, y, alpha=0.1, beta=0.3):
    p, u = softmax(z), np.full(len(z), 1 / len(z))
    skewed = entropy(alpha * p + (1 - alpha) * u) - alpha * entropy(p) - (1 - alpha) * entropy(u)
    return ce(z, y) + beta * skewed / (alpha * (1 - alpha))


def focal(z, y, gamma=2.0):
    return (1 - softmax(z)[y]) ** gamma * ce(z, y)


def margin_label_smoothing(z, y, margin=6.0, weight=0.1):
    return ce(z, y) + weight * sum(max(0.0, z.max() - other - margin) for other in z)


def poly1(z, y, epsilon=1.0):
    return ce(z, y) + epsilon * (1 - softmax(z)[y])


def logit_norm(z, y, temperature=0.1):
    return ce(z / (np.sqrt((z**2).sum()) * temperature), y)


PER_JOINT = {
    "ce": (ce, {}),
    "label-smoothing": (label_smoothing, {"epsilon": 0.3}),
    "confidence-penalty": (confidence_penalty, {"beta": 0.7}),
    "alpha-js": (alpha_js, {"alpha": 0.4, "beta": 1.1}),
    "focal": (focal, {"gamma": 0.5}),
    "margin-label-smoothing": (margin_label_smoothing, {"margin": 1.5, "weight": 0.4}),
    "poly1": (poly1, {"epsilon": -0.6}),
    "logit-norm": (logit_norm, {"temperature": 0.04}),
}


def batch(classes):
    rng = np.random.default_rng(classes)
    features = rng.normal(0, 2, (N, 3 * classes + 1, 2, 3))
    return rng.normal(0, 4, (N, classes)), rng.integers(classes, size=N), features


def ours(name, options, logits, targets, features):
    loss = LOSSES.get(name)(**options).eval()
    return loss(torch.from_numpy(logits), torch.from_numpy(targets), torch.from_numpy(features)).item()


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("name", PER_JOINT)
def test_the_value_is_the_mean_of_the_papers_formula(name, classes):
    logits, targets, features = batch(classes)
    formula, options = PER_JOINT[name]
    for given in ({}, options):
        expected = np.mean([formula(z, y, **given) for z, y in zip(logits, targets, strict=True)])
        assert ours(name, given, logits, targets, features) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("classes", [2, 4])
def test_pairwise_confusion_is_the_mean_over_all_pairs(classes):
    logits, targets, features = batch(classes)
    p = softmax(logits, axis=1)
    pairs = [
        ((p[i] - p[j]) ** 2).sum() * (targets[i] != targets[j]) for i in range(N) for j in range(N) if i != j
    ]
    expected = np.mean([ce(z, y) for z, y in zip(logits, targets, strict=True)]) + 0.8 * np.mean(pairs)
    assert ours("pairwise-confusion", {"weight": 0.8}, logits, targets, features) == pytest.approx(expected)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_mutual_channel_loss_is_its_formula_channel_by_channel(classes):
    logits, targets, features = batch(classes)
    expected = 0.0
    for z, y, f in zip(logits, targets, features, strict=True):
        told, spread = np.empty(classes), np.empty(classes)
        for c in range(classes):
            # The one channel too many belongs to nobody.
            own = f[3 * c : 3 * c + 3].reshape(3, -1)
            told[c] = own.max(axis=0).mean()
            spread[c] = softmax(own, axis=1).max(axis=0).sum()
        expected += ce(z, y) + 0.05 * (ce(told, y) - 4.0 * spread.mean())
    options = {"mu": 0.05, "diversity": 4.0}
    assert ours("mutual-channel", options, logits, targets, features) == pytest.approx(expected / N)


def test_in_training_the_mutual_channel_loss_leaves_half_of_the_channels_out():
    loss = MutualChannel(mu=1.0, diversity=0.0)
    groups = torch.ones(1, 3, 8, 4)
    kept = loss._masked(groups)
    assert torch.equal(kept.sum(dim=(0, 2, 3)), torch.full((3,), 16.0))
    assert any(not torch.equal(loss._masked(groups), kept) for _ in range(5))


def test_a_loss_on_features_says_so_when_there_are_none_or_too_few():
    logits, targets = torch.zeros(4, 3), torch.tensor([0, 1, 2, 0])
    assert MutualChannel.needs_features
    with pytest.raises(ValueError, match="needs the model's feature map"):
        MutualChannel()(logits, targets)
    with pytest.raises(ValueError, match=r"at least one channel for each of the 3 classes \(got 2\)"):
        MutualChannel()(logits, targets, torch.zeros(4, 2, 3, 3))


def test_every_registered_loss_has_a_formula_here():
    assert set(PER_JOINT) | {"pairwise-confusion", "mutual-channel"} == set(LOSSES.names())


def test_options_are_read_and_a_wrong_one_is_one_clear_line():
    read = parse_options(["gamma=2.5", "legacy-double-softmax=true"])
    assert read == {"gamma": 2.5, "legacy_double_softmax": True}
    assert build_loss("focal", {"gamma": 2.5}).gamma == 2.5
    assert option_names("alpha-js") == ["alpha", "beta", "legacy_double_softmax"]
    with pytest.raises(UsageError, match="loss focal has no option 'gama'") as caught:
        build_loss("focal", {"gama": 2.0})
    assert caught.value.hint == "did you mean 'gamma'?"
    with pytest.raises(UsageError, match="loss ce has no option 'beta'"):
        build_loss("ce", {"beta": 2.0})
    with pytest.raises(UsageError, match="loss focal: gamma must be a finite number, at least 0"):
        build_loss("focal", {"gamma": "two"})
    for wrong in (["gamma"], ["=2"], ["gamma="]):
        with pytest.raises(UsageError, match="must be key=value"):
            parse_options(wrong)
    with pytest.raises(UsageError, match="'gamma' is repeated"):
        parse_options(["gamma=1", "gamma=2"])

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy
from torch.nn import functional

from sji_edge.losses.alpha_js import AlphaJSLoss, alpha_js_divergence, legacy_double_softmax

ALPHAS = [0.0, 1e-3, 0.1, 0.5, 0.9, 1 - 1e-3, 1.0]


def random_logits(classes: int, rows: int = 40, scale: float = 3.0) -> torch.Tensor:
    rng = np.random.default_rng(classes)
    return torch.from_numpy(rng.normal(0, scale, (rows, classes)))


def by_formula(logits: np.ndarray, alpha: float) -> np.ndarray:
    """The design's formula, row by row, with SciPy's entropies."""
    p = softmax(logits, axis=1)
    u = np.full_like(p, 1 / p.shape[1])
    if alpha == 0.0:
        return entropy(p, u, axis=1)
    if alpha == 1.0:
        return entropy(u, p, axis=1)
    m = alpha * p + (1 - alpha) * u
    skewed = entropy(m, axis=1) - alpha * entropy(p, axis=1) - (1 - alpha) * entropy(u, axis=1)
    return skewed / (alpha * (1 - alpha))


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("classes", [2, 3, 4, 5])
def test_the_value_is_that_of_the_formula(alpha, classes):
    logits = random_logits(classes)
    np.testing.assert_allclose(
        alpha_js_divergence(logits, alpha).numpy(), by_formula(logits.numpy(), alpha), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("classes", [2, 5])
def test_the_ends_are_the_limits_of_the_inside(classes):
    logits = random_logits(classes)
    for end, inside in ((0.0, 1e-8), (1.0, 1 - 1e-8)):
        torch.testing.assert_close(
            alpha_js_divergence(logits, end), alpha_js_divergence(logits, inside), atol=1e-4, rtol=1e-4
        )


@pytest.mark.parametrize("alpha", [*ALPHAS, 1e-6, 1 - 1e-6, 1e-12])
def test_float32_agrees_with_float64(alpha):
    logits = random_logits(3)
    wide = alpha_js_divergence(logits, alpha)
    narrow = alpha_js_divergence(logits.float(), alpha)
    assert narrow.dtype == torch.float32
    torch.testing.assert_close(narrow.double(), wide, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("alpha", [*ALPHAS, 1e-6])
def test_it_is_zero_at_uniform_only_and_positive_elsewhere(alpha):
    uniform = alpha_js_divergence(torch.full((1, 4), 2.5), alpha)
    assert abs(uniform.item()) < 1e-6
    assert (alpha_js_divergence(random_logits(4), alpha) > 1e-4).all()


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_gradient_is_that_of_the_value(alpha):
    logits = random_logits(3, rows=6).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: alpha_js_divergence(x, alpha), (logits,))


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_huge_logits_have_a_finite_value_and_gradient(alpha, dtype):
    rows = torch.tensor([[1.0, -1.0, 0.0], [-1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [-1.0, 0.0, -1.0]])
    logits = (3e4 * rows).to(dtype).requires_grad_()
    value = alpha_js_divergence(logits, alpha)
    value.sum().backward()
    assert torch.isfinite(value).all()
    assert (value >= -1e-5).all()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_order_of_classes_does_not_matter(alpha):
    logits = random_logits(5)
    torch.testing.assert_close(
        alpha_js_divergence(logits, alpha), alpha_js_divergence(logits[:, [3, 1, 4, 0, 2]], alpha)
    )


@pytest.mark.parametrize("beta", [0.1, 0.3, 1.0])
@pytest.mark.parametrize("classes", [2, 4])
def test_alpha_one_is_label_smoothing_scaled(beta, classes):
    logits = random_logits(classes).requires_grad_()
    targets = torch.arange(len(logits)) % classes
    smoothed = functional.cross_entropy(logits, targets, label_smoothing=beta / (1 + beta))
    (expected,) = torch.autograd.grad((1 + beta) * smoothed, logits)
    (gradient,) = torch.autograd.grad(AlphaJSLoss(1.0, beta)(logits, targets), logits)
    torch.testing.assert_close(gradient, expected, atol=1e-12, rtol=1e-9)


def test_alpha_zero_is_the_confidence_penalty():
    logits = random_logits(3).requires_grad_()
    targets = torch.arange(len(logits)) % 3
    p = logits.softmax(dim=1)
    penalized = functional.cross_entropy(logits, targets) + 0.3 * (p * p.log()).sum(dim=1).mean()
    (expected,) = torch.autograd.grad(penalized, logits)
    (gradient,) = torch.autograd.grad(AlphaJSLoss(0.0, 0.3)(logits, targets), logits)
    torch.testing.assert_close(gradient, expected, atol=1e-12, rtol=1e-9)


def test_beta_zero_is_cross_entropy():
    logits, targets = random_logits(3), torch.arange(40) % 3
    torch.testing.assert_close(
        AlphaJSLoss(0.1, 0.0)(logits, targets), functional.cross_entropy(logits, targets)
    )


def test_beta_one_pulls_a_perfect_two_class_answer_down_as_the_design_says():
    """β = 1, α = 0.1: the loss is least at p = 0.78."""
    p = np.linspace(0.5, 0.9999, 5000)
    logits = torch.from_numpy(np.stack([np.log(p), np.log1p(-p)], axis=1))
    loss = -torch.from_numpy(np.log(p)) + alpha_js_divergence(logits, 0.1)
    assert p[int(loss.argmin())] == pytest.approx(0.78, abs=0.005)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_legacy_penalty_takes_softmax_of_the_mixture_once_more(alpha, classes):
    logits = random_logits(classes)
    p = softmax(logits.numpy(), axis=1)
    u = np.full_like(p, 1 / classes)
    again = softmax(alpha * p + (1 - alpha) * u, axis=1)
    skewed = entropy(again, axis=1) - alpha * entropy(p, axis=1) - (1 - alpha) * entropy(u, axis=1)
    legacy = legacy_double_softmax(logits, alpha)
    np.testing.assert_allclose(legacy.numpy(), skewed / (alpha * (1 - alpha)), atol=1e-9)
    assert (legacy - alpha_js_divergence(logits, alpha)).abs().max() > 0.01
    targets = torch.arange(len(logits)) % classes
    loss = AlphaJSLoss(alpha, 0.7, legacy_double_softmax=True)(logits, targets)
    torch.testing.assert_close(loss, functional.cross_entropy(logits, targets) + 0.7 * legacy.mean())


@pytest.mark.parametrize(
    ("alpha", "beta", "legacy"),
    [
        (-0.1, 0.3, False),
        (1.1, 0.3, False),
        (float("nan"), 0.3, False),
        (0.1, -1.0, False),
        (0.1, float("inf"), False),
        (0.1, float("nan"), False),
        (0.0, 0.3, True),
        (1.0, 0.3, True),
    ],
)
def test_settings_out_of_range_are_refused(alpha, beta, legacy):
    with pytest.raises(
        ValueError,
        match=r"must be in \[0, 1\]|must be strictly between 0 and 1|must be finite and at least 0",
    ):
        AlphaJSLoss(alpha, beta, legacy)


def test_the_functions_check_alpha_as_well():
    with pytest.raises(ValueError):
        alpha_js_divergence(torch.zeros(1, 2), 1.5)
    with pytest.raises(ValueError):
        legacy_double_softmax(torch.zeros(1, 2), 1.0)

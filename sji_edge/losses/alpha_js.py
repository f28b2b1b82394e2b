"""Cross-entropy with the α-skew Jensen-Shannon penalty on over-confident predictions.

Sources: Ulger et al., IEEE TCPMT 2023, for solder joints; Meister, Salesky and Cotterell 2020
(arXiv 2005.00820), "Generalized Entropy Regularization", for the family.
"""

import math

import torch
from torch.nn import functional

from sji_edge.losses.joint_loss import JointLoss, wide

NEAR_END = 1e-9
"""Closer than this to 0 or 1, rounding is larger than the difference between the divergence and its limit."""


def alpha_js_divergence(logits: torch.Tensor, alpha: float) -> torch.Tensor:
    """α-skew Jensen-Shannon divergence between the uniform distribution and the prediction.

    With p = softmax(logits), u uniform and m = αp + (1−α)u:
    J_α = [H(m) − α H(p) − (1−α) H(u)] / (α (1−α)). The ends are its limits: KL(p‖u) at α = 0, the
    confidence penalty; KL(u‖p) at α = 1, label smoothing.

    Args:
        logits: float ``(n, classes)``.
        alpha: skew in [0, 1]; closer than ``NEAR_END`` to 0 or 1 it counts as 0 or 1.

    Returns:
        float32, or float64 for float64 logits, ``(n,)``, in nats; at least 0, and 0 only for a uniform prediction.

    Raises:
        ValueError: ``alpha`` is outside [0, 1].
    """
    if not 0.0 <= alpha <= 1.0:
        raise ValueError(f"alpha must be in [0, 1] (got {alpha})")
    log_p = _log_softmax(logits)
    log_classes = math.log(logits.shape[-1])
    if alpha < NEAR_END:
        divergence = log_classes - _entropy(log_p)
    elif alpha > 1.0 - NEAR_END:
        divergence = -log_classes - log_p.mean(dim=-1)
    else:
        divergence = _inner_divergence(log_p, alpha, log_classes)
    return divergence.to(_result_type(logits))


def _inner_divergence(log_p: torch.Tensor, alpha: float, log_classes: float) -> torch.Tensor:
    # A weighted sum of two KL divergences to the mixture keeps its precision; the entropy form of the docstring
    # loses half of its digits near α = 0 and 1.
    log_u = torch.full_like(log_p, -log_classes)
    log_m = torch.logaddexp(log_p + math.log(alpha), log_u + math.log1p(-alpha))
    from_p = (log_p.exp() * (log_p - log_m)).sum(dim=-1)
    from_u = (log_u - log_m).mean(dim=-1)
    return from_p / (1.0 - alpha) + from_u / alpha


def legacy_double_softmax(logits: torch.Tensor, alpha: float) -> torch.Tensor:
    """Compute the penalty of the authors' public script, which is not J_α, for comparison only.

    The script passes the mixture m, which already holds probabilities, through softmax again before it takes the
    entropy.

    Args:
        logits: float ``(n, classes)``.
        alpha: skew in (0, 1).

    Returns:
        float ``(n,)``.

    Raises:
        ValueError: ``alpha`` is not strictly between 0 and 1.
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must be strictly between 0 and 1 for the double softmax (got {alpha})")
    log_p = _log_softmax(logits)
    uniform = 1.0 / logits.shape[-1]
    mixture = alpha * log_p.exp() + (1.0 - alpha) * uniform
    mixture_entropy = _entropy(functional.log_softmax(mixture, dim=-1))
    uniform_entropy = math.log(logits.shape[-1])
    skewed = mixture_entropy - alpha * _entropy(log_p) - (1.0 - alpha) * uniform_entropy
    return (skewed / (alpha * (1.0 - alpha))).to(_result_type(logits))


class AlphaJSLoss(JointLoss):
    """Cross-entropy + β J_α.

    Args:
        alpha: skew in [0, 1].
        beta: weight of the penalty, ≥ 0.
        legacy_double_softmax: use the authors' published penalty instead of J_α.

    Raises:
        ValueError: ``alpha`` or ``beta`` is out of range.
    """

    def __init__(self, alpha: float = 0.1, beta: float = 0.3, legacy_double_softmax: bool = False) -> None:
        super().__init__()
        if not 0.0 <= alpha <= 1.0:
            raise ValueError(f"alpha must be in [0, 1] (got {alpha})")
        if not (beta >= 0.0 and math.isfinite(beta)):
            raise ValueError(f"beta must be finite and at least 0 (got {beta})")
        if legacy_double_softmax and alpha in (0.0, 1.0):
            raise ValueError(f"alpha must be strictly between 0 and 1 for the double softmax (got {alpha})")
        self.alpha = alpha
        self.beta = beta
        self.legacy_double_softmax = legacy_double_softmax

    def per_joint(
        self, logits: torch.Tensor, targets: torch.Tensor, features: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the penalized cross-entropy of each joint, in nats."""
        del features
        penalty = legacy_double_softmax if self.legacy_double_softmax else alpha_js_divergence
        cross_entropy = functional.cross_entropy(wide(logits), targets, reduction="none")
        return cross_entropy + self.beta * penalty(logits, self.alpha)


def _log_softmax(logits: torch.Tensor) -> torch.Tensor:
    # In float64, because the penalty divides small differences by α(1−α); Apple's GPUs do not support it.
    finest = torch.float32 if logits.device.type == "mps" else torch.float64
    return functional.log_softmax(logits.to(finest), dim=-1)


def _result_type(logits: torch.Tensor) -> torch.dtype:
    return torch.float64 if logits.dtype == torch.float64 else torch.float32


def _entropy(log_p: torch.Tensor) -> torch.Tensor:
    return -(log_p.exp() * log_p).sum(dim=-1)

"""Finds the best range method: each is judged by the verdicts that its graph changes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import ModelCard
from sji_edge.core.verdict import decide, defect_scores
from sji_edge.quantization.int8.quantizer import METHODS, Quantizer
from sji_edge.quantization.tensor_values import logits_on

AUTO = "auto"


@dataclass(frozen=True, order=True)
class DecisionError:
    """How far a graph's decisions are from the float graph's; lower is better, flips count first.

    Attributes:
        flips: verdicts that differ at the model's thresholds.
        score_error: root mean square Δscore.
        logit_error: root mean square Δlogit.
    """

    flips: int
    score_error: float
    logit_error: float

    def as_facts(self) -> dict[str, float | int]:
        """Return the figures for the manifest."""
        return {
            "flips": self.flips,
            "score_error": round(self.score_error, 6),
            "logit_error": round(self.logit_error, 6),
        }


def score_methods(
    quantizer: Quantizer, crops: NDArray[np.uint8], card: ModelCard, step: Callable[[str], None]
) -> dict[str, DecisionError]:
    """Quantize by each method and compare decisions with the float graph's.

    Args:
        quantizer: the model's quantizer; afterwards it uses the last method tried.
        crops: uint8 ``(n, height, width, channels)``, not used for the ranges.
        card: the model's thresholds and good class.
        step: receives each step in words.
    """
    reference = logits_on(quantizer.model, crops)
    scores = {}
    for method in METHODS:
        step(f"int8: ranges by {method}")
        quantizer.use(method)
        scores[method] = decision_error(reference, logits_on(quantizer.quantize(), crops), card)
    return scores


def decision_error(
    reference: NDArray[np.float32], candidate: NDArray[np.float32], card: ModelCard
) -> DecisionError:
    """Compare two graphs' logits, float32 ``(n, classes)``, at the card's thresholds for scores."""
    limits = card.thresholds.without_guard
    wanted, found = (defect_scores(logits, card.good_index) for logits in (reference, candidate))
    return DecisionError(
        flips=int((decide(wanted, limits) != decide(found, limits)).sum()),
        score_error=float(np.sqrt(np.mean((wanted - found) ** 2))),
        logit_error=float(np.sqrt(np.mean((reference - candidate) ** 2))),
    )

"""Agreement of two readings of the same items beyond chance: Cohen's κ (Educ. and Psychol. Measurement 20, 1960)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sji_edge.metrics.intervals import CONFIDENCE, clopper_pearson


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well two readings agree.

    Attributes:
        items: number of items that were read twice.
        agreed: number of items that were read alike.
        kappa: Cohen's κ; None without items, or where both readings always say the same one thing.
        low: lower limit of κ.
        high: upper limit of κ.
    """

    items: int
    agreed: int
    kappa: float | None
    low: float | None
    high: float | None


def cohen_kappa(pairs: Sequence[tuple[str, str]], confidence: float = CONFIDENCE) -> Agreement:
    """Return Cohen's κ of pairs of readings, with an interval.

    κ = (p_o − p_e) / (1 − p_e), where p_o is the share of items that were read alike and p_e is the share that would
    be by chance, from how often each reading says each word. The interval is the Clopper-Pearson interval of p_o at
    that p_e: unlike the large-sample error, it does not shrink to a point where a few items all agree.

    Args:
        pairs: first and second reading of each item.
        confidence: coverage of the interval, in (0, 1).
    """
    items, agreed = len(pairs), sum(first == second for first, second in pairs)
    firsts = Counter(first for first, _ in pairs)
    seconds = Counter(second for _, second in pairs)
    chance = sum(count * seconds[word] for word, count in firsts.items()) / items**2 if items else 1.0
    if chance >= 1.0:
        return Agreement(items, agreed, None, None, None)
    low, high = clopper_pearson(agreed, items, confidence)
    kappa, low, high = ((share - chance) / (1.0 - chance) for share in (agreed / items, low, high))
    return Agreement(items, agreed, kappa, low, high)

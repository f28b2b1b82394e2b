"""Whether one of many is called more often than the others: Fisher's exact test, and Holm's correction."""

import math
import sys

_NEGLIGIBLE = 1e-18
_HUGE = 1e200


def excess_p(called: int, judged: int, peers_called: int, peers_judged: int) -> float:
    """Return how likely so many calls are, or more, when the one is like its peers.

    Fisher's exact test, one-sided (R. A. Fisher, 1935): given all calls together, those of the one are
    hypergeometric. It needs no model of the peers' rate, and holds for a handful of boards.

    Args:
        called: how often the one was called, ``0 ≤ called ≤ judged``.
        judged: out of how many.
        peers_called: how often all its peers together were called.
        peers_judged: out of how many.

    Returns:
        P(X ≥ called), never 0; 1.0 where either was never judged.

    Raises:
        ValueError: counts out of range.
    """
    if not (0 <= called <= judged and 0 <= peers_called <= peers_judged):
        raise ValueError(f"{called} of {judged} and {peers_called} of {peers_judged} are no proportions")
    all_called = called + peers_called
    if not called or not peers_judged:
        return 1.0
    log_first = (
        _log_choose(judged, called)
        + _log_choose(peers_judged, peers_called)
        - _log_choose(judged + peers_judged, all_called)
    )
    term = total = 1.0
    for number in range(called, min(judged, all_called)):
        # P(X = number + 1) / P(X = number)
        term *= (judged - number) * (all_called - number)
        term /= (number + 1) * (peers_judged - all_called + number + 1)
        total += term
        if total > _HUGE:
            term, total, log_first = term / _HUGE, total / _HUGE, log_first + math.log(_HUGE)
        if term < _NEGLIGIBLE * total:
            break
    return min(1.0, max(sys.float_info.min, math.exp(log_first + math.log(total))))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)

"""Test whether one board, part or pin is called more often than its peers: Fisher's exact test."""

import math
import sys

_NEGLIGIBLE = 1e-18
_HUGE = 1e200


def excess_p(called: int, judged: int, peers_called: int, peers_judged: int) -> float:
    """Return the probability of at least this many calls if the one has the same rate as its peers.

    Fisher's exact test, one-sided (R. A. Fisher, 1935): given the total number of calls, those of the one follow a
    hypergeometric distribution. It needs no model of the peers' rate, and is exact for a handful of boards.

    Args:
        called: number of times the one was called, ``0 ≤ called ≤ judged``.
        judged: number of times it was judged.
        peers_called: number of times all its peers together were called.
        peers_judged: number of times they were judged.

    Returns:
        P(X ≥ called) in (0, 1]; 1.0 when the one was never called or the peers were never judged.

    Raises:
        ValueError: counts out of range.
    """
    if not (0 <= called <= judged and 0 <= peers_called <= peers_judged):
        raise ValueError(f"{called} of {judged} and {peers_called} of {peers_judged} are not proportions")
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

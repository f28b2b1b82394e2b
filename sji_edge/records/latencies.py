"""A board's latencies as columns of a table, in milliseconds."""

from collections.abc import Mapping

STAGES = ("acquire", "wait", "check", "align", "code", "crop", "infer", "decide", "since_capture")
"""Stages by the loop's names; those from ``wait`` on add up to ``since_capture``."""
LATENCY_COLUMNS = tuple(f"{stage}_ms" for stage in STAGES)


def in_ms(latency_ns: Mapping[str, int]) -> tuple[float | None, ...]:
    """Return one value for each of ``LATENCY_COLUMNS``; None for a stage that the board did not reach."""
    return tuple(round(latency_ns[stage] / 1e6, 3) if stage in latency_ns else None for stage in STAGES)

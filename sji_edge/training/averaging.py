"""Set the length of the moving average over a training's weights."""

EMA_SHARE = 0.1
"""Share of all steps over which weights are averaged."""


def ema_decay(steps: int) -> float:
    """Decay of the exponential moving average for a training of ``steps`` steps, at least 0.5."""
    return max(0.5, 1.0 - 1.0 / max(1.0, EMA_SHARE * steps))

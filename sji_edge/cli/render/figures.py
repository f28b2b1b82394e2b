"""Rates and figures as the tables of several commands show them."""


def rate(value: float | None, interval: tuple[float, float] | list[float] | None) -> str:
    """Format a rate with its 95 % interval: ``2.4 % [0.1, 12.9]``; a dash where it has no denominator."""
    if value is None or interval is None:
        return "–"
    return f"{value:.1%} [{interval[0] * 100:.1f}, {interval[1] * 100:.1f}]"


def figure(value: float | None) -> str:
    """Format a figure with four decimals; a dash where it has no denominator."""
    return "–" if value is None else f"{value:.4f}"

"""Reads a share that a person typed."""

import math


def parse_share(text: str) -> float | None:
    """Parse ``0.5%``, ``0.5 %`` or ``0.005``; None where the text is not a finite number."""
    number, percent = text.strip().removesuffix("%").strip(), text.strip().endswith("%")
    try:
        value = float(number) / (100.0 if percent else 1.0)
    except ValueError:
        return None
    return value if math.isfinite(value) else None

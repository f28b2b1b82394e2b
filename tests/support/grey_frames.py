"""Frames of one grey each, and the verdict that the bright model's thresholds give a score."""

import numpy as np
from support.bright_model import THRESHOLDS, frame_of

from sji_edge.testing import FakeSource

GREYS = list(range(30, 90))


def frames():
    return FakeSource(frame_of(np.full((40, 40), grey, np.uint8), index) for index, grey in enumerate(GREYS))


def verdict(score):
    return "PASS" if score < THRESHOLDS.lower else "REVIEW" if score < THRESHOLDS.upper else "FAIL"

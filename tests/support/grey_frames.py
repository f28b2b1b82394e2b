"""Frames of one mean grey level each, and the verdict that the bright model's thresholds give a score."""

from support.bright_model import THRESHOLDS, frame_of, grey_patch

from sji_edge.testing import FakeSource

GREYS = list(range(30, 90))


def frames():
    return FakeSource(frame_of(grey_patch(grey), index) for index, grey in enumerate(GREYS))


def verdict(score):
    return "PASS" if score < THRESHOLDS.lower else "REVIEW" if score < THRESHOLDS.upper else "FAIL"

"""Crops and pools for tests."""

import hashlib

import cv2
import numpy as np

from sji_edge.pool.rows import Box, Judged, NewCrop, Origin
from sji_edge.pool.schema import KeptBecause

ENGINE, OTHER = "e" * 64, "f" * 64
UTC = "2026-01-31T08:00:00+00:00"


def origin(unit: str = "SN1", **changes: object) -> Origin:
    """Return a frame's origin; its hash follows from the unit."""
    found = {
        "board": "amplifier",
        "unit": unit,
        "source": "frames/",
        "frame_index": 0,
        "frame_name": f"{unit}.png",
        "frame_sha256": hashlib.sha256(unit.encode()).hexdigest(),
        "captured": UTC,
        "recipe_sha256": "a" * 64,
    }
    return Origin(**(found | changes))


def picture(seed: int = 0, side: int = 20) -> bytes:
    """Return a PNG of grey noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side), dtype=np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def new_crop(refdes: str = "J1", *judged: Judged, seed: int = 0, **changes: object) -> NewCrop:
    """Return a crop with a box of 10 x 10 pixels in its middle."""
    found = {
        "refdes": refdes,
        "package": "bar",
        "png": picture(seed),
        "box": Box(5.0, 5.0, 10.0, 10.0),
        "margin": 0.5,
        "kept_because": KeptBecause.ALL,
        "likeness": bytes(32),
        "judged": judged,
    }
    return NewCrop(**(found | changes))


def judged(score: float, engine: str = ENGINE, **changes: object) -> Judged:
    """Return a judgement with thresholds of 0.4 and 0.6."""
    verdict = "PASS" if score < 0.4 else "FAIL" if score >= 0.6 else "REVIEW"
    return Judged(engine, verdict, score, 0.4, 0.6, doubt=abs(score - 0.5), **changes)

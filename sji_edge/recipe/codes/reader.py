"""Reads the code in an area of a frame with zxing-cpp; a text is accepted only on evidence that rules out a misread.

A Data Matrix or QR code carries Reed-Solomon error correction: a symbol that used up nearly all of it counts only if a
second picture gives the same text. A Code 128 has one check symbol modulo 103, which one wrong reading in a hundred
passes: it counts if two bands of the bars that share no row agree and no band disagrees.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np

from sji_edge.core.clock import Clock
from sji_edge.core.extras import load
from sji_edge.core.preprocess import Image, Matrix, to_channels
from sji_edge.core.text import readable
from sji_edge.recipe.codes.area import CodeArea, SerialRule
from sji_edge.recipe.codes.pictures import (
    BANDS,
    BARS_PX,
    SIDE_PX,
    Floats,
    bar_profiles,
    bar_rows,
    cut_area,
    matrix_pictures,
)

FORMATS = {"data-matrix": "DataMatrix", "qr": "QRCode", "code-128": "Code128"}
LITTLE_CORRECTION_LEFT = 0.25
"""A matrix code with a smaller unused share of its error correction must be read alike from two pictures."""
BAR_ATTEMPTS = ((BANDS, 0.0), (2 * BANDS, 0.0), (BANDS, 1.5), (3, 3.0))
"""Bands and sharpening of each attempt at a bar code."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The text of a code, or why there is none."""

    text: str = ""
    reason: str = ""


class CodeReader:
    """Reads one area of a board's frames.

    Args:
        area: where the code is.
        rule: what its text looks like.
        clock: measures the budget.

    Raises:
        MissingExtraError: zxing-cpp is not installed.
    """

    def __init__(self, area: CodeArea, rule: SerialRule, clock: Clock) -> None:
        self._zxing: Any = load("zxingcpp", purpose="reading codes")
        self._area = area
        self._rule = rule
        self._clock = clock
        matrix = [FORMATS[kind] for kind in area.kinds if kind != "code-128"]
        self._matrix = [getattr(self._zxing.BarcodeFormat, name) for name in matrix]
        self._bars = "code-128" in area.kinds

    def read(self, frame: Image, to_frame: Matrix) -> Reading:
        """Read the code.

        Args:
            frame: uint8, grey or BGR.
            to_frame: from recipe to frame pixels, float64 ``(2, 3)``.
        """
        begun_ns = self._clock.monotonic_ns()
        seen: Counter[str] = Counter()
        refused = ""
        attempts = 0
        for found in self._attempts(to_channels(frame, 1), to_frame):
            attempts += 1
            accepted = {text: votes for text, votes in found.items() if self._rule.accepts(text)}
            refused = next((text for text in found if text not in accepted), refused)
            seen.update(accepted)
            if len(seen) > 1:
                first, second = (readable(text) for text in list(seen)[:2])
                return Reading(reason=f"the area holds two codes, {first} and {second}")
            for text, votes in seen.items():
                if votes >= 2:
                    return Reading(text)
            spent_ms = (self._clock.monotonic_ns() - begun_ns) / 1e6
            if spent_ms >= self._area.budget_ms:
                break
        if refused and not seen:
            return Reading(reason=f"the code says {readable(refused[:80])}, which is not a serial number")
        weak = ", one read it, but not surely enough" if seen else ""
        return Reading(reason=f"no code was read in {attempts} attempts{weak}")

    def _attempts(self, grey: Image, to_frame: Matrix) -> Iterator[dict[str, int]]:
        """Yield the texts that each attempt reads, each with its votes: two are enough to accept it."""
        for pair in zip_longest(self._matrix_attempts(grey, to_frame), self._bar_attempts(grey, to_frame)):
            yield from (found for found in pair if found is not None)

    def _matrix_attempts(self, grey: Image, to_frame: Matrix) -> Iterator[dict[str, int]]:
        if self._matrix:
            for picture, even in matrix_pictures(cut_area(grey, self._area, to_frame, SIDE_PX)):
                yield self._matrix_codes(picture, even)

    def _bar_attempts(self, grey: Image, to_frame: Matrix) -> Iterator[dict[str, int]]:
        if self._bars:
            rows = bar_rows(cut_area(grey, self._area, to_frame, BARS_PX))
            for bands, sharpen in BAR_ATTEMPTS:
                yield self._bar_codes(rows, bands, sharpen)

    def _matrix_codes(self, picture: Image, even: bool) -> dict[str, int]:
        binarizer = self._zxing.Binarizer
        found = self._zxing.read_barcodes(
            picture,
            formats=self._matrix,
            text_mode=self._zxing.TextMode.Plain,
            binarizer=binarizer.GlobalHistogram if even else binarizer.LocalAverage,
        )
        votes: dict[str, int] = {}
        for code in found:
            left = (code.extra or {}).get("UEC", 0.0)
            text = code.text.strip()
            votes[text] = max(votes.get(text, 0), 1 if left < LITTLE_CORRECTION_LEFT else 2)
        return votes

    def _bar_codes(self, rows: Floats, bands: int, sharpen: float) -> dict[str, int]:
        votes: Counter[str] = Counter()
        for profile in bar_profiles(rows, bands, sharpen):
            # One band is one vote, whatever the number of ways in which it is read.
            votes.update(self._profile_texts(profile))
        # Bands of another attempt may share rows with these, so a lone vote is not carried over.
        return {text: count if count >= 2 else 0 for text, count in votes.items()}

    def _profile_texts(self, profile: Image) -> set[str]:
        binarizer = self._zxing.Binarizer
        texts: set[str] = set()
        for picture in (profile, 255 - profile):
            for how in (binarizer.LocalAverage, binarizer.GlobalHistogram):
                found = self._zxing.read_barcodes(
                    np.ascontiguousarray(picture),
                    formats=self._zxing.BarcodeFormat.Code128,
                    text_mode=self._zxing.TextMode.Plain,
                    binarizer=how,
                    try_rotate=False,
                    try_downscale=False,
                    try_invert=False,
                )
                texts.update(code.text.strip() for code in found)
        return texts

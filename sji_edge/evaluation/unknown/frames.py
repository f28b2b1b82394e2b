"""Scenes from the joints of a frame, and frames in which some joints were changed."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.preprocess import Image, Matrix, crops_to_image, outside_frame, sample_crop
from sji_edge.evaluation.unknown.scene import Layer, Plane, Scene, contrast, plane, to_image

GROWN = 1.16
"""A change reaches this far beyond a joint's box, so that its border does not run through the crop."""
NEAR_BOXES = 4.0
"""The board near a joint: centres up to this many box sides away."""
CANDIDATES = 60
PLAINEST, MIN_CONTRAST = 4, 4.0
"""The background of an absent joint is one of this many candidates with the least contrast: pads and vias that the
recipe does not name have more. Contrast is in grey levels."""

Boxes = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Shot:
    """One frame with its joints.

    Attributes:
        name: the frame's.
        pixels: uint8 grey or BGR.
        matrix: from recipe to frame pixels, as the product aligned it, float64 ``(2, 3)``.
        boxes: the recipe's, float64 ``(n, 5)``.
        packages: package of each joint.
        good: which joints are known to be good, bool ``(n,)``.
        bad: which joints are known to be defective, bool ``(n,)``.
    """

    name: str
    pixels: Image
    matrix: Matrix
    boxes: Boxes
    packages: Sequence[str]
    good: NDArray[np.bool_]
    bad: NDArray[np.bool_]

    def scene(self, joint: int) -> Scene:
        """Return the scene of one joint, a little larger than its box."""
        box = _grown(self.boxes[joint])
        size = _pixels(box)
        alike = np.flatnonzero(self.good)

        def other(rng: np.random.Generator) -> Plane:
            return self._view(_grown(self.boxes[int(rng.choice(alike))]))

        def shifted(right: float, down: float, _rng: np.random.Generator) -> Plane:
            moved = box.copy()
            cos, sin = np.cos(box[4]), np.sin(box[4])
            x, y = right * self.boxes[joint, 2], down * self.boxes[joint, 3]
            moved[:2] += x * cos - y * sin, x * sin + y * cos
            return self._view(moved, size)

        def background(rng: np.random.Generator) -> Plane | None:
            places = self._free(box, rng, NEAR_BOXES * float(box[2:4].max()), clearance=0.5)
            views = [self._view(place, size) for place in places]
            # A stretch without any texture, such as the border of a drawn board, is used only where nothing else is.
            textured = [view for view in views if contrast(view) >= MIN_CONTRAST] or views
            plainest = sorted(textured, key=contrast)[:PLAINEST]
            return plainest[int(rng.integers(len(plainest)))] if plainest else None

        def elsewhere(rng: np.random.Generator) -> Plane | None:
            places = self._free(box, rng, None, clearance=0.3)
            return self._view(places[0], size) if places else None

        def stranger(rng: np.random.Generator) -> Plane | None:
            strange = [
                place
                for place in np.flatnonzero(self.good).tolist()
                if self.packages[place] not in ("", self.packages[joint])
            ]
            if not strange:
                return None
            moved = box.copy()
            moved[:2] = self.boxes[int(rng.choice(strange)), :2]
            return self._view(moved, size)

        return Scene(self._view(box, size), other, shifted, background, elsewhere, stranger)

    def _view(self, box: Boxes, size: tuple[int, int] | None = None) -> Plane:
        """Return what the frame shows in a box, float32 ``(h, w, c)``."""
        height, width = size or _pixels(box)
        channels = 1 if self.pixels.ndim == 2 else 3
        spec = PreprocessSpec(height=height, width=width, channels=1 if channels == 1 else 3)
        out = np.empty(spec.shape, np.uint8)
        sample_crop(self.pixels, crops_to_image(box[None], spec, self.matrix)[0], out)
        return plane(out)

    def _free(
        self, box: Boxes, rng: np.random.Generator, reach: float | None, *, clearance: float
    ) -> list[Boxes]:
        """Return places of a box's size that cover no joint, within ``reach`` or anywhere on the board.

        Args:
            box: ``(5,)``.
            rng: chooses them.
            reach: largest distance between the centres, in recipe pixels; None for the area that the joints span.
            clearance: share of both sizes added up that the centres must keep, along x or y; 0.5 keeps boxes apart.
        """
        if reach is None:
            low, high = self.boxes[:, :2].min(axis=0), self.boxes[:, :2].max(axis=0)
        else:
            low, high = box[:2] - reach, box[:2] + reach
        places = rng.uniform(low, high, (CANDIDATES * 4, 2))
        apart = np.abs(places[:, None] - self.boxes[None, :, :2])
        kept = clearance * (box[2:4] + self.boxes[None, :, 2:4])
        beside = np.any(apart >= kept, axis=2)
        free = places[np.all(beside, axis=1)][:CANDIDATES]
        found = np.tile(box, (len(free), 1))
        found[:, :2] = free
        spec = PreprocessSpec()
        seen = ~outside_frame(crops_to_image(found, spec, self.matrix), spec, self.pixels.shape)
        return list(found[seen])


def with_layers(shot: Shot, layers: dict[int, Layer]) -> Image:
    """Return a copy of the frame in which a layer lies over each of some joints.

    Args:
        shot: the frame.
        layers: by joint, of the size of ``shot.scene(joint).own``.
    """
    frame = shot.pixels.copy()
    for joint, (fill, shown) in layers.items():
        size = shown.shape
        spec = PreprocessSpec(height=size[0], width=size[1], channels=1)
        to_frame = crops_to_image(_grown(shot.boxes[joint])[None], spec, shot.matrix)[0]
        corners = to_frame @ np.array(
            [[0, size[1] - 1, 0, size[1] - 1], [0, 0, size[0] - 1, size[0] - 1], [1] * 4]
        )
        low = np.maximum(np.floor(corners.min(axis=1)).astype(int), 0)
        high = np.minimum(np.ceil(corners.max(axis=1)).astype(int) + 1, (frame.shape[1], frame.shape[0]))
        to_frame[:, 2] -= low
        extent = (int(high[0] - low[0]), int(high[1] - low[1]))
        laid = plane(cv2.warpAffine(fill, to_frame, extent, borderMode=cv2.BORDER_REPLICATE))
        share = plane(cv2.warpAffine(shown, to_frame, extent))
        place = (slice(low[1], high[1]), slice(low[0], high[0]))
        mixed = plane(frame[place]) * (1 - share) + laid * share
        frame[place] = to_image(mixed, frame)
    return frame


def _grown(box: Boxes) -> Boxes:
    grown = box.copy()
    grown[2:4] *= GROWN
    return grown


def _pixels(box: Boxes) -> tuple[int, int]:
    return max(2, round(float(box[3]))), max(2, round(float(box[2])))

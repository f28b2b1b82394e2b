"""The picture of a good joint, and what may take its place: the material that the kinds are drawn from."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.preprocess import Image

Plane = NDArray[np.float32]
Layer = tuple[Plane, Plane]
"""What is laid over a picture, float32 ``(h, w, c)`` in grey levels, and how much of it shows at each pixel, float32
``(h, w)`` from 0 to 1."""

RIM_SHARE = 0.12
"""Side of the block at a picture's border that tells what surrounds the joint, as a share of the shorter side."""


@dataclass(frozen=True)
class Scene:
    """A good joint in its surroundings. Fields that a source cannot provide are None.

    Attributes:
        own: the joint, float32 ``(h, w, c)`` in grey levels.
        others: another good joint, drawn at random, float32 of any size.
        shifted: what the joint's box would show if it lay this far off, in shares of its width and height.
        background: the board near the joint where it has no joint, of the size of ``own``.
        elsewhere: any other place of the board, of the size of ``own``.
        stranger: a joint of another package in this joint's box, of the size of ``own``.
    """

    own: Plane
    others: Callable[[np.random.Generator], Plane]
    shifted: Callable[[float, float, np.random.Generator], Plane]
    background: Callable[[np.random.Generator], Plane | None] | None = field(default=None)
    elsewhere: Callable[[np.random.Generator], Plane | None] | None = field(default=None)
    stranger: Callable[[np.random.Generator], Plane | None] | None = field(default=None)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the picture, in pixels."""
        return self.own.shape[0], self.own.shape[1]

    @property
    def side(self) -> float:
        """The shorter side, in pixels; objects are sized by it."""
        return float(min(self.size))


def plane(picture: Any) -> Plane:
    """Return a picture as float32 ``(h, w, c)``, one channel for a grey one."""
    values = np.asarray(picture, np.float32)
    return values if values.ndim == 3 else values[..., None]


def laid_over(picture: Plane, layer: Layer) -> Plane:
    """Return the picture with the layer over it."""
    fill, shown = layer
    return plane(picture * (1 - shown[..., None]) + fill * shown[..., None])


def to_image(picture: Plane, like: Image) -> Image:
    """Return a picture as uint8, grey ``(h, w)`` or BGR ``(h, w, 3)`` as ``like`` is."""
    levels: Image = np.rint(np.clip(picture, 0, 255)).astype(np.uint8)
    return levels if like.ndim == 3 else levels[..., 0]


def resized(picture: Plane, size: tuple[int, int]) -> Plane:
    """Return a picture scaled to ``(h, w)``."""
    shrinks = size[0] < picture.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return plane(cv2.resize(picture, (size[1], size[0]), interpolation=method))


def everywhere(size: tuple[int, int]) -> Plane:
    """Return a layer's share that shows all of it."""
    return np.ones(size, np.float32)


def surface(scene: Scene, level: float, grain: float, slope: float, rng: np.random.Generator) -> Plane:
    """Return a plain surface: one level that rises by ``slope`` across the picture, with a camera's grain."""
    height, width = scene.size
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    rise = (np.cos(angle) * columns / width + np.sin(angle) * rows / height) * slope
    noise = cv2.GaussianBlur(rng.normal(0, grain, (height, width)).astype(np.float32), (0, 0), 0.6)
    shade = plane(np.clip(level + rise + noise, 0, 255))
    return shade + np.zeros_like(scene.own)


def surroundings(scene: Scene) -> Plane:
    """Return what lies around the joint, continued over the picture: the plainest block at its border, mirrored."""
    own, (height, width) = scene.own, scene.size
    block = max(2, round(RIM_SHARE * scene.side))
    rows, columns = range(0, height - block + 1, block), range(0, width - block + 1, block)
    places = [(row, column) for row in rows for column in (columns[0], width - block)]
    places += [(row, column) for row in (rows[0], height - block) for column in columns]
    blocks = [own[row : row + block, column : column + block] for row, column in places]
    plainest = min(blocks, key=contrast)
    below = ((0, height - block), (0, width - block), (0, 0))
    return plane(np.pad(plainest, below, mode="symmetric"))


def contrast(picture: Plane) -> float:
    """Return the range of grey levels, without the 2 % brightest and darkest pixels."""
    low, high = np.percentile(picture, [2, 98])
    return float(high - low)

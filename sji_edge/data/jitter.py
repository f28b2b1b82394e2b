"""Random views of a joint, varied as on a line: placement, focus, light; needs NumPy and OpenCV only.

The geometric part changes the crop's affine map, so that a jittered view is still one resampling of
the original pixels by ``core.preprocess``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.preprocess import (
    Image,
    Matrix,
    RoiPx,
    crop_to_image,
    sample_crop,
    to_channels,
    whole_image_roi,
)


@dataclass(frozen=True, slots=True)
class Jitter:
    """Limits of a random view.

    Attributes:
        flips: whether to mirror and turn by quarters, each equally likely.
        angle_rad: maximum rotation.
        shift: maximum shift, as a share of the box.
        zoom: minimum and maximum factor on the box's size.
        aspect: maximum factor on the box's aspect ratio.
        gain: maximum factor on brightness.
        offset: maximum change of brightness, in grey levels.
        blur_px: maximum sigma of a Gaussian blur, in crop pixels.
        noise: maximum sigma of Gaussian noise, in grey levels.
    """

    flips: bool = True
    angle_rad: float = 0.12
    shift: float = 0.06
    zoom: tuple[float, float] = (0.8, 1.4)
    aspect: float = 1.15
    gain: float = 1.25
    offset: float = 8.0
    blur_px: float = 0.7
    noise: float = 4.0


TRAINING_JITTER = Jitter()
LINE_JITTER = Jitter(
    flips=False,
    angle_rad=0.01,
    shift=0.03,
    zoom=(0.97, 1.03),
    aspect=1.0,
    gain=1.05,
    offset=2.0,
    blur_px=0.0,
    noise=1.0,
)
"""What remains on a line after alignment: about 2 px of placement and 5 % of gain."""


def jittered_crop(image: Image, spec: PreprocessSpec, jitter: Jitter, rng: np.random.Generator) -> Image:
    """Return one random view of an image that shows one joint.

    Args:
        image: uint8, grey ``(h, w)`` or BGR ``(h, w, 3)``.
        spec: the crop's size and channels.
        jitter: the limits.
        rng: the source of randomness.

    Returns:
        uint8 ``(height, width, channels)``.
    """
    out = np.empty(spec.shape, np.uint8)
    prepared = to_channels(image, spec.channels)
    crop_map = _jittered_map(whole_image_roi(prepared), spec, jitter, rng)
    sample_crop(prepared, crop_map, out)
    return _relit(out, jitter, rng)


def jittered_crops(
    images: Sequence[Image], spec: PreprocessSpec, jitter: Jitter, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Return one random view of each image, uint8 ``(n, height, width, channels)``."""
    return np.stack([jittered_crop(image, spec, jitter, rng) for image in images])


def _jittered_map(roi: RoiPx, spec: PreprocessSpec, jitter: Jitter, rng: np.random.Generator) -> Matrix:
    zoom = np.exp(rng.uniform(*np.log(jitter.zoom)))
    stretch = np.exp(rng.uniform(-0.5, 0.5) * np.log(jitter.aspect))
    shift_x, shift_y = rng.uniform(-jitter.shift, jitter.shift, 2)
    moved = RoiPx(
        roi.x + shift_x * roi.width,
        roi.y + shift_y * roi.height,
        roi.width * zoom * stretch,
        roi.height * zoom / stretch,
        rng.uniform(-jitter.angle_rad, jitter.angle_rad),
    )
    crop_map = crop_to_image(moved, spec)
    return crop_map @ _random_flip(spec, rng) if jitter.flips else crop_map


def _random_flip(spec: PreprocessSpec, rng: np.random.Generator) -> Matrix:
    """Return one of the crop's eight symmetries as a homogeneous map of crop pixels, ``(3, 3)``."""
    symmetry = int(rng.integers(8))
    size = np.array([spec.width, spec.height], dtype=np.float64)
    linear = np.eye(2)
    if symmetry & 1:
        linear[0] = -linear[0]
    if symmetry & 2:
        linear[1] = -linear[1]
    if symmetry & 4:
        linear = linear[::-1] * (size / size[::-1])[:, None]
    centre = (size - 1) / 2
    flip = np.eye(3)
    flip[:2, :2] = linear
    flip[:2, 2] = centre - linear @ centre
    return flip


def _relit(crop: Image, jitter: Jitter, rng: np.random.Generator) -> Image:
    gain = np.exp(rng.uniform(-1.0, 1.0) * np.log(jitter.gain))
    offset = rng.uniform(-jitter.offset, jitter.offset)
    pixels: NDArray[np.float32] = crop.astype(np.float32) * np.float32(gain) + np.float32(offset)
    sigma_px = rng.uniform(0.0, jitter.blur_px)
    if sigma_px > 0.2:
        pixels = cv2.GaussianBlur(pixels, (0, 0), sigma_px).reshape(crop.shape).astype(np.float32, copy=False)
    if jitter.noise > 0.0:
        sigma = np.float32(rng.uniform(0.0, jitter.noise))
        pixels += rng.standard_normal(crop.shape, dtype=np.float32) * sigma
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)

"""Disturbances as they occur on a production line, each at five rising strengths."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.images.read import decode_image
from sji_edge.core.preprocess import (
    Image,
    RoiPx,
    crop_of_image,
    crop_to_image,
    sample_crop,
    to_channels,
    whole_image_roi,
)

Crops = NDArray[np.uint8]
Perturb = Callable[[Image, PreprocessSpec, float, np.random.Generator], Image]


@dataclass(frozen=True)
class Perturbation:
    """One kind of disturbance with its strengths in ``unit``, weakest first."""

    name: str
    unit: str
    strengths: tuple[float, ...]
    apply: Perturb


def perturbed(
    images: Sequence[Image], spec: PreprocessSpec, kind: Perturbation, strength: float, seed: int
) -> Crops:
    """Return disturbed crops of images that show one joint each, uint8 ``(n, height, width, channels)``.

    Shift and rotation change the crop's affine map, so the original pixels are resampled only once.

    Args:
        images: one joint each, as stored.
        spec: size and channels of the crop.
        kind: the disturbance.
        strength: in ``kind.unit``.
        seed: of the random numbers; the same seed gives the same crops.
    """
    rng = np.random.default_rng(seed)
    return np.stack([kind.apply(image, spec, strength, rng) for image in images])


def _on_pixels(
    change: Callable[[NDArray[np.float32], float, np.random.Generator], NDArray[np.floating]],
) -> Perturb:
    def apply(image: Image, spec: PreprocessSpec, strength: float, rng: np.random.Generator) -> Image:
        crop = crop_of_image(image, spec)
        changed = change(crop.astype(np.float32), strength, rng)
        levels: Image = np.clip(np.rint(changed), 0, 255).astype(np.uint8).reshape(crop.shape)
        return levels

    return apply


def _on_map(move: Callable[[RoiPx, PreprocessSpec, float, np.random.Generator], RoiPx]) -> Perturb:
    def apply(image: Image, spec: PreprocessSpec, strength: float, rng: np.random.Generator) -> Image:
        prepared = to_channels(image, spec.channels)
        out = np.empty(spec.shape, np.uint8)
        sample_crop(prepared, crop_to_image(move(whole_image_roi(prepared), spec, strength, rng), spec), out)
        return out

    return apply


def _noise(pixels: NDArray[np.float32], sigma: float, rng: np.random.Generator) -> NDArray[np.floating]:
    return pixels + rng.standard_normal(pixels.shape, dtype=np.float32) * np.float32(sigma)


def _shot_noise(pixels: NDArray[np.float32], share: float, rng: np.random.Generator) -> NDArray[np.floating]:
    electrons = 1.0 / share**2
    return rng.poisson(pixels / 255.0 * electrons) / electrons * 255.0


def _blur(pixels: NDArray[np.float32], sigma_px: float, _rng: np.random.Generator) -> NDArray[np.floating]:
    return cv2.GaussianBlur(pixels, (0, 0), sigma_px).astype(np.float32)


def _jpeg(pixels: NDArray[np.float32], loss: float, _rng: np.random.Generator) -> NDArray[np.floating]:
    quality = [cv2.IMWRITE_JPEG_QUALITY, round(100 - loss)]
    data = cv2.imencode(".jpg", pixels.astype(np.uint8), quality)[1].tobytes()
    return decode_image(data, "a JPEG of this process").astype(np.float32)


def _gain(pixels: NDArray[np.float32], percent: float, rng: np.random.Generator) -> NDArray[np.floating]:
    return pixels * np.float32((1.0 + percent / 100.0) ** rng.choice([-1.0, 1.0]))


def _offset(pixels: NDArray[np.float32], levels: float, rng: np.random.Generator) -> NDArray[np.floating]:
    return pixels + np.float32(levels * rng.choice([-1.0, 1.0]))


def _shift(roi: RoiPx, spec: PreprocessSpec, pixels: float, rng: np.random.Generator) -> RoiPx:
    angle = rng.uniform(-np.pi, np.pi)
    x = roi.x + pixels * np.cos(angle) * roi.width / spec.width
    y = roi.y + pixels * np.sin(angle) * roi.height / spec.height
    return RoiPx(x, y, roi.width, roi.height, roi.angle_rad)


def _rotation(roi: RoiPx, _spec: PreprocessSpec, degrees: float, rng: np.random.Generator) -> RoiPx:
    turn = float(np.radians(degrees) * rng.choice([-1.0, 1.0]))
    return RoiPx(roi.x, roi.y, roi.width, roi.height, roi.angle_rad + turn)


PERTURBATIONS = (
    Perturbation("gaussian noise", "grey levels", (4, 8, 16, 24, 32), _on_pixels(_noise)),
    Perturbation("shot noise", "of white", (0.03, 0.05, 0.08, 0.12, 0.2), _on_pixels(_shot_noise)),
    Perturbation("blur", "px", (0.5, 1.0, 1.5, 2.0, 3.0), _on_pixels(_blur)),
    Perturbation("jpeg", "quality lost", (20, 50, 70, 85, 92), _on_pixels(_jpeg)),
    Perturbation("gain", "%", (10, 20, 35, 50, 80), _on_pixels(_gain)),
    Perturbation("offset", "grey levels", (10, 20, 35, 50, 70), _on_pixels(_offset)),
    Perturbation("shift", "crop px", (1, 2, 4, 6, 10), _on_map(_shift)),
    Perturbation("rotation", "deg", (2, 5, 10, 20, 30), _on_map(_rotation)),
)

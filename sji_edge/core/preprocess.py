"""Turns pixels into crops of the model's size; nothing else in sji-edge does.

A joint is a box in an image: the recipe's box in a camera frame, or the whole image of a dataset. Either way the crop
is one bilinear resampling through the box's affine map, so that training, calibration, parity and the inspection loop
see the same pixels. Coordinates follow OpenCV: pixel centres are at whole numbers.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import PreprocessSpec

Image = NDArray[np.uint8]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RoiPx:
    """A joint's box in frame pixels: centre, size, and rotation (a positive angle turns x towards y)."""

    x: float
    y: float
    width: float
    height: float
    angle_rad: float = 0.0


def to_channels(image: Image, channels: int) -> Image:
    """Convert an image to the model's channels: grey ``(h, w)`` for 1, BGR ``(h, w, 3)`` for 3."""
    if channels == 1 and image.ndim == 3:
        return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.uint8, copy=False)
    if channels == 3 and image.ndim == 2:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR).astype(np.uint8, copy=False)
    return image


def whole_image_roi(image: Image) -> RoiPx:
    """Return the box that covers an image; resampling through it equals a bilinear resize."""
    height, width = image.shape[:2]
    return RoiPx((width - 1) / 2, (height - 1) / 2, width, height)


def crop_to_image(roi: RoiPx, spec: PreprocessSpec) -> Matrix:
    """Return the affine map of a box from crop pixels to image pixels, float64 ``(2, 3)``."""
    box = np.array([[roi.x, roi.y, roi.width, roi.height, roi.angle_rad]])
    crop_map: Matrix = crops_to_image(box, spec)[0]
    return crop_map


def crops_to_image(rois: Matrix, spec: PreprocessSpec, alignment: Matrix | None = None) -> Matrix:
    """Compute the affine maps from crop pixels to frame pixels for all joints at once.

    Args:
        rois: float64 ``(n, 5)``: x, y, width, height in recipe pixels and angle in radians.
        spec: size of the crop.
        alignment: from recipe pixels to frame pixels, float64 ``(2, 3)``; None for the identity.

    Returns:
        float64 ``(n, 2, 3)``, C-contiguous.
    """
    _, _, width, height, angle = rois.T
    cos, sin = np.cos(angle), np.sin(angle)
    step_x, step_y = width / spec.width, height / spec.height
    maps = np.empty((len(rois), 2, 3))
    maps[:, 0, 0], maps[:, 0, 1] = cos * step_x, -sin * step_y
    maps[:, 1, 0], maps[:, 1, 1] = sin * step_x, cos * step_y
    # The centre of the crop, (size - 1) / 2 in crop pixels, is mapped to the centre of the box.
    centre_x, centre_y = (spec.width - 1) / 2, (spec.height - 1) / 2
    maps[:, :, 2] = rois[:, :2] - maps[:, :, 0] * centre_x - maps[:, :, 1] * centre_y
    if alignment is None:
        return maps
    # Written out: NumPy's matmul of a hundred 2x2 matrices takes several times as long.
    carried = alignment[:, :1] * maps[:, :1] + alignment[:, 1:2] * maps[:, 1:]
    carried[:, :, 2] += alignment[:, 2]
    return carried


def outside_frame(maps: Matrix, spec: PreprocessSpec, frame_shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return for each crop map whether a corner pixel samples outside the frame, bool ``(n,)``."""
    right, bottom = spec.width - 1.0, spec.height - 1.0
    corners = np.array([[0.0, 0.0, 1.0], [right, 0.0, 1.0], [0.0, bottom, 1.0], [right, bottom, 1.0]])
    points = maps @ corners.T
    limit = np.array([frame_shape[1] - 0.5, frame_shape[0] - 0.5])[:, None]
    # Comparisons with NaN are false, so a map that is not finite counts as outside.
    inside: NDArray[np.bool_] = ((points >= -0.5) & (points <= limit)).all(axis=(1, 2))
    return ~inside


_RESAMPLING = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


def sample_crop(image: Image, crop_map: Matrix, out: Image) -> None:
    """Resample one crop through its affine map: bilinear, with edge pixels repeated.

    Args:
        image: uint8, grey ``(h, w)`` or BGR ``(h, w, 3)``, with the channels of ``out``.
        crop_map: float64 ``(2, 3)``, from crop to image pixels.
        out: uint8 ``(height, width, channels)``, C-contiguous; written in place.
    """
    crops_of_frame(image, crop_map[None], out[None])


def crop_of_image(image: Image, spec: PreprocessSpec) -> Image:
    """Crop an image that shows one joint, uint8 ``(height, width, channels)``."""
    out = np.empty(spec.shape, np.uint8)
    prepared = to_channels(image, spec.channels)
    sample_crop(prepared, crop_to_image(whole_image_roi(prepared), spec), out)
    return out


def crops_of_frame(frame: Image, maps: Matrix, out: Image) -> None:
    """Cut joints of a frame into the engine's input buffer, each as ``sample_crop`` does.

    Args:
        frame: uint8, grey ``(h, w)`` or BGR ``(h, w, 3)``; converted once to the channels of ``out``.
        maps: float64 ``(n, 2, 3)`` from ``crops_to_image``, without joints that are ``outside_frame``.
        out: uint8 ``(n, height, width, channels)``, C-contiguous; written in place.
    """
    image = to_channels(frame, out.shape[3])
    size = (out.shape[2], out.shape[1])
    targets = out[..., 0] if out.shape[3] == 1 else out
    for crop_map, target in zip(maps, targets, strict=True):
        cv2.warpAffine(image, crop_map, size, target, _RESAMPLING, cv2.BORDER_REPLICATE)

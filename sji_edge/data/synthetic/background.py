"""The bare board behind synthetic joints: mask, tracks, vias, test pads, flux residue and print."""

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.preprocess import Image, Matrix
from sji_edge.data.synthetic.light import Look, smooth_noise

Floats = NDArray[np.float32]

SUBPIXEL_BITS = 4
UNTINTED = 100
"""Tint level that leaves the mask unchanged. Tints are 8-bit because OpenCV anti-aliases only those."""
CLUTTER_AREA_PX = 9000.0
"""Area that the rates of clutter refer to."""
TEST_PAD_LEVEL = 290.0


def paint_mask(rng: np.random.Generator, shape: tuple[int, int], look: Look) -> Floats:
    """Paint a board without joints.

    Args:
        rng: random generator.
        shape: height and width in pixels.
        look: supplies the mask's brightness.

    Returns:
        float32 ``(h, w)``, in grey levels before exposure.
    """
    tint = np.full(shape, UNTINTED, np.uint8)
    area = shape[0] * shape[1] / CLUTTER_AREA_PX
    for kind, rate in ((_track, 0.6), (_via, 0.7), (_print, 0.5), (_residue, 0.9)):
        for _ in range(rng.poisson(rate * area)):
            kind(rng, tint)
    scene = cv2.GaussianBlur(tint, (0, 0), 1.0).astype(np.float32) * np.float32(look.mask_level / UNTINTED)
    scene *= 1 + np.float32(0.05) * smooth_noise(rng, shape, 160.0)
    scene *= 1 + np.float32(0.025) * smooth_noise(rng, shape, 24.0)
    return scene


def warp_mask(mask: Floats, transform: Matrix) -> Floats:
    """Return the bare board as a frame sees it through a ``(2, 3)`` map, mirrored at its edges."""
    size = (mask.shape[1], mask.shape[0])
    return cv2.warpAffine(mask, transform, size, borderMode=cv2.BORDER_REFLECT).astype(np.float32, copy=False)


def paint_disc(
    scene: Floats, x: float, y: float, radius: float, level: float, softness_px: float = 1.0
) -> None:
    """Paint a disc with an exact sub-pixel centre, in place; the part outside the scene is clipped."""
    reach = radius + softness_px
    top, bottom = max(0, int(np.floor(y - reach))), min(scene.shape[0], int(np.ceil(y + reach)) + 1)
    left, right = max(0, int(np.floor(x - reach))), min(scene.shape[1], int(np.ceil(x + reach)) + 1)
    if top >= bottom or left >= right:
        return
    rows, columns = np.arange(top, bottom)[:, None] - y, np.arange(left, right)[None, :] - x
    share = np.clip((radius - np.hypot(rows, columns)) / softness_px + 0.5, 0, 1).astype(np.float32)
    window = scene[top:bottom, left:right]
    window += (np.float32(level) - window) * share


def paint_test_pad(scene: Floats, x: float, y: float, radius: float, look: Look) -> None:
    """Paint a bare round test pad and the clearance around it, in place."""
    paint_disc(scene, x, y, radius + 3.0, look.mask_level * 0.6, softness_px=2.0)
    paint_disc(scene, x, y, radius, TEST_PAD_LEVEL)


def _fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
    fixed: NDArray[np.int32] = np.rint(points * 2**SUBPIXEL_BITS).astype(np.int32)
    return fixed


def _stroke(tint: Image, points: NDArray[np.float64], share: float, thickness: int) -> None:
    level = round(UNTINTED * share)
    cv2.polylines(tint, [_fixed(points)], False, level, thickness, cv2.LINE_AA, SUBPIXEL_BITS)


def _place(rng: np.random.Generator, tint: Image) -> NDArray[np.float64]:
    return rng.uniform(0, 1, 2) * (tint.shape[1], tint.shape[0])


def _track(rng: np.random.Generator, tint: Image) -> None:
    """Draw a track below the mask: a straight run, and one at 45 degrees."""
    start, angle = _place(rng, tint), rng.integers(8) * np.pi / 4
    bend = start + rng.uniform(30, 180) * np.array([np.cos(angle), np.sin(angle)])
    angle += rng.choice([-1, 1]) * np.pi / 4
    end = bend + rng.uniform(20, 120) * np.array([np.cos(angle), np.sin(angle)])
    points, width = np.stack([start, bend, end]), int(rng.integers(3, 9))
    _stroke(tint, points, 0.8, width + 2)
    _stroke(tint, points, float(rng.uniform(1.0, 1.2)), width)


def _via(rng: np.random.Generator, tint: Image) -> None:
    centre, radius = _place(rng, tint), rng.uniform(3.0, 7.0)
    place, size = _fixed(centre).tolist(), _fixed(np.array([radius, radius * 0.5])).tolist()
    cv2.circle(tint, place, size[0], 65, 2, cv2.LINE_AA, SUBPIXEL_BITS)
    cv2.circle(tint, place, size[1], round(rng.uniform(50, 120)), -1, cv2.LINE_AA, SUBPIXEL_BITS)


def _print(rng: np.random.Generator, tint: Image) -> None:
    """Draw a chevron of silkscreen hatching."""
    corner, size, turn = _place(rng, tint), rng.uniform(5, 11), rng.integers(4) * np.pi / 2
    arms = [turn - np.pi / 4, turn + np.pi / 4]
    ends = [corner + size * np.array([np.cos(angle), np.sin(angle)]) for angle in arms]
    _stroke(
        tint, np.stack([ends[0], corner, ends[1]]), float(rng.uniform(0.5, 0.75)), int(rng.integers(1, 4))
    )


def _residue(rng: np.random.Generator, tint: Image) -> None:
    """Draw a dried rim of flux: a dark arc of uneven radius."""
    centre, radius = _place(rng, tint), rng.uniform(18, 70)
    angles = rng.uniform(-np.pi, np.pi) + np.linspace(0, rng.uniform(0.4, 2.2), 24)
    uneven = radius * (1 + 0.12 * np.sin(angles * 3 + rng.uniform(0, 6)) + 0.05 * np.sin(angles * 7))
    points = centre + uneven[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    _stroke(tint, points, float(rng.uniform(0.4, 0.8)), int(rng.integers(1, 7)))

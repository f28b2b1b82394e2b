"""Render synthetic through-hole solder joints, directly in the pixels of the camera."""

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.errors import UsageError
from sji_edge.core.preprocess import Image, Matrix
from sji_edge.data.synthetic.background import paint_mask, paint_test_pad
from sji_edge.data.synthetic.light import Look, draw_look, expose, shade
from sji_edge.data.synthetic.solder import (
    BOX_PX,
    GOOD_STATE,
    PAD_PX,
    PADS,
    STATES,
    Solder,
    check_pad,
    check_state,
    draw_solder,
    neighbour_px,
)
from sji_edge.data.synthetic.surface import surface_of

__all__ = ["BOX_PX", "PADS", "STATES", "draw_joint", "render_joint"]

Floats = NDArray[np.float32]

MIN_SIDE_PX = 24
MAX_SIDE_PX = 1024
WINDOW_MARGIN_PX = 8.0
MAX_REACH = 1.42
"""How far solder may reach from the centre, as a multiple of the pad's half size."""


def render_joint(
    rng: np.random.Generator, state: str, pad: str, size_px: tuple[int, int], look: Look | None = None
) -> Image:
    """Render one joint as a dataset shows it: nearly centred, with some board around it.

    Args:
        rng: random generator.
        state: one of ``STATES``.
        pad: one of ``PADS``.
        size_px: height and width of the image.
        look: light, materials and camera; None draws one at random.

    Returns:
        uint8 grey ``(h, w)``.

    Raises:
        UsageError: an unknown state or pad, or a side outside 24 to 1024 pixels.
    """
    height, width = size_px
    check_state(state)
    box_width, box_height = BOX_PX[check_pad(pad)]
    if not all(MIN_SIDE_PX <= side <= MAX_SIDE_PX for side in size_px):
        raise UsageError(
            f"each side of a joint must be {MIN_SIDE_PX} to {MAX_SIDE_PX} px long (got {width}x{height})"
        )
    look = look or draw_look(rng)
    scale = min(width / box_width, height / box_height) * float(rng.uniform(0.92, 1.06))
    scene = paint_mask(rng, size_px, look)
    x, y = (width - 1) / 2 + rng.uniform(-2.5, 2.5), (height - 1) / 2 + rng.uniform(-2.5, 2.5)
    angle = float(rng.normal(0.0, 0.012))
    to_scene = np.array([[np.cos(angle), -np.sin(angle), x], [np.sin(angle), np.cos(angle), y]])
    _draw_site(rng, scene, to_scene, state, pad, scale, look)
    return expose(scene, look, rng)


def _draw_site(
    rng: np.random.Generator, scene: Floats, to_scene: Matrix, state: str, pad: str, scale: float, look: Look
) -> None:
    """Draw a joint and perhaps a neighbour beside it, which says nothing about the joint's state."""
    turns = rng.choice([1, 3] if pad == "bar" else 4)
    direction, tab = float(turns) * np.pi / 2, float(rng.integers(4)) * np.pi / 2
    offset = neighbour_px(pad, direction, scale)
    if state == "bridge" or rng.random() < 0.7:
        other = draw_solder(rng, GOOD_STATE, pad, scale=scale, tab_rad=tab)
        draw_joint(scene, _moved(to_scene, offset), other, look, rng)
    if rng.random() < 0.35:
        side = direction + np.pi * float(rng.choice([0.5, 1.0, 1.5]))
        away = np.array([np.cos(side), np.sin(side)]) * (np.array(PAD_PX[pad]) / 2 + 21.0) * scale
        spot = to_scene @ np.append(away, 1.0)
        paint_test_pad(scene, spot[0], spot[1], float(rng.uniform(9.0, 13.0)) * scale, look)
    joint = draw_solder(rng, state, pad, scale=scale, neighbour=offset, tab_rad=tab)
    draw_joint(scene, to_scene, joint, look, rng)


def _moved(to_scene: Matrix, offset: tuple[float, float]) -> Matrix:
    return np.column_stack([to_scene[:, :2], to_scene @ np.array([*offset, 1.0])])


def draw_joint(scene: Floats, to_scene: Matrix, solder: Solder, look: Look, rng: np.random.Generator) -> None:
    """Draw a joint over a scene, in place; the part outside the scene is clipped.

    The joint is evaluated at each pixel of the scene, not resampled.

    Args:
        scene: float32 ``(h, w)``, grey levels before exposure.
        to_scene: float64 ``(2, 3)``, from pixels around the joint's centre to the scene's pixels.
        solder: the joint.
        look: light and materials.
        rng: random generator for the texture.
    """
    left, top, right, bottom = _window(to_scene, solder, scene.shape)
    if left >= right or top >= bottom:
        return
    back = cv2.invertAffineTransform(to_scene).astype(np.float32)
    columns = np.arange(left, right, dtype=np.float32)[None, :]
    rows = np.arange(top, bottom, dtype=np.float32)[:, None]
    x = back[0, 0] * columns + back[0, 1] * rows + back[0, 2]
    y = back[1, 0] * columns + back[1, 1] * rows + back[1, 2]
    brightness = solder.pin.brightness if solder.pin is not None else 0.0
    surface = surface_of(solder, x, y)
    shade(scene[top:bottom, left:right], surface, look, brightness, solder.grain_px, rng)


def _window(to_scene: Matrix, solder: Solder, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return the left, top, right and bottom of the pixels that a joint can touch."""
    reach = np.array([solder.half_x_px, solder.half_y_px]) * MAX_REACH + WINDOW_MARGIN_PX
    corners = np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]]) * reach
    if solder.strand is not None:
        strand = solder.strand
        end = strand.length_px * np.array([np.cos(strand.angle_rad), np.sin(strand.angle_rad)])
        half = strand.half_width_px + WINDOW_MARGIN_PX
        corners = np.vstack([corners, end - half, end + half])
    seen = corners @ to_scene[:, :2].T + to_scene[:, 2]
    low, high = np.floor(seen.min(axis=0)).astype(int), np.ceil(seen.max(axis=0)).astype(int) + 1
    return max(0, low[0]), max(0, low[1]), min(shape[1], high[0]), min(shape[0], high[1])

"""The shape of a synthetic joint: the material at each pixel, and the height of the surface."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sji_edge.data.synthetic.solder import HOLE, Notch, Pin, Pit, Solder, Strand

Floats = NDArray[np.float32]

EDGE_PX = 1.2
EDGE_SLOPE = 0.88
"""Where a fillet ends, as a share of the distance at which it would be flat: real solder meets the pad at an angle."""
TAB_PX = (3.0, 5.0)
"""Half width of the track's stub at the pad, and how far it extends."""


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """Fields over a window, float32 ``(h, w)``; all except the height are shares from 0 to 1.

    ``clearance`` is the gap around the pad, ``hole`` the drill hole where no solder fills it, ``pit`` a blowhole.
    """

    height_px: Floats
    clearance: Floats
    pad: Floats
    hole: Floats
    solder: Floats
    pin: Floats
    pit: Floats


def surface_of(solder: Solder, x: Floats, y: Floats) -> Surface:
    """Evaluate a joint at points given in pixels from its centre, float32 ``(h, w)`` each."""
    reach_px = min(solder.half_x_px, solder.half_y_px)
    across, down = x / np.float32(solder.half_x_px), y / np.float32(solder.half_y_px)
    rho = _norm(across, down, solder)
    outside_px = _outside_px(solder, x, y)
    share = rho / _wetting(across, down, solder)
    wet = _inside((share - 1) * np.float32(reach_px))
    height = _fillet(share, solder) * np.float32(reach_px)
    pin = np.zeros_like(x)
    if solder.pin is not None:
        pin = _raise_pin(height, x, y, solder.pin, reach_px)
    pit = np.zeros_like(x)
    if solder.pit is not None:
        pit = _dig_pit(height, x, y, solder, solder.pit)
    if solder.strand is not None:
        wet = np.maximum(wet, _lay_strand(height, x, y, solder.strand))
    pad = np.maximum(_inside(outside_px), _tab(solder, x, y))
    # Solder below the pad's plane lies in the drill hole, so its centre is in shadow.
    hole = _inside((rho - HOLE) * np.float32(reach_px)) if solder.height < 0 else np.zeros_like(x)
    return Surface(
        height_px=height * np.maximum(wet, pin),
        clearance=_inside(outside_px - np.float32(3.0)),
        pad=pad,
        hole=hole,
        solder=wet,
        pin=pin,
        pit=pit * wet,
    )


def _inside(distance_px: Floats) -> Floats:
    """Return how much of a pixel lies inside an edge at ``distance_px``, which is negative inside."""
    share: Floats = np.clip(np.float32(0.5) - distance_px / np.float32(EDGE_PX), 0, 1)
    return share


def _norm(across: Floats, down: Floats, solder: Solder) -> Floats:
    """Return the distance from the centre; on a cornered pad that of a superellipse, as solder recedes from corners.

    Solder in the drill hole follows the hole, which is round except in a bar.
    """
    squares = across * across, down * down
    if solder.pad == "circle" or (solder.pad == "rect" and solder.height < 0):
        radius: Floats = np.sqrt(squares[0] + squares[1])
        return radius
    norm: Floats = np.sqrt(np.sqrt(squares[0] * squares[0] + squares[1] * squares[1]))
    return norm


def _outside_px(solder: Solder, x: Floats, y: Floats) -> Floats:
    """Return the distance from the pad's edge, negative inside."""
    if solder.pad == "circle":
        distance: Floats = np.sqrt(x * x + y * y) - np.float32(solder.half_x_px)
        return distance
    return np.maximum(np.abs(x) - np.float32(solder.half_x_px), np.abs(y) - np.float32(solder.half_y_px))


def _wetting(across: Floats, down: Floats, solder: Solder) -> Floats:
    """Return how far the solder reaches in each pixel's direction."""
    radius = np.sqrt(across * across + down * down) + np.float32(1e-6)
    cos, sin = across / radius, down / radius
    cos2, sin2 = cos * cos - sin * sin, 2 * cos * sin
    w2c, w2s, w3c, w3s = map(np.float32, solder.waves)
    reach = w2c * cos2 + w2s * sin2 + w3c * (cos * cos2 - sin * sin2) + w3s * (sin * cos2 + cos * sin2)
    reach += np.float32(solder.wet)
    if solder.notch.depth:
        reach -= np.float32(solder.notch.depth) * _sector(cos, sin, solder.notch)
    reached: Floats = np.maximum(reach, np.float32(HOLE))
    return reached


def _sector(cos: Floats, sin: Floats, notch: Notch) -> Floats:
    if notch.half_width_rad >= np.pi:
        return np.ones_like(cos)
    along = cos * np.float32(np.cos(notch.angle_rad)) + sin * np.float32(np.sin(notch.angle_rad))
    ramp = np.clip(
        (along - np.float32(np.cos(notch.half_width_rad))) * np.float32(6.0) + np.float32(0.5), 0, 1
    )
    smooth: Floats = ramp * ramp * (3 - 2 * ramp)
    return smooth


def _fillet(share: Floats, solder: Solder) -> Floats:
    """Return the height over the pad, as a share of its half size, at a distance given as a share of the reach."""
    shape: Floats
    if solder.profile == 0:
        shape = np.sqrt(np.maximum(1 - share * share, np.float32(0.01)))
    elif solder.height < 0:
        shape = np.maximum(1 - share * share, np.float32(0.0))
    else:
        # The square root rounds the apex, which would otherwise be a point.
        rest = 1 - np.sqrt(share * share * np.float32(EDGE_SLOPE) + np.float32(0.02))
        shape = np.maximum(rest, np.float32(0.0)) ** np.float32(solder.profile)
    return shape * np.float32(solder.height)


def _raise_pin(height: Floats, x: Floats, y: Floats, pin: Pin, reach_px: float) -> Floats:
    """Put the pin's end on the surface, in place, and return its coverage."""
    dx, dy = x - np.float32(pin.x * reach_px), y - np.float32(pin.y * reach_px)
    outside = np.maximum(
        np.abs(dx) - np.float32(pin.half_x * reach_px), np.abs(dy) - np.float32(pin.half_y * reach_px)
    )
    share = _inside(outside)
    bend = np.float32(pin.curvature / reach_px)
    top = np.float32(pin.tilt_x) * dx + np.float32(pin.tilt_y) * dy - bend * (dx * dx + dy * dy) / 2
    top += np.float32(max(float(height.max()), 0.0))
    height += (top - height) * share
    return share


def _dig_pit(height: Floats, x: Floats, y: Floats, solder: Solder, pit: Pit) -> Floats:
    """Put a blowhole's crater on the surface, in place, and return the coverage of its opening."""
    reach_px = min(solder.half_x_px, solder.half_y_px)
    dx, dy = x - np.float32(pit.x * solder.half_x_px), y - np.float32(pit.y * solder.half_y_px)
    distance = np.sqrt(dx * dx + dy * dy)
    radius_px = np.float32(pit.radius * reach_px) * (1 + np.float32(0.2) * dx / (distance + 1))
    crater = np.clip((np.float32(1.75) * radius_px - distance) / 4 + 1, 0, 1)
    # The rim slopes outwards, so that only part of it mirrors the light.
    rim = np.float32(pit.tilt_x) * dx + np.float32(pit.tilt_y) * dy - distance * distance / (radius_px * 12)
    rim += np.float32(float(height.max()) * (1 - np.hypot(pit.x, pit.y)) + 0.1 * reach_px)
    height += (rim - height) * crater
    return _inside(distance - radius_px)


def _lay_strand(height: Floats, x: Floats, y: Floats, strand: Strand) -> Floats:
    """Lay the bridge over the surface, in place, and return its coverage."""
    cos, sin = np.float32(np.cos(strand.angle_rad)), np.float32(np.sin(strand.angle_rad))
    along, across = (x * cos + y * sin) / np.float32(strand.length_px), y * cos - x * sin
    # A meniscus: narrowest and lowest in the middle.
    waist: Floats = np.clip(4 * along * (1 - along), 0, 1)
    half_width = np.float32(strand.half_width_px) * (1 - np.float32(0.3) * waist)
    share = np.minimum(
        _inside(np.abs(across) - half_width), _inside((np.abs(along - np.float32(0.5)) - np.float32(0.5)) * 9)
    )
    ridge = np.float32(strand.height_px) * np.maximum(1 - (across / half_width) ** 2, 0)
    ridge *= (1 - np.float32(0.4) * waist) * share
    np.copyto(height, np.sqrt(height * height + ridge * ridge), where=ridge > 0)
    return share


def _tab(solder: Solder, x: Floats, y: Floats) -> Floats:
    cos, sin = np.float32(np.cos(solder.tab_rad)), np.float32(np.sin(solder.tab_rad))
    along, across = x * cos + y * sin, np.abs(y * cos - x * sin)
    edge = abs(cos) * np.float32(solder.half_x_px) + abs(sin) * np.float32(solder.half_y_px)
    return np.minimum(
        _inside(across - np.float32(TAB_PX[0])), _inside(np.abs(along - edge) - np.float32(TAB_PX[1]))
    )

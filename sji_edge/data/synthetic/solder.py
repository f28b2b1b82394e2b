"""The make-up of a synthetic solder joint: its pad, its wetting, its pin and its fault.

Lengths are shares of the pad's half size unless a name ends in ``_px``; angles are in radians, from x towards y; on a
bar they refer to the pad stretched to a square.
"""

from dataclasses import dataclass

import numpy as np

from sji_edge.core.errors import UsageError
from sji_edge.core.registry import nearest

GOOD_STATE = "normal"
STATES = (GOOD_STATE, "insufficient", "missing", "bridge", "void", "excess")
DEFECT_WEIGHTS = {"insufficient": 0.36, "missing": 0.12, "bridge": 0.18, "void": 0.17, "excess": 0.17}
"""Probability of each defect; insufficient solder is the most frequent, as on a real line."""

PADS = ("circle", "rect", "bar")
PAD_WEIGHTS = {"circle": 0.4, "rect": 0.4, "bar": 0.2}
PAD_PX = {"circle": (56.0, 56.0), "rect": (58.0, 58.0), "bar": (118.0, 50.0)}
"""Width and height of a pad at the nominal scale."""
BOX_PX = {"circle": (80, 80), "rect": (84, 84), "bar": (160, 80)}
"""Width and height of a pad's inspection box at the nominal scale."""
NEIGHBOUR_GAP_PX = 13.0
HOLE = 0.58


@dataclass(frozen=True, slots=True)
class Notch:
    """A sector that the solder does not wet: direction, half width and depth."""

    angle_rad: float
    half_width_rad: float
    depth: float


@dataclass(frozen=True, slots=True)
class Pin:
    """The component's lead: centre, half size, slope of its end, its curvature and its brightness."""

    x: float
    y: float
    half_x: float
    half_y: float
    tilt_x: float
    tilt_y: float
    curvature: float
    brightness: float


@dataclass(frozen=True, slots=True)
class Pit:
    """A blowhole in the fillet: centre, radius, and the slope of the crater's rim."""

    x: float
    y: float
    radius: float
    tilt_x: float
    tilt_y: float


@dataclass(frozen=True, slots=True)
class Strand:
    """A bridge to the neighbour: direction, length, half width, and the height of its ridge."""

    angle_rad: float
    length_px: float
    half_width_px: float
    height_px: float


@dataclass(frozen=True, slots=True)
class Solder:
    """One joint.

    Attributes:
        pad: one of ``PADS``.
        half_x_px: half the pad's width.
        half_y_px: half the pad's height.
        wet: mean reach of the solder; 1 is the pad's edge.
        waves: amplitudes of the reach's second and third harmonics (cosine, sine, cosine, sine).
        notch: a poorly wetted sector.
        height: height of the fillet's top; negative for solder that sank into the hole.
        profile: exponent of the fillet: 1 is a cone, above 1 it flattens towards the edge; 0 is a ball.
        grain_px: height of the surface's roughness.
        pin: the lead, or None if solder covers it or it is missing.
        pit: a blowhole, or None.
        strand: a bridge, or None.
        tab_rad: where the track enters the pad.
    """

    pad: str
    half_x_px: float
    half_y_px: float
    wet: float
    waves: tuple[float, float, float, float]
    notch: Notch
    height: float
    profile: float
    grain_px: float
    pin: Pin | None
    pit: Pit | None
    strand: Strand | None
    tab_rad: float


def check_state(state: str) -> str:
    """Return the state; raises ``UsageError`` if it is not in ``STATES``."""
    if state not in STATES:
        raise UsageError(
            f"the synthetic state must be one of {', '.join(STATES)} (got {state!r})",
            hint=nearest(state, list(STATES)),
        )
    return state


def check_pad(pad: str) -> str:
    """Return the pad; raises ``UsageError`` if it is not in ``PADS``."""
    if pad not in PADS:
        raise UsageError(
            f"the synthetic pad must be one of {', '.join(PADS)} (got {pad!r})", hint=nearest(pad, list(PADS))
        )
    return pad


def draw_defect(rng: np.random.Generator) -> str:
    """Draw a defective state with the probabilities of ``DEFECT_WEIGHTS``."""
    return str(rng.choice(list(DEFECT_WEIGHTS), p=list(DEFECT_WEIGHTS.values())))


def draw_pad(rng: np.random.Generator) -> str:
    """Draw a pad with the probabilities of ``PAD_WEIGHTS``."""
    return str(rng.choice(list(PAD_WEIGHTS), p=list(PAD_WEIGHTS.values())))


def neighbour_px(pad: str, direction_rad: float, scale: float = 1.0) -> tuple[float, float]:
    """Return the offset of the neighbouring pad, along x or y, whichever is closer to the direction."""
    width, height = PAD_PX[pad]
    x, y = round(float(np.cos(direction_rad))), round(float(np.sin(direction_rad)))
    return x * (width + NEIGHBOUR_GAP_PX) * scale, y * (height + NEIGHBOUR_GAP_PX) * scale


def draw_solder(
    rng: np.random.Generator,
    state: str,
    pad: str,
    *,
    scale: float = 1.0,
    neighbour: tuple[float, float] | None = None,
    tab_rad: float = 0.0,
) -> Solder:
    """Draw one joint.

    Args:
        rng: random generator.
        state: one of ``STATES``.
        pad: one of ``PADS``.
        scale: pixels per nominal pixel.
        neighbour: offset in pixels of the pad that a bridge reaches; default: the one below.
        tab_rad: where the track enters the pad.
    """
    half_x, half_y = (scale * side / 2 for side in PAD_PX[check_pad(pad)])
    wet, notch, height, profile = _draw_wetting(rng, check_state(state))
    waves = rng.normal(0.0, 0.035 if state == "insufficient" else 0.018, 4)
    pin = _draw_pin(rng, state, half_x / half_y)
    return Solder(
        pad=pad,
        half_x_px=half_x,
        half_y_px=half_y,
        wet=wet,
        waves=(float(waves[0]), float(waves[1]), float(waves[2]), float(waves[3])),
        notch=notch,
        height=height,
        profile=profile,
        grain_px=float(rng.gamma(2.0, 0.07 if state == "excess" else 0.13)) * scale,
        pin=pin,
        pit=_draw_pit(rng) if state == "void" else None,
        strand=_draw_strand(rng, neighbour or neighbour_px(pad, np.pi / 2, scale), scale)
        if state == "bridge"
        else None,
        tab_rad=tab_rad,
    )


def _draw_wetting(rng: np.random.Generator, state: str) -> tuple[float, Notch, float, float]:
    """Return reach, notch, height and profile.

    A good joint may have a narrow, shallow bare sector, an insufficient one has a wide and deep one. The gap in
    severity between the two keeps labels unambiguous.
    """
    angle = float(rng.uniform(-np.pi, np.pi))
    height, profile = float(rng.uniform(0.8, 1.5)), float(rng.uniform(1.05, 1.5))
    if state == "insufficient":
        reach = float(rng.uniform(0.92, 1.0))
        notch = Notch(angle, float(rng.uniform(1.25, 3.6)), float(rng.uniform(0.24, 0.36)))
        return reach, notch, -float(rng.uniform(0.4, 1.0)), profile
    if state == "missing":
        return HOLE, Notch(angle, 0.5, 0.0), -float(rng.uniform(1.5, 2.5)), profile
    if state == "excess":
        return float(rng.uniform(1.16, 1.34)), Notch(angle, 0.5, 0.0), float(rng.uniform(1.1, 2.0)), 0.0
    bare = rng.random() < 0.4
    width, depth = float(rng.uniform(0.2, 0.7)), float(rng.uniform(0.05, 0.2))
    return float(rng.uniform(0.99, 1.07)), Notch(angle, width, depth if bare else 0.0), height, profile


def _draw_pin(rng: np.random.Generator, state: str, aspect: float) -> Pin | None:
    x, y, half_x, half_y = rng.normal(0.0, 0.1), rng.normal(0.0, 0.1), *rng.uniform(0.13, 0.26, 2)
    tilt_x, tilt_y = rng.normal(0.0, 0.11, 2)
    curvature, brightness, shown = rng.uniform(0.05, 0.5), rng.uniform(0.3, 1.4), rng.random()
    if state == "excess" or (state == "missing" and shown < 0.4):
        return None
    if aspect > 1.5:
        half_x, half_y = half_x * 1.7, half_y * 0.6
    return Pin(*map(float, (x, y, half_x, half_y, tilt_x, tilt_y, curvature, brightness)))


def _draw_pit(rng: np.random.Generator) -> Pit:
    angle, distance, radius = rng.uniform(-np.pi, np.pi), rng.uniform(0.42, 0.66), rng.uniform(0.16, 0.27)
    tilt_x, tilt_y = rng.normal(0.0, 0.13, 2)
    centre = distance * np.cos(angle), distance * np.sin(angle)
    return Pit(*map(float, (*centre, radius, tilt_x, tilt_y)))


def _draw_strand(rng: np.random.Generator, neighbour: tuple[float, float], scale: float) -> Strand:
    return Strand(
        angle_rad=float(np.arctan2(neighbour[1], neighbour[0])),
        length_px=float(np.hypot(*neighbour)),
        half_width_px=float(rng.uniform(8.0, 23.0)) * scale,
        height_px=float(rng.uniform(5.0, 11.0)) * scale,
    )

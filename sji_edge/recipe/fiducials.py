"""Finding circular fiducials to a fraction of a pixel.

A disc correlated over a coarse search window proposes places; from each, rays are cast outwards, the edge
is where a ray crosses half the local contrast, and a circle is fitted to the edges by Gauss-Newton. Edges
beside the frame's border are left out, so a fiducial that it cuts is not biased as a centroid would be.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.preprocess import Image, to_channels
from sji_edge.recipe.board import Fiducial

MAX_CANDIDATES = 3
MIN_CORRELATION = 0.5
MIN_CONTRAST = 20.0
"""Grey levels between the disc and what surrounds it."""
RAYS = 72
STEP_PX = 0.25
MIN_EDGE_SHARE = 0.5
MAX_RADIUS_CHANGE = 0.2
FAR_OFF = 0.15
"""How far from the middle, in radii, rays may start without seeing wrong grey levels."""
SETTLED_PX = 1e-3
MARGIN = 1.6
"""How much of the surroundings belongs to a fiducial's window, in radii."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Circle:
    """A circle in frame pixels; ``roughness_px`` is the RMS distance of its edge points."""

    x: float
    y: float
    radius: float
    roughness_px: float


def find_circles(frame: Image, mark: Fiducial) -> list[Circle]:
    """Find where a fiducial may be.

    Args:
        frame: uint8, grey ``(h, w)`` or BGR ``(h, w, 3)``.
        mark: the fiducial; its centre is looked for within ``search_px`` of its place.

    Returns:
        At most ``MAX_CANDIDATES`` circles of about its radius and polarity, the smoothest first; none when
        nothing in the window is one.
    """
    reach = mark.search_px + MARGIN * mark.radius
    left, top = max(0, int(mark.x - reach)), max(0, int(mark.y - reach))
    right = min(frame.shape[1], int(mark.x + reach) + 2)
    bottom = min(frame.shape[0], int(mark.y + reach) + 2)
    window = to_channels(frame[top:bottom, left:right], 1)
    if not mark.bright:
        window = np.subtract(255, window, dtype=np.uint8)
    # Only a window side that is the frame's own border cuts a disc; edges there are no edges.
    limits = np.array([1.0, 1.0, window.shape[1] - 2.0, window.shape[0] - 2.0])
    found: list[Circle] = []
    for x, y in _propose(window, mark.radius):
        circle = _refine(window, limits, x, y, mark.radius)
        if circle is None:
            continue
        circle = Circle(circle.x + left, circle.y + top, circle.radius, circle.roughness_px)
        near = max(abs(circle.x - mark.x), abs(circle.y - mark.y)) <= mark.search_px
        known = any(np.hypot(circle.x - one.x, circle.y - one.y) < mark.radius for one in found)
        if near and not known:
            found.append(circle)
    return sorted(found, key=lambda one: one.roughness_px)


def _propose(window: Image, radius: float) -> list[tuple[float, float]]:
    """Return the places where a disc correlates best, in window pixels."""
    shrink = max(1, int(radius / 5))
    size = (max(1, round(window.shape[1] / shrink)), max(1, round(window.shape[0] / shrink)))
    small = cv2.resize(window, size, interpolation=cv2.INTER_AREA)
    small_radius = radius / shrink
    half = int(np.ceil(small_radius * 1.5))
    padded = cv2.copyMakeBorder(small, half, half, half, half, cv2.BORDER_REPLICATE)
    response = cv2.matchTemplate(padded.astype(np.float32), _disc(small_radius, half), cv2.TM_CCOEFF_NORMED)
    response = np.nan_to_num(response, nan=-1.0, posinf=-1.0, neginf=-1.0)
    scale = np.array([window.shape[1] / size[0], window.shape[0] / size[1]])
    places = []
    for _ in range(MAX_CANDIDATES):
        _, best, _, (column, row) = cv2.minMaxLoc(response)
        if best < MIN_CORRELATION:
            break
        x, y = (np.array([column, row]) + 0.5) * scale - 0.5
        places.append((float(x), float(y)))
        cv2.circle(response, (column, row), int(np.ceil(small_radius)), -1.0, -1)
    return places


def _disc(radius: float, half: int) -> NDArray[np.float32]:
    grid = np.arange(-half, half + 1)
    distance = np.hypot(grid[:, None], grid[None, :])
    return np.clip(radius + 0.5 - distance, 0.0, 1.0).astype(np.float32)


def _refine(window: Image, limits: Floats, x: float, y: float, radius: float) -> Circle | None:
    """Fit a circle to the edges seen from ``(x, y)``; if that was far off, again from the circle's centre."""
    for _ in range(3):
        edges = _edges(window, limits, x, y, radius)
        circle = None if edges is None else _fit_circle(edges, x, y, radius)
        if circle is None or np.hypot(circle.x - x, circle.y - y) < FAR_OFF * radius:
            return circle
        x, y = circle.x, circle.y
    return None


def _edges(window: Image, limits: Floats, x: float, y: float, radius: float) -> Floats | None:
    """Half-contrast crossings along rays from ``(x, y)``, float64 ``(n, 2)``, or None without a disc."""
    angles = np.arange(RAYS) * (2 * np.pi / RAYS)
    lengths = np.arange(0.3 * radius, MARGIN * radius, STEP_PX)
    across = x + np.cos(angles)[:, None] * lengths
    down = y + np.sin(angles)[:, None] * lengths
    samples = cv2.remap(
        window.astype(np.float32),
        across.astype(np.float32),
        down.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.float64)
    seen = (across >= limits[0]) & (across <= limits[2]) & (down >= limits[1]) & (down <= limits[3])
    inner = samples[:, lengths < 0.7 * radius][seen[:, lengths < 0.7 * radius]]
    outer = samples[:, lengths > 1.3 * radius][seen[:, lengths > 1.3 * radius]]
    if not inner.size or not outer.size:
        return None
    inside, outside = float(np.median(inner)), float(np.median(outer))
    if inside - outside < MIN_CONTRAST:
        return None
    below = samples < (inside + outside) / 2
    first = below.argmax(axis=1)
    rays = np.flatnonzero(below.any(axis=1) & (first > 0))
    first = first[rays]
    high, low = samples[rays, first - 1], samples[rays, first]
    share = (high - (inside + outside) / 2) / (high - low)
    length = lengths[first - 1] + share * STEP_PX
    good = seen[rays, first] & seen[rays, first - 1]
    points = np.stack([x + np.cos(angles[rays]) * length, y + np.sin(angles[rays]) * length], axis=1)[good]
    return points if len(points) >= MIN_EDGE_SHARE * RAYS else None


def _fit_circle(points: Floats, x: float, y: float, radius: float) -> Circle | None:
    """Geometric least-squares circle, points beyond three robust deviations left out."""
    state = np.array([x, y, radius])
    kept = points
    for _ in range(8):
        offset = kept - state[:2]
        distance = np.hypot(offset[:, 0], offset[:, 1])
        jacobian = np.column_stack([offset / distance[:, None], np.ones(len(kept))])
        step = np.linalg.solve(jacobian.T @ jacobian, jacobian.T @ (distance - state[2]))
        state = state + step
        error = np.abs(np.hypot(*(points - state[:2]).T) - state[2])
        kept = points[error <= max(3 * 1.4826 * float(np.sort(error)[len(error) // 2]), 0.3)]
        if len(kept) < MIN_EDGE_SHARE * RAYS:
            return None
        if np.abs(step).max() < SETTLED_PX:
            break
    roughness = float(np.sqrt(np.mean((np.hypot(*(kept - state[:2]).T) - state[2]) ** 2)))
    if abs(state[2] - radius) > MAX_RADIUS_CHANGE * radius or roughness > max(0.6, 0.05 * radius):
        return None
    return Circle(float(state[0]), float(state[1]), float(state[2]), roughness)

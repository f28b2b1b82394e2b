"""Find circular fiducials to a fraction of a pixel, all of a board at once.

Correlating a disc with a coarse search window proposes places. From each, rays are cast outwards; the edge is where a
ray crosses half the local contrast, and Gauss-Newton fits a circle to the edges. Edges at the frame's border are left
out, so a fiducial cut by the border is not biased, as a centroid would be. The arrays hold every candidate of every
fiducial, because the overhead of a NumPy call exceeds the work in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.preprocess import Image
from sji_edge.recipe.fiducials.marks import Mark, Window
from sji_edge.recipe.fiducials.proposals import propose

MIN_CORRELATION = 0.5
MIN_CONTRAST = 20.0
"""Minimum difference in grey levels between the disc and its surroundings."""
RAYS = 72
STEP_PX = 0.5
RAY_START, RAY_END = 0.3, 1.6
INNER_END, OUTER_START = 0.7, 1.3
"""Up to where a ray is certainly on the disc, and from where it is certainly off, in radii."""
MIN_EDGES = RAYS // 2
MAX_RADIUS_CHANGE = 0.2
FAR_OFF = 0.15
"""How far off the centre, in radii, rays may start without seeing wrong grey levels."""
SETTLED_PX = 1e-3
COARSE_RADIUS_PX = 4

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]

_ANGLES = np.arange(RAYS, dtype=np.float32) * np.float32(2 * np.pi / RAYS)
_DIRECTIONS = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)])


@dataclass(frozen=True, slots=True)
class _Candidate:
    mark: int
    x: float
    y: float


@dataclass(frozen=True, slots=True, eq=False)
class _Rays:
    """Where rays are sampled, at most ``STEP_PX`` apart.

    ``lengths`` is float32 ``(n, samples)``, ``offsets`` from the centre is ``(n, 2, RAYS, samples)``; samples below
    ``inner`` are certainly on the disc, those from ``outer`` on certainly off it.
    """

    lengths: Floats
    offsets: Floats
    inner: int
    outer: int


def find_circles(windows: Sequence[Window], radii: Sequence[float]) -> list[list[Mark]]:
    """Find where circular fiducials may be.

    Args:
        windows: one per fiducial, the disc brighter than its surroundings.
        radii: radius of each disc in pixels.

    Returns:
        A few marks of about the right radius for each fiducial, in window pixels, the smoothest first; none if the
        window shows no such disc. The misfit is the edge's roughness in pixels.
    """
    found: list[list[Mark]] = [[] for _ in windows]
    pending = [
        _Candidate(number, x, y)
        for number, (window, radius) in enumerate(zip(windows, radii, strict=True))
        for x, y in _places(window.pixels, radius)
    ]
    # A circle that was measured from far off its centre is measured again from there.
    for _ in range(3):
        if not pending:
            break
        circles, roughness, contrasts = _fit_all(windows, radii, pending)
        again = []
        fits = zip(pending, circles.tolist(), roughness.tolist(), contrasts.tolist(), strict=True)
        for one, (x, y, radius), rough, contrast in fits:
            wanted = radii[one.mark]
            if not abs(radius - wanted) <= MAX_RADIUS_CHANGE * wanted or rough > max(0.6, 0.05 * wanted):
                continue
            if np.hypot(x - one.x, y - one.y) >= FAR_OFF * wanted:
                again.append(_Candidate(one.mark, x, y))
            elif not any(np.hypot(x - other.x, y - other.y) < wanted for other in found[one.mark]):
                found[one.mark].append(Mark(x, y, rough, contrast))
        pending = again
    return [sorted(marks, key=lambda mark: mark.misfit) for marks in found]


def _places(window: Image, radius: float) -> list[tuple[float, float]]:
    shrink = max(1, int(radius / COARSE_RADIUS_PX))
    return propose(window, _disc(radius / shrink), shrink, MIN_CORRELATION)


@lru_cache(maxsize=16)
def _disc(radius: float) -> Floats:
    half = int(np.ceil(radius * 1.5))
    grid = np.arange(-half, half + 1)
    distance = np.hypot(grid[:, None], grid[None, :])
    return np.clip(radius + 0.5 - distance, 0.0, 1.0).astype(np.float32)


def _fit_all(
    windows: Sequence[Window], radii: Sequence[float], candidates: list[_Candidate]
) -> tuple[Doubles, Doubles, Doubles]:
    """Return circles ``(n, 3)`` of x, y and radius, their roughness and contrast ``(n,)``; NaN where there is none."""
    start = np.array([(one.x, one.y, radii[one.mark]) for one in candidates])
    rays = _rays(tuple(radii[one.mark] for one in candidates))
    samples, seen = _cast(rays, windows, candidates)
    points, kept, contrast = _edges(samples, seen, rays, start[:, :2])
    return *_fit_circles(points, kept, start), contrast


@lru_cache(maxsize=16)
def _rays(radii: tuple[float, ...]) -> _Rays:
    count = int(np.ceil((RAY_END - RAY_START) * max(radii) / STEP_PX))
    grid = np.linspace(RAY_START, RAY_END, count)
    lengths = (np.array(radii)[:, None] * grid).astype(np.float32)
    offsets = _DIRECTIONS[None, :, :, None] * lengths[:, None, None, :]
    inner, outer = np.searchsorted(grid, [INNER_END, OUTER_START])
    return _Rays(lengths, offsets, int(inner), int(outer))


def _cast(rays: _Rays, windows: Sequence[Window], candidates: list[_Candidate]) -> tuple[Floats, Flags]:
    """Return grey levels along the rays ``(n, RAYS, samples)``, and whether they lie within the frame."""
    count, _, _, samples = rays.offsets.shape
    middles = np.array([(one.x, one.y) for one in candidates], np.float32)
    places = rays.offsets + middles[:, :, None, None]
    grey = np.empty((count, RAYS, samples), np.float32)
    seen = np.ones((count, RAYS, samples), np.bool_)
    for number, one in enumerate(candidates):
        pixels = windows[one.mark].pixels
        x, y = places[number]
        flags = cv2.INTER_LINEAR
        cv2.remap(pixels.astype(np.float32), x, y, flags, dst=grey[number], borderMode=cv2.BORDER_REPLICATE)
        # Where the window ends at the frame's border, the border cuts the disc; edges there are not edges of the disc.
        right, bottom, reach = pixels.shape[1] - 2.0, pixels.shape[0] - 2.0, float(rays.lengths[number, -1])
        if min(one.x, one.y) - reach < 1.0 or one.x + reach > right or one.y + reach > bottom:
            seen[number] = (x >= 1.0) & (x <= right) & (y >= 1.0) & (y <= bottom)
    return grey, seen


def _edges(samples: Floats, seen: Flags, rays: _Rays, middles: Doubles) -> tuple[Doubles, Flags, Doubles]:
    """Return half-contrast crossings ``(n, 2, RAYS)``, which rays have one, and the contrast ``(n,)``.

    Below the minimum contrast no ray has one.
    """
    lengths = rays.lengths
    inside = _median(samples[:, :, : rays.inner], seen[:, :, : rays.inner])
    outside = _median(samples[:, :, rays.outer :], seen[:, :, rays.outer :])
    half = ((inside + outside) / 2)[:, None]
    first = (samples < half[:, :, None].astype(np.float32)).argmax(axis=2)
    last = np.maximum(first - 1, 0)
    which, ray = np.arange(len(samples))[:, None], np.arange(RAYS)[None, :]
    high, low = samples[which, ray, last], samples[which, ray, first]
    good = (first > 0) & seen[which, ray, first] & seen[which, ray, last]
    good &= (inside - outside >= MIN_CONTRAST)[:, None]
    drop = np.where(good, high - low, 1.0)
    near = lengths[which, last]
    length = near + (high - half) / drop * (lengths[which, first] - near)
    points = middles[:, :, None] + length[:, None, :] * _DIRECTIONS
    return points, good, inside - outside


def _median(grey: Floats, seen: Flags) -> Doubles:
    """Return the median grey level of each candidate's samples within the frame; NaN where there are none."""
    which, shown = np.arange(len(grey)), seen.sum(axis=(1, 2))
    levels = np.where(seen, grey, np.inf).reshape(len(grey), -1)
    levels.sort(axis=1)
    upper = np.minimum(shown // 2, levels.shape[1] - 1)
    lower = np.where(shown < levels.shape[1], np.maximum(shown - 1, 0) // 2, upper)
    middle = (levels[which, lower] + levels[which, upper]) / 2
    return np.where(shown > 0, middle, np.nan)


def _fit_circles(points: Doubles, good: Flags, start: Doubles) -> tuple[Doubles, Doubles]:
    """Fit circles by geometric least squares, without points beyond three robust deviations."""
    state, kept, edges = start.copy(), good, good.sum(axis=1)
    middle, lost = np.minimum(edges // 2, RAYS - 1), edges < MIN_EDGES
    offset, distance = _polar(points, state)
    rises = np.ones((len(points), 3, RAYS))
    for _ in range(8):
        np.divide(offset, np.maximum(distance, 1e-9)[:, None], out=rises[:, :2])
        weighted = rises * kept[:, None]
        normal = weighted @ rises.transpose(0, 2, 1)
        if lost.any():
            normal[lost] = np.eye(3)
        step = np.linalg.solve(normal, weighted @ (distance - state[:, 2:])[:, :, None])[:, :, 0]
        state += step
        offset, distance = _polar(points, state)
        error = np.abs(distance - state[:, 2:])
        kept = _near(error, good, middle)
        edges = kept.sum(axis=1)
        lost = lost | (edges < MIN_EDGES)
        if (lost | (np.abs(step).max(axis=1) < SETTLED_PX)).all():
            break
    error = np.where(kept, error, 0.0)
    roughness = np.sqrt(np.einsum("nr,nr->n", error, error) / np.maximum(edges, 1))
    state[lost], roughness[lost] = np.nan, np.nan
    return state, roughness


def _polar(points: Doubles, state: Doubles) -> tuple[Doubles, Doubles]:
    """Return edges relative to their circle's centre: offsets ``(n, 2, RAYS)`` and distances ``(n, RAYS)``."""
    offset = points - state[:, :2, None]
    return offset, np.sqrt(np.einsum("nkr,nkr->nr", offset, offset))


def _near(error: Doubles, good: Flags, middle: NDArray[np.intp]) -> Flags:
    """Tell which edges lie within three robust deviations of the circle, or within 0.3 px if that is more.

    ``middle`` is the rank of the median of the good ones, ``(n,)``.
    """
    spread = np.sort(np.where(good, error, np.inf), axis=1)[np.arange(len(error)), middle]
    near: Flags = good & (error <= np.maximum(3 * 1.4826 * spread, 0.3)[:, None])
    return near

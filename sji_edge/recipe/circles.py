"""Circular fiducials to a fraction of a pixel, all of a board at once.

A disc correlated over a coarse search window proposes places; from each, rays are cast outwards, the edge
is where a ray crosses half the local contrast, and a circle is fitted to the edges by Gauss-Newton. Edges
beside the frame's border are left out, so a fiducial that it cuts is not biased as a centroid would be.
The arrays hold every candidate of every fiducial: a NumPy call costs more than what it does here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.preprocess import Image
from sji_edge.recipe.marks import Mark, Window
from sji_edge.recipe.proposals import propose

MIN_CORRELATION = 0.5
MIN_CONTRAST = 20.0
"""Grey levels between the disc and what surrounds it."""
RAYS = 72
STEP_PX = 0.5
RAY_START, RAY_END = 0.3, 1.6
INNER_END, OUTER_START = 0.7, 1.3
"""Up to where a ray is surely on the disc, and from where surely off it, in radii."""
MIN_EDGES = RAYS // 2
MAX_RADIUS_CHANGE = 0.2
FAR_OFF = 0.15
"""How far from the middle, in radii, rays may start without seeing wrong grey levels."""
SETTLED_PX = 1e-3
COARSE_RADIUS_PX = 4

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]

_ANGLES = np.arange(RAYS, dtype=np.float32) * np.float32(2 * np.pi / RAYS)
_DIRECTIONS = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)])[:, :, None]


@dataclass(frozen=True, slots=True)
class _Candidate:
    mark: int
    x: float
    y: float


def find_circles(windows: Sequence[Window], radii: Sequence[float]) -> list[list[Mark]]:
    """Find where circular fiducials may be.

    Args:
        windows: one a fiducial: its surroundings, the disc brighter than they are.
        radii: their radii in pixels.

    Returns:
        For each a few marks of about its radius, in window pixels, the smoothest first; none when nothing
        in the window is one. Their misfit is the edge's roughness in pixels.
    """
    found: list[list[Mark]] = [[] for _ in windows]
    pending = [
        _Candidate(number, x, y)
        for number, (window, radius) in enumerate(zip(windows, radii, strict=True))
        for x, y in _places(window.pixels, radius)
    ]
    # A circle seen from far off its middle is looked at again, from there.
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
    """Circles ``(n, 3)`` of x, y and radius, their roughness and contrast ``(n,)``; NaN where there is none."""
    middles = np.array([(one.x, one.y) for one in candidates])
    wanted = np.array([radii[one.mark] for one in candidates])
    lengths = _lengths(tuple(wanted.tolist()))
    samples, seen = _cast_rays(windows, candidates, lengths)
    points, kept, contrast = _edges(samples, seen, lengths, middles)
    return *_fit_circles(points, kept, np.column_stack([middles, wanted])), contrast


@lru_cache(maxsize=16)
def _lengths(radii: tuple[float, ...]) -> Floats:
    """Distances at which rays are sampled, float32 ``(n, samples)``, ``STEP_PX`` apart at most."""
    count = int(np.ceil((RAY_END - RAY_START) * max(radii) / STEP_PX))
    grid = np.linspace(RAY_START, RAY_END, count)
    lengths: Floats = (np.array(radii)[:, None] * grid).astype(np.float32)
    return lengths


def _cast_rays(
    windows: Sequence[Window], candidates: list[_Candidate], lengths: Floats
) -> tuple[Floats, Flags]:
    """Grey levels along the rays ``(n, RAYS, samples)``, and whether they lie within the frame."""
    count, samples = lengths.shape
    places = _DIRECTIONS[None] * lengths[:, None, None, :]
    grey = np.empty((count, RAYS, samples), np.float32)
    limits = np.empty((2, count, 2), np.float32)
    for number, one in enumerate(candidates):
        window = windows[one.mark]
        places[number, 0] += np.float32(one.x)
        places[number, 1] += np.float32(one.y)
        # Only a window side that is the frame's own border cuts a disc; edges there are no edges.
        limits[0, number] = 1.0, 1.0
        limits[1, number] = window.pixels.shape[1] - 2.0, window.pixels.shape[0] - 2.0
        cv2.remap(
            window.pixels.astype(np.float32),
            places[number, 0],
            places[number, 1],
            cv2.INTER_LINEAR,
            dst=grey[number],
            borderMode=cv2.BORDER_REPLICATE,
        )
    inside = (places >= limits[0][:, :, None, None]) & (places <= limits[1][:, :, None, None])
    return grey, inside[:, 0] & inside[:, 1]


def _edges(samples: Floats, seen: Flags, lengths: Floats, middles: Doubles) -> tuple[Doubles, Flags, Doubles]:
    """Half-contrast crossings ``(n, RAYS, 2)``, which rays have one, and the contrast ``(n,)``.

    No ray has one without a disc's contrast.
    """
    count, steps = lengths.shape
    grid = np.linspace(RAY_START, RAY_END, steps)
    inside = _median(samples, seen, int(np.searchsorted(grid, INNER_END)), inner=True)
    outside = _median(samples, seen, int(np.searchsorted(grid, OUTER_START)), inner=False)
    half = ((inside + outside) / 2)[:, None]
    below = samples < half[:, :, None]
    first = below.argmax(axis=2)
    last = np.maximum(first - 1, 0)
    which, ray = np.arange(count)[:, None], np.arange(RAYS)[None, :]
    high, low = samples[which, ray, last], samples[which, ray, first]
    good = (first > 0) & seen[which, ray, first] & seen[which, ray, last]
    good &= (inside - outside >= MIN_CONTRAST)[:, None]
    drop = np.where(good, high - low, 1.0)
    near = lengths[which, last]
    length = near + (high - half) / drop * (lengths[which, first] - near)
    points = middles[:, None, :] + length[:, :, None] * _DIRECTIONS[:, :, 0].T
    return points, good, inside - outside


def _median(samples: Floats, seen: Flags, split: int, *, inner: bool) -> Doubles:
    """Median grey on the disc or around it, of what the frame shows; NaN where it shows none of it."""
    part = np.s_[:, :, :split] if inner else np.s_[:, :, split:]
    grey, there = samples[part], seen[part]
    if there.all():
        flat = np.ascontiguousarray(grey).reshape(len(grey), -1)
        middle = flat.shape[1] // 2
        return np.partition(flat, middle, axis=1)[:, middle].astype(np.float64)
    return np.array(
        [np.median(one[shown]) if shown.any() else np.nan for one, shown in zip(grey, there, strict=True)]
    )


def _fit_circles(points: Doubles, good: Flags, start: Doubles) -> tuple[Doubles, Doubles]:
    """Geometric least-squares circles, points beyond three robust deviations left out."""
    state, kept = start.copy(), good
    lost = good.sum(axis=1) < MIN_EDGES
    jacobian = np.ones((*points.shape[:2], 3))
    for _ in range(8):
        offset = points - state[:, None, :2]
        distance = np.sqrt(np.einsum("nrk,nrk->nr", offset, offset))
        jacobian[:, :, :2] = offset / np.maximum(distance, 1e-9)[:, :, None]
        weighted = (jacobian * kept[:, :, None]).transpose(0, 2, 1)
        normal = weighted @ jacobian
        normal[lost] = np.eye(3)
        step = np.linalg.solve(normal, weighted @ (distance - state[:, 2:])[:, :, None])[:, :, 0]
        state += step
        error = _distances(points, state)
        kept = _near(error, good)
        lost = lost | (kept.sum(axis=1) < MIN_EDGES)
        if lost.all() or np.abs(step[~lost]).max() < SETTLED_PX:
            break
    error = np.where(kept, error, 0.0)
    roughness = np.sqrt(np.einsum("nr,nr->n", error, error) / np.maximum(kept.sum(axis=1), 1))
    state[lost], roughness[lost] = np.nan, np.nan
    return state, roughness


def _distances(points: Doubles, state: Doubles) -> Doubles:
    offset = points - state[:, None, :2]
    distances: Doubles = np.abs(np.sqrt(np.einsum("nrk,nrk->nr", offset, offset)) - state[:, 2:])
    return distances


def _near(error: Doubles, good: Flags) -> Flags:
    """Which edges lie within three robust deviations of the circle, 0.3 px at least."""
    middle = np.minimum(good.sum(axis=1) // 2, RAYS - 1)
    spread = np.sort(np.where(good, error, np.inf), axis=1)[np.arange(len(error)), middle]
    near: Flags = good & (error <= np.maximum(3 * 1.4826 * spread, 0.3)[:, None])
    return near

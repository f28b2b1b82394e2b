"""Made-up novelties: pictures of good joints changed into something that no training set shows.

The guard learns from them what "unlike training" looks like, and ``evaluate`` measures it on suites made elsewhere. The
changes are deliberately generic (blobs, strokes, planes, patches of other joints, shifts, removals), so that what is
learned is not one kind of fault. NumPy and OpenCV only.
"""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.preprocess import Image

Plane = NDArray[np.float32]
Change = tuple[Plane, Plane]
"""A changed crop, float32 ``(h, w, c)`` in grey levels, and the share of change at each pixel, float32 ``(h, w)``."""

VISIBLE_LEVELS = 18.0
"""A pixel counts as changed when it differs by more grey levels than this."""
LEAST_SHARE = 0.008
"""A novelty changes at least this share of the crop, otherwise it is drawn again."""
ATTEMPTS = 50


def novelty(
    crops: Sequence[Image] | Image, index: int, rng: np.random.Generator, backgrounds: Image | None = None
) -> tuple[Image, Plane]:
    """Change one good crop into a novelty.

    Args:
        crops: good joints, uint8 ``(n, h, w, c)``; other joints lend their texture.
        index: the crop to change.
        rng: source of randomness.
        backgrounds: places of a board without a joint, uint8 ``(m, h, w, c)``; None where there are none.

    Returns:
        The changed crop, uint8 ``(h, w, c)``, and the share of change at each pixel, float32 ``(h, w)``.
    """
    for _ in range(ATTEMPTS):
        changed, mask = _change(crops, index, rng, backgrounds)
        shown = np.rint(np.clip(changed, 0, 255)).astype(np.uint8)
        difference = np.abs(shown - crops[index].astype(np.float32)).max(axis=2)
        if (difference > VISIBLE_LEVELS).mean() >= LEAST_SHARE:
            break
    return shown, np.clip(mask, 0, 1)


def made_up_novelties(good: Image, count: int, seed: int) -> Image:
    """Change good crops into novelties, each crop drawn at random: uint8 ``(count, h, w, c)``.

    Args:
        good: crops of good joints, uint8 ``(n, h, w, c)``, at least one.
        count: how many to make.
        seed: of the choice and the changes.
    """
    rng = np.random.default_rng(seed)
    return np.stack([novelty(good, int(rng.integers(len(good))), rng)[0] for _ in range(count)])


def _change(
    crops: Sequence[Image] | Image, index: int, rng: np.random.Generator, backgrounds: Image | None
) -> Change:
    crop = crops[index].astype(np.float32)
    kinds: list[tuple[float, Callable[[], Change]]] = [
        (0.16, lambda: _shifted(crop, crops, rng)),
        (0.08, lambda: _removed(crop, rng, backgrounds)),
        (0.04, lambda: _texture_only(crop, rng)),
        (0.03, lambda: _zoomed(crop, rng)),
        (0.06, lambda: _elsewhere(crop, rng, backgrounds)),
        (0.10, lambda: _half_removed(crop, rng, backgrounds)),
        (0.57, lambda: _patched(crop, crops, rng, backgrounds)),
    ]
    weights = np.array([weight for weight, _ in kinds])
    return kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))][1]()


def _whole(crop: Plane) -> Plane:
    return np.ones(crop.shape[:2], np.float32)


def _shifted(crop: Plane, crops: Sequence[Image] | Image, rng: np.random.Generator) -> Change:
    """Move the picture by a quarter to more than half of the crop; beside it lies its own edge, or another joint."""
    height, width = crop.shape[:2]
    distance, axis = rng.uniform(0.28, 0.6), int(rng.integers(2))
    shift = np.zeros(2)
    shift[axis] = distance * (width, height)[axis] * rng.choice([-1.0, 1.0])
    if rng.random() < 0.3:
        shift[1 - axis] = rng.uniform(-0.35, 0.35) * (width, height)[1 - axis]
    border = int(rng.choice([cv2.BORDER_REFLECT, cv2.BORDER_REPLICATE]))
    moved = _planes(_translated(crop, shift, border))
    if rng.random() < 0.5:
        beside = shift.copy()
        beside[axis] -= np.sign(shift[axis]) * (width, height)[axis]
        neighbour = _planes(crops[int(rng.integers(len(crops)))])
        seen = _translated(np.ones((height, width), np.float32), beside, cv2.BORDER_CONSTANT)
        moved = _mixed(moved, _planes(_translated(neighbour, beside, border)), _mask(seen))
    return moved, _whole(crop)


def _translated(picture: Plane, shift: NDArray[np.float64], border: int) -> Any:
    """Move a picture right and down by ``shift`` pixels."""
    height, width = picture.shape[:2]
    there = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
    return cv2.warpAffine(picture, there, (width, height), borderMode=border)


def _removed(crop: Plane, rng: np.random.Generator, backgrounds: Image | None) -> Change:
    """Replace everything inside a rim by background."""
    height, width = crop.shape[:2]
    mask = np.zeros((height, width), np.float32)
    radius = rng.uniform(0.33, 0.55) * min(height, width)
    cv2.circle(mask, (width // 2, height // 2), int(radius), 1.0, -1)
    mask = _mask(cv2.GaussianBlur(mask, (0, 0), rng.uniform(1.0, 4.0)))
    return _mixed(crop, _background(crop, rng, backgrounds), mask), mask


def _texture_only(crop: Plane, rng: np.random.Generator) -> Change:
    """Show no joint at all: background or noise of some scale."""
    if rng.random() < 0.5:
        return _background(crop, rng, None), _whole(crop)
    return _textured(crop, rng, rng.uniform(10, 200), rng.uniform(2, 60), rng.uniform(0.3, 8)), _whole(crop)


def _zoomed(crop: Plane, rng: np.random.Generator) -> Change:
    """Show the joint at another scale."""
    height, width = crop.shape[:2]
    scale = rng.uniform(0.25, 0.5) if rng.random() < 0.5 else rng.uniform(2.2, 4.0)
    centre = (width * rng.uniform(0.25, 0.75), height * rng.uniform(0.25, 0.75))
    zoomed = cv2.warpAffine(
        crop,
        cv2.getRotationMatrix2D(centre, 0.0, scale),
        (width, height),
        borderMode=cv2.BORDER_REFLECT,
    )
    return _planes(zoomed), _whole(crop)


def _elsewhere(crop: Plane, rng: np.random.Generator, backgrounds: Image | None) -> Change:
    """Show a place of the board without a joint."""
    if backgrounds is None:
        return _texture_only(crop, rng)
    return _planes(backgrounds[int(rng.integers(len(backgrounds)))]), _whole(crop)


def _half_removed(crop: Plane, rng: np.random.Generator, backgrounds: Image | None) -> Change:
    """Replace one side of the crop."""
    height, width = crop.shape[:2]
    angle = rng.uniform(0, 2 * np.pi) if rng.random() < 0.5 else rng.integers(4) * np.pi / 2
    mask = _half_plane(height, width, angle, rng.uniform(-0.1, 0.17) * width)
    if rng.random() < 0.4:
        mask = _mask(cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.6, 4.0)))
    kind = rng.integers(3)
    if kind == 0:
        fill = np.full_like(crop, rng.choice([0.0, rng.uniform(0, 60)]))
    elif kind == 1:
        fill = _planes(np.median(_rim(crop), axis=0) + rng.normal(0, rng.uniform(0, 5), crop.shape))
    else:
        fill = _background(crop, rng, backgrounds)
    return _mixed(crop, fill, mask), mask


def _patched(
    crop: Plane, crops: Sequence[Image] | Image, rng: np.random.Generator, backgrounds: Image | None
) -> Change:
    """Lay a shape of some material over the joint."""
    height, width = crop.shape[:2]
    mask = _shape(height, width, rng)
    if rng.random() < 0.3:
        mask = np.maximum(mask, _shape(height, width, rng))
    mask = mask * np.float32(rng.uniform(0.55, 1.0))
    changed = _mixed(crop, _material(crop, crops, rng, backgrounds), mask)
    return changed, (np.abs(changed - crop).max(axis=2) > 0.7 * VISIBLE_LEVELS).astype(np.float32)


def _shape(height: int, width: int, rng: np.random.Generator) -> Plane:
    """Draw a random blob, stroke, ellipse, polygon or half plane; float32 in [0, 1]."""
    kind, size = int(rng.integers(5)), min(height, width)
    mask = np.zeros((height, width), np.uint8)
    centre = rng.uniform(0.1, 0.9, 2) * (width, height)
    if kind == 0:
        drawn = (
            _smooth(height, width, rng.uniform(0.05, 0.17) * size, rng) > rng.uniform(0.8, 1.6)
        ) * np.float32(1)
    elif kind == 1:
        cv2.polylines(mask, [_stroke(height, width, rng)], False, 255, int(rng.integers(1, 7)), cv2.LINE_AA)
        drawn = _mask(mask / 255)
    elif kind == 2:
        axes = rng.uniform(0.05, 0.31, 2) * size
        cv2.ellipse(
            mask,
            (*centre.astype(int),),
            (*axes.astype(int),),
            rng.uniform(0, 180),
            0,
            360,
            255,
            -1,
            cv2.LINE_AA,
        )
        drawn = _mask(mask / 255)
    elif kind == 3:
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 8)))
        radii = rng.uniform(0.06, 0.54) * size * rng.uniform(0.5, 1.0, len(angles))
        corners = centre + np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None]
        cv2.fillPoly(mask, [corners.astype(np.int32)], 255, cv2.LINE_AA)
        drawn = _mask(mask / 255)
    else:
        drawn = _half_plane(height, width, rng.uniform(0, 2 * np.pi), rng.uniform(-0.18, 0.26) * width)
    if rng.random() < 0.5:
        drawn = _mask(cv2.GaussianBlur(drawn, (0, 0), rng.uniform(0.6, 3.0)))
    return drawn


def _stroke(height: int, width: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Return the points of a bent line across the crop, or of a random walk."""
    if rng.random() < 0.5:
        angle, middle = rng.uniform(0, 2 * np.pi), rng.uniform(0.25, 0.75, 2) * (width, height)
        along = np.array([np.cos(angle), np.sin(angle)])
        bend = np.array([-along[1], along[0]]) * rng.uniform(-0.18, 0.18) * width
        steps = np.linspace(-1, 1, 24)[:, None]
        points = middle + along * 0.85 * width * steps + bend * (1 - steps * steps)
    else:
        start = rng.uniform(-0.1, 1.1, 2) * (width, height)
        moves = rng.normal(0, rng.uniform(0.07, 0.3) * width, (rng.integers(2, 9), 2))
        points = np.cumsum(np.vstack([start, moves]), axis=0)
    return points.astype(np.int32).reshape(-1, 1, 2)


def _material(
    crop: Plane, crops: Sequence[Image] | Image, rng: np.random.Generator, backgrounds: Image | None
) -> Plane:
    """Return what a shape is filled with, float32 ``(h, w, c)``."""
    materials: list[Callable[[], Plane]] = [
        lambda: np.full_like(crop, rng.uniform(0, 255)),
        lambda: _other_joint(crop, crops, rng),
        lambda: _textured(crop, rng, rng.uniform(10, 230), rng.uniform(3, 60), rng.uniform(0.6, 6)),
        lambda: 255 - crop,
        lambda: _planes(cv2.GaussianBlur(crop, (0, 0), rng.uniform(0.035, 0.12) * crop.shape[1])),
        lambda: _relit(crop, rng),
        lambda: _background(crop, rng, None),
        lambda: _glint(crop, rng),
    ]
    if backgrounds is not None:
        materials.append(lambda: _background(crop, rng, backgrounds))
    return materials[int(rng.integers(len(materials)))]()


def _other_joint(crop: Plane, crops: Sequence[Image] | Image, rng: np.random.Generator) -> Plane:
    """Return another joint, turned and rolled."""
    other = crops[int(rng.integers(len(crops)))]
    if crop.shape[0] == crop.shape[1]:
        other = np.rot90(other, int(rng.integers(4)))
    half = crop.shape[0] // 2
    return _planes(np.roll(other, tuple(rng.integers(-half, half, 2)), (0, 1)))


def _relit(crop: Plane, rng: np.random.Generator) -> Plane:
    """Return the joint much darker or much brighter."""
    gain = rng.uniform(0.0, 0.5) if rng.random() < 0.5 else rng.uniform(1.8, 4.0)
    return _planes(np.clip(crop * gain + rng.uniform(-10, 40), 0, 255))


def _glint(crop: Plane, rng: np.random.Generator) -> Plane:
    """Return a plain surface with one bright spot, as on a solder ball."""
    height, width = crop.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    x, y = rng.uniform(0.1, 0.9, 2) * (width, height)
    spot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * (rng.uniform(0.024, 0.1) * width) ** 2))
    level = rng.uniform(10, 120) + spot * rng.uniform(50, 220)
    return _planes(np.zeros_like(crop) + np.clip(level, 0, 255)[..., None])


def _background(crop: Plane, rng: np.random.Generator, backgrounds: Image | None) -> Plane:
    """Return what the board around a joint may look like: a real place, or the rim's level with a little texture."""
    if backgrounds is not None and rng.random() < 0.6:
        return _planes(backgrounds[int(rng.integers(len(backgrounds)))])
    level = np.percentile(_rim(crop), rng.uniform(20, 60))
    return _textured(crop, rng, float(level), rng.uniform(1, 8), rng.uniform(0.5, 4))


def _textured(crop: Plane, rng: np.random.Generator, level: float, spread: float, sigma: float) -> Plane:
    height, width = crop.shape[:2]
    surface = np.clip(level + _smooth(height, width, sigma, rng) * spread, 0, 255)
    return _planes(np.zeros_like(crop) + surface[..., None])


def _smooth(height: int, width: int, sigma: float, rng: np.random.Generator) -> Plane:
    noise = cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), sigma)
    return _mask(noise / (noise.std() + 1e-6))


def _half_plane(height: int, width: int, angle: float, offset: float) -> Plane:
    rows, columns = np.mgrid[:height, :width]
    across = (columns - (width - 1) / 2) * np.cos(angle) + (rows - (height - 1) / 2) * np.sin(angle)
    return _mask(across > offset)


def _rim(crop: Plane) -> Plane:
    return np.concatenate([crop[0], crop[-1], crop[:, 0], crop[:, -1]])


def _mixed(crop: Plane, fill: Plane, mask: Plane) -> Plane:
    return crop * (1 - mask[..., None]) + fill * mask[..., None]


def _planes(image: Any) -> Plane:
    """Return an image as float32 with its channel axis, which OpenCV drops for one channel."""
    plane = np.asarray(image, np.float32)
    return plane if plane.ndim == 3 else plane[..., None]


def _mask(values: Any) -> Plane:
    return np.asarray(values, np.float32)

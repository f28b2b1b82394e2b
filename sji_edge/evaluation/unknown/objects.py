"""Objects that may lie on a joint: a cover, a wire or hair, solder balls, a flux stain, a foreign object.

They are drawn at four times the resolution, with the light that a joint has: a body, a highlight, a shadow. Sizes are
shares of the picture's shorter side.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.evaluation.unknown.scene import Layer, Plane, Scene, plane, resized, surface

FINE = 4
SHADOW = 0.55
"""Share of the light that a shadow takes."""
MIN_LEVEL_DIFFERENCE, MIN_SHARE, ATTEMPTS = 20.0, 0.008, 40

Points = NDArray[np.float64]


def covered(scene: Scene, rng: np.random.Generator) -> Layer:
    """A label, a strip of tape or a drop of paint hides 45 to 95 % of each side."""
    height, width = scene.size
    reach = rng.uniform(0.45, 0.95, 2) * (width, height)
    middle = rng.uniform(0.35, 0.65, 2) * (width, height)
    outline = _turned_box(middle, reach, rng.uniform(-0.35, 0.35))
    shown = _filled(scene, outline)
    fill = surface(scene, rng.uniform(5, 250), rng.uniform(0.5, 3.0), rng.uniform(0, 30), rng)
    return fill, shown


def wire(scene: Scene, rng: np.random.Generator) -> Layer:
    """A wire with a bright core or a dark hair runs from border to border, 1.2 to 5 % of the side thick."""

    def drawn() -> Layer:
        hair = rng.random() < 0.5
        thick = rng.uniform(0.012, 0.022) if hair else rng.uniform(0.022, 0.05)
        path = _path(scene, rng, bends=4 if hair else 2)
        shown = _line(scene, path, thick * scene.side)
        # Hair is dark against a highlight, and lights up beside the joint.
        level = (0, 14) if rng.random() < 0.35 else (70, 170)
        body = rng.uniform(*level) if hair else rng.uniform(40, 130)
        fill = np.full_like(scene.own, body)
        if not hair:
            core = _line(scene, path, 0.4 * thick * scene.side)
            fill += core[..., None] * rng.uniform(60, 125)
        return _with_shadow(fill, shown, 0.02 * scene.side)

    return _visible(scene, drawn)


def solder_ball(scene: Scene, rng: np.random.Generator) -> Layer:
    """One to three balls, each 5 to 12 % of the side in radius: dark, with the lamp's reflection."""

    def drawn() -> Layer:
        height, width = scene.size
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        fill, shown = scene.own.copy(), np.zeros(scene.size, np.float32)
        for _ in range(int(rng.choice([1, 1, 2, 3]))):
            radius = rng.uniform(0.05, 0.12) * scene.side
            x, y = rng.uniform(0.15, 0.85, 2) * (width, height)
            distance = np.hypot(columns - x, rows - y)
            dome = np.sqrt(np.clip(1 - (distance / radius) ** 2, 0, 1))
            lamp = rng.uniform(-0.35, 0.35, 2) * radius
            spot = np.exp(
                -((columns - x - lamp[0]) ** 2 + (rows - y - lamp[1]) ** 2) / (2 * (0.28 * radius) ** 2)
            )
            ball = rng.uniform(15, 70) * (0.4 + 0.6 * dome) + spot * rng.uniform(110, 220)
            own = np.clip(radius - distance + 0.5, 0, 1).astype(np.float32)
            fill = plane(fill * (1 - own[..., None]) + ball[..., None] * own[..., None])
            shown = np.maximum(shown, own)
        return _with_shadow(fill, shown, 0.025 * scene.side)

    return _visible(scene, drawn)


def flux_stain(scene: Scene, rng: np.random.Generator) -> Layer:
    """A film of dried flux with a lighter edge, which dulls 15 to 60 % of the picture."""

    def drawn() -> Layer:
        height, width = scene.size
        coarse = rng.normal(0, 1, (height, width)).astype(np.float32)
        ground = cv2.GaussianBlur(coarse, (0, 0), rng.uniform(0.12, 0.22) * scene.side)
        level = np.quantile(ground, 1 - rng.uniform(0.15, 0.6))
        inside = (ground > level).astype(np.float32)
        soft = cv2.GaussianBlur(inside, (0, 0), 0.012 * scene.side + 0.3)
        edge = np.clip(4 * soft * (1 - soft), 0, 1)
        tint = np.array([0.75, 0.9, 1.0] if scene.own.shape[2] == 3 else [1.0], np.float32)
        film = rng.uniform(60, 150) * tint
        fill = film + np.zeros_like(scene.own) + (edge * rng.uniform(15, 60))[..., None]
        return plane(fill), np.asarray(np.clip(soft * rng.uniform(0.3, 0.6) + 0.25 * edge, 0, 1), np.float32)

    return _visible(scene, drawn)


def foreign_object(scene: Scene, rng: np.random.Generator) -> Layer:
    """A splinter, a crumb or a flake, 20 to 60 % of the side across, with an edge and a shadow."""

    def drawn() -> Layer:
        height, width = scene.size
        middle = rng.uniform(0.25, 0.75, 2) * (width, height)
        corners = int(rng.integers(3, 9))
        angles = (
            np.linspace(0, 2 * np.pi, corners, endpoint=False) + rng.uniform(-0.5, 0.5, corners) / corners
        )
        reach = rng.uniform(0.1, 0.3) * scene.side * rng.uniform(0.75, 1.0, corners)
        outline = np.stack([np.cos(angles), np.sin(angles) * rng.uniform(0.45, 1.0)], 1) * reach[:, None]
        turn = rng.uniform(0, np.pi)
        outline = outline @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + middle
        shown = _filled(scene, outline)
        inner = cv2.erode(shown, np.ones((3, 3), np.uint8))
        material = int(rng.integers(3))
        if material == 0:
            fill = surface(scene, rng.uniform(0, 255), rng.uniform(1, 4), rng.uniform(0, 80), rng)
        elif material == 1:
            other = scene.others(rng)
            fill = resized(np.ascontiguousarray(np.rot90(other, int(rng.integers(1, 4)))), scene.size)
        else:
            grain = rng.normal(0, 1, scene.size).astype(np.float32)
            fibres = cv2.GaussianBlur(grain, (0, 0), 0.6, sigmaY=0.06 * scene.side)
            spread = rng.uniform(15, 50) / (float(fibres.std()) + 1e-6)
            fill = plane(np.clip(rng.uniform(40, 200) + fibres * spread, 0, 255)) + np.zeros_like(scene.own)
        fill = fill + ((shown - inner) * rng.uniform(-40, 60))[..., None]
        return _with_shadow(np.clip(fill, 0, 255), shown, 0.03 * scene.side)

    return _visible(scene, drawn)


def _visible(scene: Scene, draw: Callable[[], Layer]) -> Layer:
    """Draw again until the object can be told from what it lies on: a grey wire on grey is no fault of the judge."""
    for _ in range(ATTEMPTS):
        fill, shown = draw()
        difference = np.abs((fill - scene.own) * shown[..., None]).max(axis=2)
        if (difference >= MIN_LEVEL_DIFFERENCE).mean() >= MIN_SHARE:
            break
    return fill, shown


def _with_shadow(fill: Plane, shown: Plane, reach: float) -> Layer:
    """Darken what lies just beside the object."""
    shade = cv2.GaussianBlur(shown, (0, 0), max(0.5, reach))
    dark = np.clip(SHADOW * shade, 0, 1) * (1 - shown)
    weight = np.asarray(np.clip(shown + dark, 0, 1), np.float32)
    # Where only the shadow shows, the layer is black.
    colour = fill * (shown / np.maximum(weight, 1e-6))[..., None]
    return plane(colour), weight


def _path(scene: Scene, rng: np.random.Generator, *, bends: int) -> Points:
    """Return a smooth curve from one border to another."""
    height, width = scene.size
    angle = rng.uniform(0, 2 * np.pi)
    reach = 0.6 * np.hypot(height, width)
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    middle = rng.uniform(0.3, 0.7, 2) * (width, height)
    steps = np.linspace(-1, 1, 60)
    knots = np.linspace(-1, 1, bends + 2)
    offsets = rng.uniform(-0.16, 0.16, bends + 2) * scene.side
    smooth = cv2.GaussianBlur(np.interp(steps, knots, offsets)[None], (0, 0), 5)[0]
    return np.asarray(middle + along * (reach * steps)[:, None] + across * smooth[:, None], np.float64)


def _line(scene: Scene, path: Points, thick: float) -> Plane:
    canvas = _canvas(scene)
    cv2.polylines(canvas, [_fine(path)], False, 255, max(1, round(thick * FINE)), cv2.LINE_AA)
    return _coarse(scene, canvas)


def _filled(scene: Scene, outline: Points) -> Plane:
    canvas = _canvas(scene)
    cv2.fillPoly(canvas, [_fine(outline)], 255, cv2.LINE_AA)
    return _coarse(scene, canvas)


def _canvas(scene: Scene) -> NDArray[np.uint8]:
    height, width = scene.size
    return np.zeros((height * FINE, width * FINE), np.uint8)


def _coarse(scene: Scene, canvas: NDArray[np.uint8]) -> Plane:
    height, width = scene.size
    small = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small / np.float32(255), np.float32)


def _fine(points: Points) -> NDArray[np.int32]:
    return np.rint(points * FINE).astype(np.int32).reshape(-1, 1, 2)


def _turned_box(middle: Points, reach: Points, turn: float) -> Points:
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * reach / 2
    return np.asarray(
        corners @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + middle
    )

"""The kinds of pictures that are like nothing learned, each drawn from the scene of a good joint.

They are written apart from the made-up novelties that teach the guard (``data.novelties``) and share nothing with them:
a guard that has learned how one program draws must not be judged by the same program.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from sji_edge.evaluation.unknown.objects import covered, flux_stain, foreign_object, solder_ball, wire
from sji_edge.evaluation.unknown.scene import Layer, Plane, Scene, everywhere, plane, surroundings

Need = Literal["joint", "packages", "frames"]


@dataclass(frozen=True)
class Kind:
    """One kind of picture.

    Attributes:
        name: as in tables, such as ``half missing``.
        shows: what the pictures show, as a phrase.
        need: what it is made from: any good joint, joints of several packages, or frames with a recipe.
        draw: returns what is laid over the joint's picture; None where the scene cannot provide it.
    """

    name: str
    shows: str
    need: Need
    draw: Callable[[Scene, np.random.Generator], Layer | None]


def _absent(scene: Scene, rng: np.random.Generator) -> Layer | None:
    board = None if scene.background is None else scene.background(rng)
    return None if board is None else (board, _inner(scene, 0.96))


def _elsewhere(scene: Scene, rng: np.random.Generator) -> Layer | None:
    place = None if scene.elsewhere is None else scene.elsewhere(rng)
    return None if place is None else (place, everywhere(scene.size))


def _stranger(scene: Scene, rng: np.random.Generator) -> Layer | None:
    joint = None if scene.stranger is None else scene.stranger(rng)
    return None if joint is None else (joint, everywhere(scene.size))


def _moved(scene: Scene, rng: np.random.Generator) -> Layer:
    along = float(rng.choice([-0.5, 0.5]))
    shift = (along, 0.0) if rng.random() < 0.5 else (0.0, along)
    return scene.shifted(*shift, rng), everywhere(scene.size)


def _half_missing(scene: Scene, rng: np.random.Generator) -> Layer:
    board = None if scene.background is None else scene.background(rng)
    fill = surroundings(scene) if board is None else board
    height, width = scene.size
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    angle = rng.integers(4) * np.pi / 2 + rng.uniform(-0.15, 0.15)
    across = (columns - (width - 1) / 2) * np.cos(angle) / width + (rows - (height - 1) / 2) * np.sin(
        angle
    ) / height
    return fill, np.asarray(np.clip(across * scene.side + 0.5, 0, 1), np.float32)


def _noise(scene: Scene, rng: np.random.Generator) -> Layer:
    own, way = scene.own, int(rng.integers(3))
    if way == 0:
        fill = rng.uniform(0, 255, own.shape)
    elif way == 1:
        fill = rng.normal(own.mean(), own.std() + 1, own.shape)
    else:
        # The joint's own pixels in random order: the same histogram, and no joint.
        fill = rng.permutation(own.reshape(-1, own.shape[2])).reshape(own.shape)
    return plane(np.clip(fill, 0, 255)), everywhere(scene.size)


def _negative(scene: Scene, _rng: np.random.Generator) -> Layer:
    return plane(255 - scene.own), everywhere(scene.size)


def _inner(scene: Scene, share: float) -> Plane:
    """Return a rounded box of this share of each side, with a soft edge."""
    height, width = scene.size
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    x = np.abs(columns - (width - 1) / 2) / (share * width / 2)
    y = np.abs(rows - (height - 1) / 2) / (share * height / 2)
    inside = ((x**6 + y**6) < 1).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(inside, (0, 0), 0.02 * scene.side + 0.5), np.float32)


KINDS = (
    Kind("absent", "the board near the joint in its place", "frames", _absent),
    Kind("moved", "the box half a pitch off", "joint", _moved),
    Kind("half missing", "one half of the joint replaced by the board", "joint", _half_missing),
    Kind("covered", "a label, tape or paint over most of it", "joint", covered),
    Kind("wire or hair", "a wire or a hair across it", "joint", wire),
    Kind("solder ball", "one to three balls on or beside it", "joint", solder_ball),
    Kind("flux stain", "a film of dried flux", "joint", flux_stain),
    Kind("foreign object", "a splinter, crumb or flake on it", "joint", foreign_object),
    Kind("another package", "a joint of another package in its box", "packages", _stranger),
    Kind("another place", "any other place of the board in its box", "frames", _elsewhere),
    Kind("noise", "noise, or the joint's own pixels in random order", "joint", _noise),
    Kind("negative", "dark and bright exchanged", "joint", _negative),
)
TURNED = "turned board"
"""Not drawn at a joint: the whole frame is turned by 180°."""

"""Scenes from the good joints of a dataset, and pictures of each kind made from them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.preprocess import Image, crop_of_image
from sji_edge.evaluation.unknown.kinds import KINDS, Kind
from sji_edge.evaluation.unknown.scene import Plane, Scene, laid_over, plane, resized, to_image

MAX_JOINTS = 400
"""At most this many good joints are changed, drawn at random; a kind's interval is then about ±2 % wide at 5 %."""
STRANGER_ATTEMPTS = 30
MAX_STRETCH = 1.1

NEEDS_FRAMES = "needs frames and a recipe"
ONE_PACKAGE = "labels.csv names fewer than two packages (column package or pad) among these joints"


def pictures_of(
    kind: Kind, joints: Sequence[Image], packages: Sequence[str], spec: PreprocessSpec, seed: int
) -> NDArray[np.uint8]:
    """Return one crop of a kind for each joint that can provide one, uint8 ``(n, h, w, c)``.

    Args:
        kind: one of ``KINDS``.
        joints: images of good joints, as stored.
        packages: package of each joint, empty where it is not known.
        spec: the model's crops.
        seed: the same seed gives the same pictures.
    """
    crops = []
    for index, image in enumerate(joints):
        # Each picture has its own stream, so that it does not depend on which others are drawn.
        rng = np.random.default_rng((seed, KINDS.index(kind), index))
        scene = scene_of(joints, packages, index)
        layer = kind.draw(scene, rng)
        if layer is not None:
            crops.append(crop_of_image(to_image(laid_over(scene.own, layer), image), spec))
    return np.stack(crops) if crops else np.empty((0, *spec.shape), np.uint8)


def why_left_out(kind: Kind, packages: Sequence[str]) -> str:
    """Return why a kind cannot be made from joints alone; empty where it can."""
    if kind.need == "frames":
        return NEEDS_FRAMES
    if kind.need == "packages" and len(set(packages) - {""}) < 2:
        return ONE_PACKAGE
    return ""


def scene_of(joints: Sequence[Image], packages: Sequence[str], index: int) -> Scene:
    """Return the scene of one joint; the other joints lend what it does not show itself."""
    own = plane(joints[index])
    size = (own.shape[0], own.shape[1])
    alike = [place for place, name in enumerate(packages) if name == packages[index] and place != index]
    strange = [place for place, name in enumerate(packages) if name not in ("", packages[index])]

    def other(rng: np.random.Generator) -> Plane:
        return plane(joints[int(rng.integers(len(joints)))])

    def shifted(right: float, down: float, rng: np.random.Generator) -> Plane:
        # In a row of pins, half a pitch off shows half of this joint and half of its neighbour.
        neighbour = resized(plane(joints[alike[int(rng.integers(len(alike)))]]), size) if alike else own
        return _between(own, neighbour, right, down)

    def stranger(rng: np.random.Generator) -> Plane | None:
        for _ in range(STRANGER_ATTEMPTS if strange else 0):
            joint = plane(joints[strange[int(rng.integers(len(strange)))]])
            cut = _cut_middle(joint, size)
            if cut is not None:
                return cut
        return None

    return Scene(own, other, shifted, stranger=stranger if packages[index] else None)


def _between(own: Plane, neighbour: Plane, right: float, down: float) -> Plane:
    """Return what a box shows that lies between two joints, side by side or one above the other."""
    axis = 1 if right else 0
    offset = round((right or down) * own.shape[axis])
    pair = [own, neighbour] if offset > 0 else [neighbour, own]
    row = np.concatenate(pair, axis=axis)
    start = offset if offset > 0 else own.shape[axis] + offset
    return np.take(row, range(start, start + own.shape[axis]), axis=axis)


def _cut_middle(joint: Plane, size: tuple[int, int]) -> Plane | None:
    """Return the middle of a joint at its own scale, or None where it is too small for the box."""
    stretch = max(size[0] / joint.shape[0], size[1] / joint.shape[1], 1.0)
    if stretch > MAX_STRETCH:
        return None
    large = resized(joint, (round(joint.shape[0] * stretch), round(joint.shape[1] * stretch)))
    top, left = max(0, large.shape[0] - size[0]) // 2, max(0, large.shape[1] - size[1]) // 2
    return resized(large[top : top + size[0], left : left + size[1]], size)

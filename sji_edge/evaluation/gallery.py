"""Picks the joints that a report shows (worst escapes, worst false calls) and draws their tiles."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.frozen import FrozenModel
from sji_edge.core.verdict import FAIL, PASS, VERDICTS

TILE_PX = 168
HEAT = 0.45

Look = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class Shown(FrozenModel):
    """One joint in the gallery. ``picture`` and ``attention`` are PNG files; ``attention`` is None without a map."""

    file: str
    label: str
    score: float
    verdict: str
    wrong: bool
    picture: bytes
    attention: bytes | None


def worst_defects(scores: NDArray[np.float64], is_defect: NDArray[np.bool_], most: int) -> NDArray[np.int64]:
    """Return indices of up to ``most`` defects with the lowest ``(n,)`` scores, int64, lowest first."""
    return _first(np.where(is_defect, scores, np.inf), int(is_defect.sum()), most)


def worst_goods(scores: NDArray[np.float64], is_defect: NDArray[np.bool_], most: int) -> NDArray[np.int64]:
    """Return indices of up to ``most`` good joints with the highest ``(n,)`` scores, int64, highest first."""
    return _first(np.where(is_defect, np.inf, -scores), int((~is_defect).sum()), most)


def show(
    chosen: NDArray[np.int64],
    crops: NDArray[np.uint8],
    scores: NDArray[np.float64],
    *,
    files: Sequence[str],
    labels: Sequence[str],
    is_defect: NDArray[np.bool_],
    codes: NDArray[np.int8],
    look: Look | None,
) -> tuple[Shown, ...]:
    """Draw the tiles of the gallery.

    Args:
        chosen: indices of the joints to show.
        crops: uint8 ``(n, h, w, c)``.
        scores: 1 − p(good), ``(n,)``.
        files: the file of each joint.
        labels: class name of each joint.
        is_defect: whether each joint really is defective, bool ``(n,)``.
        codes: verdict of each joint, as of ``core.verdict.decide``.
        look: turns crops into activation maps, or None.
    """
    maps = None if look is None or not chosen.size else look(np.ascontiguousarray(crops[chosen]))
    return tuple(
        Shown(
            file=files[index],
            label=labels[index],
            score=float(scores[index]),
            verdict=VERDICTS[codes[index]].value,
            wrong=bool(codes[index] == (PASS if is_defect[index] else FAIL)),
            picture=_png(_tile(crops[index])),
            attention=None if maps is None else _png(_overlaid(crops[index], maps[place])),
        )
        for place, index in enumerate(chosen.tolist())
    )


def _first(order_by: NDArray[np.float64], present: int, most: int) -> NDArray[np.int64]:
    return np.argsort(order_by, kind="stable")[: min(present, most)]


def _tile(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    colour = crop if crop.shape[2] == 3 else np.repeat(crop, 3, axis=2)
    scale = TILE_PX / max(crop.shape[:2])
    size = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
    return cv2.resize(colour, size, interpolation=cv2.INTER_NEAREST).astype(np.uint8, copy=False)


def _overlaid(crop: NDArray[np.uint8], activation: NDArray[np.float32]) -> NDArray[np.uint8]:
    tile = _tile(crop)
    large = cv2.resize(activation, (tile.shape[1], tile.shape[0]), interpolation=cv2.INTER_LINEAR)
    heat = cv2.applyColorMap((np.clip(large, 0, 1) * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    # The picture stays unchanged where the map is dark.
    share = (HEAT * np.clip(large, 0, 1))[:, :, None]
    return (tile * (1 - share) + heat * share).astype(np.uint8)


def _png(image: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".png", image)[1].tobytes())

"""Shows what an engine looked at: how its answer changes where a part of the joint is covered.

The map asks the engine itself, whatever its network and its precision (Zeiler and Fergus, ECCV 2014, section 4.2).
"""

import itertools
import threading
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.preprocess import Image, RoiPx, crop_to_image, sample_crop, to_channels
from sji_edge.core.protocols import Engine, EngineOutput
from sji_edge.core.verdict import defect_scores
from sji_edge.review.pictures import SIDE_PX, NoPictureError, cut, surroundings

GRID = 9
"""Covered places along each side."""
COVER = 0.25
"""Side of a covered place, as a share of the crop's."""
OPACITY = 0.55


class Explainer:
    """Makes maps with one engine. Safe to use from several threads.

    Args:
        engine: opened; closed by ``close``.
        spec: the engine's crop.
        good_index: column of the good class.
        sha256: the engine's hash, as records hold it.
    """

    def __init__(self, engine: Engine, spec: PreprocessSpec, good_index: int, sha256: str) -> None:
        self._engine = engine
        self._spec = spec
        self._good = good_index
        self.sha256 = sha256
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()

    def picture(self, board: Image, place: RoiPx, *, novelty: bool) -> Image:
        """Return a joint with its surroundings, and the map laid over the joint's box.

        Args:
            board: a straightened board, uint8 ``(h, w[, 3])``.
            place: the joint's box.
            novelty: map the novelty instead of the score.

        Returns:
            uint8 BGR of ``SIDE_PX`` squared: the warmer, the more the answer depends on that part.

        Raises:
            NoPictureError: the engine gives no novelty.
        """
        crop = np.empty(self._spec.shape, np.uint8)
        sample_crop(to_channels(board, self._spec.channels), crop_to_image(place, self._spec), crop)
        heat = self.heat(crop, novelty=novelty)
        shown = to_channels(cut(board, place), 3)
        # From the crop's grid to the picture, through the same boxes.
        spec = PreprocessSpec(height=SIDE_PX, width=SIDE_PX, channels=1)
        to_picture = _joined(
            _inverse(crop_to_image(surroundings(place), spec)), crop_to_image(place, self._spec)
        )
        size = (SIDE_PX, SIDE_PX)
        level = cv2.warpAffine(heat, to_picture, size, None, cv2.INTER_LINEAR)
        inside = cv2.warpAffine(np.ones_like(heat), to_picture, size, None, cv2.INTER_LINEAR)
        colours = cv2.applyColorMap(np.round(level * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
        weight = (OPACITY * inside * level)[..., None]
        mixed = shown * (1 - weight) + colours * weight
        return mixed.round().astype(np.uint8)

    def heat(self, crop: Image, *, novelty: bool) -> NDArray[np.float32]:
        """Return how far the answer falls where a part is covered, float32 of the crop's height and width in [0, 1].

        1 is the part on which the answer depends most; a part whose cover raises the answer is 0.
        """
        height, width = crop.shape[:2]
        tall, wide = max(1, round(height * COVER)), max(1, round(width * COVER))
        tops = np.linspace(0, height - tall, GRID).round().astype(int)
        lefts = np.linspace(0, width - wide, GRID).round().astype(int)
        covered = np.repeat(crop[None], GRID * GRID + 1, axis=0)
        grey = crop.reshape(-1, crop.shape[2]).mean(axis=0).round().astype(np.uint8)
        for number, (top, left) in enumerate(itertools.product(tops, lefts)):
            covered[number + 1, top : top + tall, left : left + wide] = grey
        answers = self._answers(covered, self._novelty if novelty else self._scores)
        fall = np.maximum(answers[0] - answers[1:], 0.0).reshape(GRID, GRID).astype(np.float32)
        most = float(fall.max())
        found = cv2.resize(fall / most if most > 0 else fall, (width, height), interpolation=cv2.INTER_LINEAR)
        heat: NDArray[np.float32] = np.clip(found, 0.0, 1.0).astype(np.float32)
        return heat

    def _answers(
        self, crops: Image, read: Callable[[EngineOutput], NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        batch = self._engine.spec.max_batch
        with self._lock:
            parts = [
                read(self._engine.infer(np.ascontiguousarray(crops[start : start + batch])))
                for start in range(0, len(crops), batch)
            ]
        return np.concatenate(parts)

    def _scores(self, output: EngineOutput) -> NDArray[np.float64]:
        return defect_scores(output.logits, self._good)

    def _novelty(self, output: EngineOutput) -> NDArray[np.float64]:
        if output.novelty is None:
            raise NoPictureError("this engine has no guard")
        return output.novelty.astype(np.float64)


def _inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(cv2.invertAffineTransform(matrix), np.float64)


def _joined(outer: NDArray[np.float64], inner: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the map that applies ``inner``, then ``outer``."""
    whole = np.vstack([outer, [0, 0, 1]]) @ np.vstack([inner, [0, 0, 1]])
    return np.asarray(whole[:2], np.float64)

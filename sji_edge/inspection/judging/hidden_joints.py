"""Finds joints that the image does not show: covered, blanked out, or lying in lost rows of the frame.

A model answers for any crop, and scores many flat grey levels like a good joint. So each joint is examined by itself,
whatever the model says about it. A joint is hidden if one of these holds:

- More than ``MAX_FLAT`` of its cells are flat. A cell is one of 7 x 7 equal parts of the crop. It is flat if the grey
  level moves by no more than ``FLAT_LEVELS`` in total on the way across it, along its rows or down its columns. A
  constant patch of any level, a clipped area and repeated rows are flat; sensor noise is not.
- More than ``MAX_DEAD_LINES`` of its rows or columns are dead: constant, or a repetition of the line before.
- Its contrast, the standard deviation of the cells' mean levels, is below ``MIN_CONTRAST`` levels. Noise hardly changes
  a mean, so this finds noisy covers too.
- Its relief, the same after a smooth shading (a quadratic surface) is subtracted, is below ``MIN_RELIEF`` levels: a
  label or a finger under uneven light. Or the relief is below ``MIN_CLEAR_RELIEF`` times the mean difference between
  neighbouring pixels: nothing but noise, or a fine pattern.

With a golden image, cells and lines that are flat or dead there too do not count, unless more than
``MAX_FLAT_WITH_GOLDEN`` of all cells are flat; and the contrast must be ``MIN_GOLDEN_CONTRAST`` of golden's.

No real joint is reported as hidden: 946 for training and 238 for validation, in crops of 16 to 224 pixels a side, 317
for test, and 1800 on whole boards. At 84 x 84, at most 12 % of a joint's cells are flat, no line is dead, and the
contrast is at least 4.3 levels and 0.21 of golden's; in crops of any size, the relief is at least 3.1 levels and 0.9 of
the difference between neighbours. The limits also hold for the 800 test-board joints at 0.5 to 1.3
times the gain, and as JPEG of quality 70 or more. At quality 60, 8 of the 800 are reported; a blur of 2 pixels, 21.
Of the small validation images, one is reported at JPEG quality 80.

Covers on 119 validation joints, at grey levels 0, 40, 128 and 255: a blank or repeated band is always found if it hides
20 % of the joint (99.6 % of those that hide 15 %), a square or disc if it hides 45 % (squares of 35 %: 80 %, discs of
40 %: 81 %). A cover that shows sensor noise or a slanted shading is found only if it hides the whole joint. Smaller
covers pass this check, and so does a cover with a coarse texture of its own.

The check takes about 4.5 µs per joint for a frame of 100 joints, and 0.1 ms for a single joint.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.preprocess import Image, Matrix, crops_of_frame

CELLS = 7
GRID_PX = 42
"""Of a larger crop only every second, third … pixel is read, so that at least this many are left along each side."""
FLAT_LEVELS = 1.0
FULL_STEPS = 5
"""Pixel steps across a cell of a large crop; in the smaller cells of a small crop the level may move less."""
DEAD_LEVELS = 0.1
"""Mean difference between neighbours, along a line or to the next line, up to which the line is dead."""
MAX_FLAT, MAX_FLAT_WITH_GOLDEN = 0.22, 0.7
MAX_DEAD_LINES = 0.1
MIN_CONTRAST, MIN_GOLDEN_CONTRAST = 2.0, 0.1
MIN_RELIEF, MIN_CLEAR_RELIEF = 1.5, 0.5

BLOCK = 512
"""Joints measured at once: few enough for the cache, and for sums of 32 bits."""

Flags = NDArray[np.bool_]


def _shadings() -> NDArray[np.float64]:
    """Orthonormal quadratic surfaces over the cells, float64 ``(49, 6)``."""
    y, x = np.mgrid[:CELLS, :CELLS].reshape(2, -1) - (CELLS - 1) / 2
    return np.linalg.qr(np.stack([np.ones(CELLS**2), x, y, x * x, x * y, y * y], axis=1))[0]


SHADINGS = _shadings()


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """Measurements of n joints.

    Attributes:
        flat: which cells are flat ``(n, 49)``.
        dead: share of dead lines ``(n,)``.
        contrast: grey levels ``(n,)``.
        shapeless: whether the relief is too low ``(n,)``.
    """

    flat: Flags
    dead: NDArray[np.float64]
    contrast: NDArray[np.float64]
    shapeless: Flags


class HiddenJoints:
    """Checks the joints of a frame, against the golden image where there is one.

    Args:
        spec: the crop that the maps belong to.
        golden: the golden image, uint8 grey or BGR; None if there is none.
        golden_maps: maps of all joints of the layout in ``golden``, float64 ``(n, 2, 3)``.
    """

    def __init__(
        self, spec: PreprocessSpec, golden: Image | None = None, golden_maps: Matrix | None = None
    ) -> None:
        self._steps = max(1, spec.height // GRID_PX), max(1, spec.width // GRID_PX)
        self._sides = tuple(
            -(-side // step) // CELLS * CELLS
            for side, step in zip((spec.height, spec.width), self._steps, strict=True)
        )
        self._textured: Flags | None = None
        self._golden_dead: NDArray[np.float64] = np.zeros(1)
        self._least_contrast: NDArray[np.float64] = np.full(1, MIN_CONTRAST)
        if golden is not None and golden_maps is not None:
            seen = _measure(self.cut(golden, golden_maps))
            self._textured, self._golden_dead = ~seen.flat, seen.dead
            self._least_contrast = np.maximum(MIN_CONTRAST, MIN_GOLDEN_CONTRAST * seen.contrast)

    def in_crops(self, crops: Image, inside: Flags) -> Flags:
        """Tell which joints are hidden.

        Args:
            crops: uint8 ``(n, height, width, channels)``, of the joints within the frame.
            inside: bool, one for each joint of the layout; n of them are True.

        Returns:
            bool ``(n,)``.
        """
        (step_y, step_x), (height, width) = self._steps, self._sides
        # Green stands for grey.
        thinned = crops[:, ::step_y, ::step_x, crops.shape[3] // 2][:, :height, :width]
        return self._hidden(thinned, inside)

    def in_frame(self, pixels: Image, maps: Matrix, inside: Flags) -> Flags:
        """Tell the same if only the engine's device has the crops: the host cuts the few pixels that it needs.

        Args:
            pixels: uint8 grey or BGR.
            maps: float64 ``(n, 2, 3)``, of the joints within the frame.
            inside: see ``in_crops``.
        """
        return self._hidden(self.cut(pixels, maps), inside)

    def cut(self, pixels: Image, maps: Matrix) -> Image:
        """Cut the pixels that ``in_crops`` reads of each crop: uint8 ``(n, rows, columns)``."""
        steps = np.array([self._steps[1], self._steps[0], 1.0])
        cuts = np.empty((len(maps), *self._sides, 1 if pixels.ndim == 2 else 3), np.uint8)
        crops_of_frame(pixels, maps * steps, cuts)
        joints: Image = cuts[..., cuts.shape[3] // 2]
        return joints

    def _hidden(self, joints: Image, inside: Flags) -> Flags:
        seen = _measure(joints)
        flat = np.add.reduce(seen.flat, axis=1)
        dead, least = self._golden_dead, self._least_contrast
        too_flat = flat > MAX_FLAT * CELLS**2
        if self._textured is not None:
            unlike_golden = np.add.reduce(seen.flat & self._textured[inside], axis=1)
            too_flat = (unlike_golden > MAX_FLAT * CELLS**2) | (flat > MAX_FLAT_WITH_GOLDEN * CELLS**2)
            dead, least = dead[inside], least[inside]
        hidden: Flags = (
            too_flat | (seen.dead - dead > MAX_DEAD_LINES) | (seen.contrast < least) | seen.shapeless
        )
        return hidden


def _measure(joints: Image) -> _Seen:
    """Measure joints, uint8 ``(n, rows, columns)``, whose sides are multiples of ``CELLS``."""
    blocks = [_measure_block(joints[start : start + BLOCK]) for start in range(0, len(joints), BLOCK)]
    if len(blocks) == 1:
        return blocks[0]
    if not blocks:
        return _Seen(np.empty((0, CELLS**2), np.bool_), np.empty(0), np.empty(0), np.empty(0, np.bool_))
    return _Seen(
        np.concatenate([block.flat for block in blocks]),
        np.concatenate([block.dead for block in blocks]),
        np.concatenate([block.contrast for block in blocks]),
        np.concatenate([block.shapeless for block in blocks]),
    )


def _measure_block(joints: Image) -> _Seen:
    """Measure some joints: below each other in one image, so that every sum comes from three integral images.

    Slices are written out because ``np.diff`` and ``np.std`` would cost a lone joint more than the sums.
    """
    count, height, width = joints.shape
    tall = np.ascontiguousarray(joints).reshape(count * height, width)
    row, column = height // CELLS, width // CELLS
    down = cv2.integral(cv2.absdiff(tall[1:], tall[:-1]))
    along = cv2.integral(cv2.absdiff(tall[:, 1:], tall[:, :-1]))
    # Differences within a cell: one less than it has pixels.
    ends = (down[row - 1 :: row] - down[:-1:row])[:, ::column]
    moves_down = ends[:, 1:] - ends[:, :-1]
    ends = along[row::row] - along[:-1:row]
    moves_along = ends[:, column - 1 :: column] - ends[:, :-1:column]
    least = FLAT_LEVELS * min(1.0, (min(row, column) - 1) / FULL_STEPS)
    # Sums are whole numbers, and comparing them with whole numbers is faster.
    flat = (moves_down <= int(least * column)) | (moves_along <= int(least * row))
    corners = cv2.integral(tall)[::row, ::column]
    sums = corners[1:] - corners[:-1]
    means = (sums[:, 1:] - sums[:, :-1]).reshape(count, -1) / (row * column)
    means -= np.add.reduce(means, axis=1, keepdims=True) / CELLS**2
    squares = np.add.reduce(means * means, axis=1)
    smooth = means @ SHADINGS
    relief = (squares - np.add.reduce(smooth * smooth, axis=1)) / CELLS**2
    moves = np.add.reduce(moves_down.reshape(count, -1), axis=1) / (2 * CELLS**2 * (row - 1) * column)
    moves += np.add.reduce(moves_along.reshape(count, -1), axis=1) / (2 * CELLS**2 * row * (column - 1))
    return _Seen(
        flat.reshape(count, -1),
        _dead_lines(down, along, joints.shape),
        np.sqrt(squares / CELLS**2),
        relief < np.maximum(MIN_RELIEF, MIN_CLEAR_RELIEF * moves) ** 2,
    )


def _dead_lines(down: NDArray[Any], along: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the share of dead rows or columns of each joint, whichever is larger.

    Args:
        down: integral image of the differences to the row below.
        along: integral image of the differences to the pixel on the right.
        shape: of the joints.
    """
    count, height, width = shape
    in_row = (along[1:, -1] - along[:-1, -1]).reshape(count, height)[:, :-1]
    to_next = np.zeros(count * height, np.int32)
    # The last row of a joint has the next joint's first one below it.
    to_next[:-1] = down[1:, -1] - down[:-1, -1]
    below = to_next.reshape(count, height)[:, :-1]
    rows = np.add.reduce(np.minimum(below, in_row) <= int(DEAD_LEVELS * width), axis=1)
    ends = down[height - 1 :: height] - down[:-1:height]
    in_column = ends[:, 1:-1] - ends[:, :-2]
    ends = along[height::height] - along[:-1:height]
    to_right = ends[:, 1:] - ends[:, :-1]
    columns = np.add.reduce(np.minimum(in_column, to_right) <= int(DEAD_LEVELS * height), axis=1)
    dead: NDArray[np.float64] = np.maximum(rows / (height - 1), columns / (width - 1))
    return dead

"""The gallery of the unknowns: one sheet of crops for each kind, framed by what was decided of them."""

from collections.abc import Sequence

import cv2
import numpy as np

from sji_edge.core.preprocess import Image
from sji_edge.core.verdict import Verdict
from sji_edge.evaluation.unknown.counts import Outcome

TILE_PX, FRAME_PX, GAP_PX, COLUMNS = 84, 4, 1, 9
MAX_TILES = 18
RED, GREEN, ORANGE, GREY = (43, 53, 179), (98, 127, 42), (48, 160, 230), (120, 120, 120)
LEGEND = (
    "Frame: red is the wrong verdict (PASS; for good joints FAIL), green the right one (FAIL; for good joints PASS), "
    "orange REVIEW, grey ERROR. The wrong verdicts come first."
)


def sheet(pictures: Sequence[tuple[Image, Outcome]], *, good: bool = False) -> bytes:
    """Draw up to ``MAX_TILES`` crops, the wrong verdicts first; a PNG file.

    Args:
        pictures: crops uint8 ``(h, w, c)``, at least one, with what was decided.
        good: they are good joints: anything but PASS is wrong.
    """
    wrong = [pair for pair in pictures if (pair[1].verdict is Verdict.PASS) != good]
    right = [pair for pair in pictures if (pair[1].verdict is Verdict.PASS) == good]
    # Half of the sheet shows what went wrong, where enough did, so that neither hides the other.
    kept = max(MAX_TILES // 2, MAX_TILES - len(right))
    colours = {Verdict.PASS: RED, Verdict.REVIEW: ORANGE, Verdict.FAIL: GREEN, Verdict.ERROR: GREY}
    if good:
        colours |= {Verdict.PASS: GREEN, Verdict.FAIL: RED}
    shown = [*wrong[:kept], *right][:MAX_TILES]
    tiles = [_tile(crop, colours[outcome.verdict]) for crop, outcome in shown]
    columns = min(COLUMNS, len(tiles))
    blank = np.full_like(tiles[0], 255)
    tiles += [blank] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    return bytes(cv2.imencode(".png", np.vstack(rows))[1].tobytes())


def _tile(crop: Image, border: tuple[int, int, int]) -> Image:
    colour = crop if crop.shape[2] == 3 else np.repeat(crop, 3, axis=2)
    scaled = cv2.resize(colour, (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA)
    side = TILE_PX + 2 * (FRAME_PX + GAP_PX)
    tile = np.full((side, side, 3), 255, np.uint8)
    tile[GAP_PX:-GAP_PX, GAP_PX:-GAP_PX] = border
    inset = GAP_PX + FRAME_PX
    tile[inset:-inset, inset:-inset] = scaled
    return tile

import cv2
import numpy as np

from sji_edge.core.verdict import Verdict
from sji_edge.evaluation.unknown.counts import Outcome
from sji_edge.evaluation.unknown.sheet import (
    COLUMNS,
    FRAME_PX,
    GAP_PX,
    GREEN,
    MAX_TILES,
    ORANGE,
    RED,
    TILE_PX,
    sheet,
)

STEP = TILE_PX + 2 * (FRAME_PX + GAP_PX)


def pictures(*verdicts):
    """One crop a verdict, each with a level of its own."""
    levels = [np.full((16, 16, 1), 10 + 5 * number % 240, np.uint8) for number in range(len(verdicts))]
    return list(zip(levels, [Outcome(False, Verdict(verdict)) for verdict in verdicts], strict=True))


def tiles(data):
    """Frame colour and level of each tile, in reading order."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    found = []
    for top in range(0, image.shape[0], STEP):
        for left in range(0, image.shape[1], STEP):
            border = tuple(int(value) for value in image[top + GAP_PX + 1, left + STEP // 2])
            found.append((border, int(image[top + STEP // 2, left + STEP // 2, 0])))
    return found


def test_what_was_given_pass_comes_first_in_red():
    shown = tiles(sheet(pictures("REVIEW", "PASS", "FAIL")))
    assert shown == [(RED, 15), (ORANGE, 10), (GREEN, 20)]


def test_for_good_joints_pass_is_right():
    shown = tiles(sheet(pictures("PASS", "FAIL", "REVIEW"), good=True))
    assert shown == [(RED, 15), (ORANGE, 20), (GREEN, 10)]


def test_neither_hides_the_other():
    verdicts = ["PASS"] * 40 + ["REVIEW"] * 3
    shown = tiles(sheet(pictures(*verdicts)))
    assert len(shown) == MAX_TILES
    assert len(shown) % COLUMNS == 0
    assert sum(border == ORANGE for border, _ in shown) == 3
    half = tiles(sheet(pictures(*["PASS"] * 30, *["FAIL"] * 30)))
    assert sum(border == RED for border, _ in half) == MAX_TILES // 2

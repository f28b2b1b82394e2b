"""Draws the crops whose verdicts change or whose scores differ most, as one labelled picture."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.errors import GateError
from sji_edge.core.files import output_errors, write_atomic
from sji_edge.parity.comparison import UNLABELLED, Comparison, WorstJoint

COLUMNS = 4
TILE = 168
LINE = 16
MARGIN = 6
FONT = cv2.FONT_HERSHEY_SIMPLEX
FONT_SCALE = 0.38
WHITE = (255, 255, 255)
INK = (30, 30, 30)
ALARM = (40, 40, 220)

Image = NDArray[np.uint8]


def save_worst(
    folder: Path, name: str, comparison: Comparison, crops: NDArray[np.uint8], classes: Sequence[str]
) -> Path:
    """Write ``folder/worst-NAME.png``; a picture of that name is replaced.

    Args:
        folder: created if it is missing.
        name: what was compared; characters that do not fit a file name are replaced.
        comparison: its ``worst`` crops are drawn.
        crops: the crops that were compared, uint8 ``(n, h, w, c)``.
        classes: names of the labels.

    Raises:
        GateError: no score is finite, so there is no crop to show.
        OutputError: the picture cannot be written.
    """
    plain = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name).strip(".-")
    path = folder / f"worst-{plain}.png"
    _, data = cv2.imencode(".png", contact_sheet(comparison, crops, classes))
    with output_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, data.tobytes())
    return path


def contact_sheet(comparison: Comparison, crops: NDArray[np.uint8], classes: Sequence[str]) -> Image:
    """Draw the worst crops, worst first, each with its index, label, scores and verdicts.

    Returns:
        BGR uint8; a verdict that flips is written in red.

    Raises:
        GateError: there is no crop to show.
    """
    if not comparison.worst:
        raise GateError("no score is finite on both sides: there is no crop to show")
    tiles = [_tile(joint, crops[joint.index], classes) for joint in comparison.worst]
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % COLUMNS)
    rows = [np.hstack(tiles[start : start + COLUMNS]) for start in range(0, len(tiles), COLUMNS)]
    sheet: Image = np.vstack(rows)
    return sheet


def _novelty_line(joint: WorstJoint) -> tuple[tuple[str, tuple[int, int, int]], ...]:
    """Return the line on the novelty of both sides; nothing where neither has a guard."""
    sides = (joint.reference_novelty, joint.candidate_novelty)
    if sides == (None, None):
        return ()
    shown = ("none" if value is None else f"{value:.3f}" for value in sides)
    return ((f"novelty {' -> '.join(shown)}", INK),)


def _tile(joint: WorstJoint, crop: Image, classes: Sequence[str]) -> Image:
    flipped = joint.reference_verdict != joint.candidate_verdict
    label = UNLABELLED if joint.label < 0 else classes[joint.label]
    lines = (
        (f"#{joint.index} {label}", INK),
        (f"score {joint.reference_score:.4f} -> {joint.candidate_score:.4f}", INK),
        *_novelty_line(joint),
        (f"{joint.reference_verdict} -> {joint.candidate_verdict}", ALARM if flipped else INK),
    )
    tile = np.full((TILE + LINE * len(lines) + 3 * MARGIN, TILE + 2 * MARGIN, 3), WHITE, np.uint8)
    shown = crop if crop.shape[2] == 3 else np.repeat(crop, 3, axis=2)
    scale = TILE / max(crop.shape[:2])
    size = (max(round(crop.shape[1] * scale), 1), max(round(crop.shape[0] * scale), 1))
    picture = cv2.resize(shown, size, interpolation=cv2.INTER_NEAREST)
    tile[MARGIN : MARGIN + size[1], MARGIN : MARGIN + size[0]] = picture
    for number, (text, colour) in enumerate(lines, start=1):
        place = (MARGIN, MARGIN + TILE + number * LINE)
        cv2.putText(tile, text, place, FONT, FONT_SCALE, colour, 1, cv2.LINE_AA)
    return tile

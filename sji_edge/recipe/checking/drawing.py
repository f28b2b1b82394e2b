"""Draw a recipe: joints, fiducials and their search windows, codes and skip marks on the golden image."""

from collections.abc import Collection

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.preprocess import Image, to_channels
from sji_edge.recipe.board import Board
from sji_edge.recipe.codes.area import Area
from sji_edge.recipe.fiducials.shapes import Circle, Cross, Fiducial
from sji_edge.recipe.joints import Joint

JOINT_BGR = (235, 200, 70)
DOUBTFUL_BGR = (40, 160, 255)
AREA_BGR = (240, 120, 230)
"""Codes and skip marks."""
FIDUCIAL_BGR = (120, 230, 110)
PLATE_BGR = (24, 24, 24)
FONT = cv2.FONT_HERSHEY_SIMPLEX
SUBPIXEL_BITS = 4
REFERENCE_PX = 2000
"""The image size at which lines and letters have their nominal size."""
DASH_PX = 8
LETTER_PX = 12

Points = NDArray[np.float64]
Colour = tuple[int, int, int]


def paint_recipe(
    golden: Image, board: Board, joints: Collection[Joint], doubtful: Collection[str] = ()
) -> Image:
    """Paint a recipe on its golden image.

    Args:
        golden: uint8, grey or BGR; not modified.
        board: its fiducials.
        joints: the joints; the edge that is the top one before rotation is drawn twice as thick.
        doubtful: names of joints to highlight.

    Returns:
        uint8 BGR, of golden's size.
    """
    canvas = to_channels(golden, 3).copy()
    scale = max(0.8, max(canvas.shape[:2]) / REFERENCE_PX)
    for joint in joints:
        colour = DOUBTFUL_BGR if joint.refdes in doubtful else JOINT_BGR
        corners = box_of(joint)
        _outline(canvas, corners, colour, scale)
        if joint.rotation % 360:
            _outline(canvas, corners[:2], colour, 2 * scale)
    for number, mark in enumerate(board.fiducials):
        _paint_fiducial(canvas, mark, f"F{number}", scale)
    for name, area in _areas(board):
        corners = np.array(area.corners())
        _outline(canvas, corners, AREA_BGR, scale)
        left, top = corners.min(axis=0)
        _write(canvas, name, (float(left), float(top)), 0.5 * scale, AREA_BGR)
    # Letters last, so that no line runs through them.
    for joint in joints:
        colour = DOUBTFUL_BGR if joint.refdes in doubtful else JOINT_BGR
        left, top = box_of(joint).min(axis=0)
        _write(canvas, joint.refdes, (float(left), float(top)), 0.5 * scale, colour)
    return canvas


def _areas(board: Board) -> list[tuple[str, Area]]:
    """Return the codes and skip marks of a board and its units, as they lie on the golden image."""
    found: list[tuple[str, Area]] = [] if board.code is None else [("code", board.code)]
    for unit in board.units:
        for what, area in (("code", unit.code), ("skip", unit.skip)):
            if area is not None:
                found.append((f"{unit.name} {what}", unit.placed_area(area)))
    return found


def box_of(joint: Joint) -> Points:
    """Return the corners of a joint's box in recipe pixels ``(4, 2)``, clockwise from its own upper left one."""
    x, y, width, height, angle = joint.roi
    cos, sin = np.cos(angle), np.sin(angle)
    corners = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]) * [width / 2, height / 2]
    turned: Points = corners @ np.array([[cos, sin], [-sin, cos]]) + [x, y]
    return turned


def _paint_fiducial(canvas: Image, mark: Fiducial, name: str, scale: float) -> None:
    place = np.array([mark.x, mark.y])
    _outline(canvas, place + _shape(mark), FIDUCIAL_BGR, scale)
    # The search window bounds the centre, not the mark itself; that is why it is dashed.
    half = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]) * mark.search_px
    corners = np.clip(place + half, 0, np.array(canvas.shape[1::-1]) - 1)
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        _dashes(canvas, start, end, scale)
    # A window at the upper border leaves no room above it, where the name would hide the mark.
    room = 2 * LETTER_PX * scale
    base = corners[0, 1] if corners[0, 1] >= room else corners[2, 1] + room
    _write(canvas, f"{name} {mark.shape}", (float(corners[0, 0]), float(base)), 0.5 * scale, FIDUCIAL_BGR)


def _shape(mark: Fiducial) -> Points:
    if isinstance(mark, Circle):
        turn = np.linspace(0, 2 * np.pi, 73)[:-1]
        return mark.radius * np.column_stack([np.cos(turn), np.sin(turn)])
    if isinstance(mark, Cross):
        far, near = mark.size / 2, mark.thickness / 2
        arm = np.array([[-near, -near], [-near, -far], [near, -far]])
        turns = [np.linalg.matrix_power(np.array([[0.0, 1.0], [-1.0, 0.0]]), n) for n in range(4)]
        return np.vstack([arm @ turn for turn in turns])
    return np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]) * mark.half_px


def _outline(canvas: Image, points: Points, colour: Colour, width: float) -> None:
    fixed = np.round(points * (1 << SUBPIXEL_BITS)).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(
        canvas, [fixed], len(points) > 2, colour, max(1, round(1.5 * width)), cv2.LINE_AA, SUBPIXEL_BITS
    )


def _dashes(canvas: Image, start: Points, end: Points, scale: float) -> None:
    length = float(np.hypot(*(end - start)))
    count = max(1, round(length / (DASH_PX * scale)))
    for dash in range(0, count, 2):
        _outline(
            canvas,
            np.array([start + (end - start) * part / count for part in (dash, dash + 1)]),
            FIDUCIAL_BGR,
            scale,
        )


def _write(canvas: Image, text: str, corner: tuple[float, float], size: float, colour: Colour) -> None:
    """Write text on a dark plate above a corner, moved into the image where needed."""
    ascii_text = text.encode("ascii", "replace").decode()
    thickness = max(1, round(2 * size))
    (width, height), below = cv2.getTextSize(ascii_text, FONT, size, thickness)
    gap = below // 2 + 3
    left = int(np.clip(round(corner[0]), 2, max(2, canvas.shape[1] - width - 3)))
    base = int(np.clip(round(corner[1]) - gap, height + 3, canvas.shape[0] - gap))
    cv2.rectangle(canvas, (left - 2, base - height - 2), (left + width + 2, base + below // 2), PLATE_BGR, -1)
    cv2.putText(canvas, ascii_text, (left, base), FONT, size, colour, thickness, cv2.LINE_AA)

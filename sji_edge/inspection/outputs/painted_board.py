"""Paints a judged board: each joint's box in the colour of its verdict, with its score or its cause."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import OutputError
from sji_edge.core.preprocess import Image, Matrix, to_channels
from sji_edge.core.protocols import BoardRecord, Frame, JointRecord
from sji_edge.core.verdict import Verdict
from sji_edge.inspection.faults import Cause
from sji_edge.inspection.judging.frame_job import Judgement
from sji_edge.inspection.outputs.quota_folder import PictureFolder
from sji_edge.records.picture_names import painted_picture

COLOURS_BGR = {
    Verdict.PASS: (90, 200, 90),
    Verdict.REVIEW: (0, 190, 255),
    Verdict.FAIL: (60, 60, 245),
    Verdict.ERROR: (255, 60, 255),
}
UNLIKE = (Cause.UNLIKE_TRAINING, Cause.UNLIKE_GOLDEN)
UNLIKE_BGR = (255, 200, 40)
"""Colour of a joint that is REVIEW because of what it is unlike."""
FONT = cv2.FONT_HERSHEY_SIMPLEX
PLATE_BGR = (24, 24, 24)
SUBPIXEL_BITS = 4
JPEG_QUALITY = 92


def paint_board(pixels: Image, judgement: Judgement, spec: PreprocessSpec) -> Image:
    """Paint a judgement onto its frame.

    Args:
        pixels: the frame, uint8, grey or BGR; not modified.
        judgement: the record and the placement; without a placement, only the banner is painted.
        spec: the crop that the placement's maps belong to.

    Returns:
        uint8 BGR, the frame with a banner above it.
    """
    canvas = to_channels(pixels, 3).copy()
    scale = max(canvas.shape[:2]) / 2000
    record = judgement.record
    if judgement.placement is not None:
        boxes = box_corners(judgement.placement.maps, spec)
        for joint, box in zip(record.joints, boxes, strict=True):
            _paint_joint(canvas, joint, box, max(scale, 0.3))
    return np.vstack([_banner(record, canvas.shape[1], max(scale, 0.3)), canvas])


def box_corners(maps: Matrix, spec: PreprocessSpec) -> NDArray[np.float64]:
    """Return the corners of the boxes that crop maps cover, in frame pixels, float64 ``(n, 4, 2)``."""
    right, bottom = spec.width - 0.5, spec.height - 0.5
    corners = np.array([[-0.5, -0.5, 1.0], [right, -0.5, 1.0], [right, bottom, 1.0], [-0.5, bottom, 1.0]])
    return np.ascontiguousarray((maps @ corners.T).transpose(0, 2, 1))


def _paint_joint(canvas: Image, joint: JointRecord, box: NDArray[np.float64], scale: float) -> None:
    unlike = joint.cause in UNLIKE
    colour = UNLIKE_BGR if unlike else COLOURS_BGR[joint.verdict]
    passed = joint.verdict is Verdict.PASS
    points = np.round(box * (1 << SUBPIXEL_BITS)).astype(np.int32)
    cv2.polylines(
        canvas,
        [points.reshape(-1, 1, 2)],
        isClosed=True,
        color=colour,
        thickness=max(1, round((2 if passed else 4) * scale)),
        lineType=cv2.LINE_AA,
        shift=SUBPIXEL_BITS,
    )
    score = joint.cause if joint.score is None or unlike else f"{joint.score:.2f}"
    text = f"{joint.score:.2f}" if passed else f"{joint.refdes} {score}"
    left, top = box.min(axis=0)
    place = (max(2, round(left)), max(round(14 * scale), round(top - 7 * scale)))
    _write(canvas, text, place, (0.45 if passed else 0.65) * scale, colour)


def _banner(record: BoardRecord, width: int, scale: float) -> Image:
    height = round(48 * scale)
    banner = np.full((height, width, 3), PLATE_BGR, np.uint8)
    counts = {verdict: sum(joint.verdict is verdict for joint in record.joints) for verdict in Verdict}
    listed = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    text = f"{record.verdict}  {record.frame_name}  {record.cause or listed}"
    if record.alignment_residual_px is not None:
        text += f"  residual {record.alignment_residual_px:.2f} px"
    place = (round(14 * scale), round(33 * scale))
    _write(banner, text, place, 0.95 * scale, COLOURS_BGR[record.verdict])
    return banner


def _write(
    canvas: Image, text: str, place: tuple[int, int], size: float, colour: tuple[int, int, int]
) -> None:
    """Write text on a dark plate, so that it is legible on solder and on board."""
    ascii_text = text.encode("ascii", "replace").decode()
    thickness = max(1, round(2 * size))
    (width, height), below = cv2.getTextSize(ascii_text, FONT, size, thickness)
    left, base = place
    cv2.rectangle(canvas, (left - 2, base - height - 2), (left + width + 2, base + below // 2), PLATE_BGR, -1)
    cv2.putText(canvas, ascii_text, place, FONT, size, colour, thickness, cv2.LINE_AA)


def save_picture(
    store: PictureFolder, frame: Frame, judgement: Judgement, spec: PreprocessSpec
) -> Path | None:
    """Paint a judged frame into the store as ``BOARD_FRAME.jpg``.

    The board's name begins with the run's and is unique, so no picture replaces another one. The frame's name follows,
    with its path and suffix: ``20250131T080910.123456Z-000003_a_board.png.jpg``.

    Returns:
        The picture's path, or None for a frame without pixels and for a picture beyond the store's quota.

    Raises:
        OutputError: it cannot be written.
    """
    if frame.pixels is None:
        return None
    name = painted_picture(judgement.record.board, frame.name)
    done, data = cv2.imencode(
        ".jpg", paint_board(frame.pixels, judgement, spec), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    if not done:
        raise OutputError(f"cannot encode {name}")
    return store.write(name, data.tobytes())

"""The work of ``sji-edge recipe import``: files in, one new recipe folder out."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import cv2

from sji_edge.core.errors import DataError, OutputError, UsageError
from sji_edge.core.files import new_folder
from sji_edge.core.images.read import read_image
from sji_edge.core.preprocess import Image
from sji_edge.recipe.board import BOARD_FILE, GOLDEN_FILE, JOINTS_FILE
from sji_edge.recipe.importing.camera_view import Anchor, CameraView, Point, parse_point
from sji_edge.recipe.importing.centroid import Side, read_centroids
from sji_edge.recipe.importing.convert import ImportedBoard, import_board, refusal
from sji_edge.recipe.importing.packages import read_packages


def import_folder(
    centroids: Path,
    packages: Path,
    output: Path,
    *,
    fiducials: Sequence[str],
    golden: Path | None,
    frame: str,
    scale: float | None,
    origin: str,
    side: str,
    fiducial_mm: float,
    bright: bool,
) -> ImportedBoard:
    """Make a recipe folder; the arguments are the command's.

    Raises:
        UsageError: an argument or a file is wrong; nothing is written.
        OutputError: the folder exists already.
    """
    if output.exists():
        raise OutputError(
            f"{output} exists already, and nothing is overwritten", hint="choose another --output"
        )
    if side not in ("top", "bottom"):
        raise UsageError(f"--side {side}; top or bottom was wanted")
    image = None if golden is None else read_image(golden)
    view = CameraView(
        frame=_frame(frame, image),
        anchors=tuple(Anchor.parse(text) for text in fiducials),
        side=cast("Side", side),
        scale=scale,
        origin=_origin(origin),
        fiducial_mm=fiducial_mm,
        bright=bright,
    )
    parts, findings = read_centroids(_read(centroids), centroids.name)
    boxes, more = read_packages(_read(packages), packages.name)
    if findings or more:
        raise refusal(centroids.name, findings + more)
    made = import_board(parts, boxes, view, centroids.name)
    with new_folder(output) as folder:
        (folder / BOARD_FILE).write_text(made.board_json)
        (folder / JOINTS_FILE).write_text(made.joints_csv)
        if image is not None:
            (folder / GOLDEN_FILE).write_bytes(cv2.imencode(".png", image)[1].tobytes())
    return made


def _frame(text: str, image: Image | None) -> tuple[int, int]:
    if (image is None) == (not text):
        raise UsageError("one of --golden and --frame was wanted", hint="--frame 2448x2048")
    if image is not None:
        return image.shape[1], image.shape[0]
    found = re.fullmatch(r"([0-9]{1,6})x([0-9]{1,6})", text)
    if found is None:
        raise UsageError(f"--frame {text}; 2448x2048 was wanted")
    return int(found[1]), int(found[2])


def _origin(text: str) -> Point | None:
    point = parse_point(text)
    if text and point is None:
        raise UsageError(f"--origin {text}; X,Y in pixels was wanted")
    return point


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error

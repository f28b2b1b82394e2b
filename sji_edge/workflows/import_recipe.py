"""Make a recipe folder from pick-and-place data, package sizes and a golden image."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

import cv2

from sji_edge.core.errors import DataError, OutputError, UsageError
from sji_edge.core.files import new_folder, read_bounded
from sji_edge.core.images.read import read_image
from sji_edge.core.preprocess import Image
from sji_edge.recipe.board import BOARD_FILE, GOLDEN_FILE, JOINTS_FILE
from sji_edge.recipe.importing.camera_view import Anchor, CameraView, Point, parse_point
from sji_edge.recipe.importing.centroid import BottomRotation, Centroids, Side, Unit, read_centroids
from sji_edge.recipe.importing.convert import ImportedBoard, import_board, refusal
from sji_edge.recipe.importing.packages import read_packages
from sji_edge.recipe.importing.panel import PanelGrid

SIDES, UNITS, ROTATIONS = get_args(Side), get_args(Unit), get_args(BottomRotation)
MAX_TABLE_BYTES = 64 << 20


@dataclass(frozen=True, eq=False)
class ImportedRecipe:
    """The folder that was written, what it holds, and how the pick-and-place table was read."""

    folder: Path
    board: ImportedBoard
    table: Centroids


def import_recipe(
    centroids: Path,
    packages: Path,
    output: Path,
    *,
    fiducials: Sequence[str],
    points: Sequence[str] = (),
    golden: Path | None = None,
    frame: str = "",
    scale: float | None = None,
    origin: str = "",
    side: str = "top",
    units: str = "",
    bottom_rotation: str = "auto",
    fiducial_mm: float = 1.0,
    bright: bool = True,
    bit_depth: int | None = None,
    strict: bool = False,
    panel: str = "",
    pitch: str = "",
) -> ImportedRecipe:
    """Make a recipe folder; nothing is written unless everything fits.

    Args:
        centroids: pick-and-place table.
        packages: the boxes of each package, in mm.
        output: folder to make; must not exist yet.
        fiducials: two to four known points that become the recipe's fiducials: ``FID1=24,2024`` or
            ``X,Y=24,2024``, without the pixels where there is an ``origin``.
        points: further known points, used only to verify the import.
        golden: image of a faultless board; its size is the frame's.
        frame: ``WIDTHxHEIGHT`` in pixels, where there is no golden image.
        scale: px/mm; fitted to the fiducials by default.
        origin: ``X,Y``, the pixel of the board's (0, 0).
        side: ``top`` or ``bottom``.
        units: ``mm``, ``mil`` or ``inch``, for a table that does not declare its own; millimetres by default.
        bottom_rotation: how the table counts rotations of the bottom side: ``from-above``, ``from-below``, or
            ``auto``: from above in tables of KiCad, else from below.
        fiducial_mm: diameter of the fiducial discs.
        bright: whether the discs are bright on a dark board.
        bit_depth: how many bits of its 16-bit samples the golden image uses.
        strict: raise an error for parts of this side that are not inspected.
        panel: ``COLUMNSxROWS``: step the board over a panel of this many units.
        pitch: ``X,Y``: distance from one unit to the next, in mm along the table's axes.

    Raises:
        UsageError: an argument or a file is wrong, or the evidence contradicts the import.
        OutputError: the folder already exists, or cannot be written.
    """
    if output.exists():
        raise OutputError(f"{output} already exists and is never overwritten", hint="choose another folder")
    grid = PanelGrid.parse(panel, pitch)
    image = None if golden is None else read_image(golden, bit_depth=bit_depth)
    view = CameraView(
        frame=_frame(frame, image),
        anchors=tuple(Anchor.parse(text) for text in fiducials),
        side=cast("Side", _one_of("side", side, SIDES)),
        scale=scale,
        origin=_origin(origin),
        fiducial_mm=fiducial_mm,
        bright=bright,
        points=tuple(Anchor.parse(text) for text in points),
    )
    table = read_centroids(
        read_bounded(centroids, MAX_TABLE_BYTES, error=DataError),
        centroids.name,
        unit=cast("Unit", _one_of("units", units, UNITS)) if units else None,
        bottom_rotation=cast("BottomRotation", _one_of("bottom rotation", bottom_rotation, ROTATIONS)),
    )
    boxes, problems = read_packages(read_bounded(packages, MAX_TABLE_BYTES, error=DataError), packages.name)
    if table.problems or problems:
        raise refusal(centroids.name, [*table.problems, *problems])
    made = import_board(table, boxes, view, centroids.name, golden=image, strict=strict, panel=grid)
    _write(output, made, image)
    return ImportedRecipe(output, made, table)


def _write(output: Path, made: ImportedBoard, image: Image | None) -> None:
    try:
        with new_folder(output) as folder:
            (folder / BOARD_FILE).write_text(made.board_json, encoding="utf-8")
            (folder / JOINTS_FILE).write_text(made.joints_csv, encoding="utf-8")
            if image is not None:
                (folder / GOLDEN_FILE).write_bytes(cv2.imencode(".png", image)[1].tobytes())
    except OSError as error:
        raise OutputError(f"cannot write {output}: {error.strerror}", hint="choose another folder") from error


def _one_of(what: str, value: str, choices: Sequence[str]) -> str:
    if value not in choices:
        raise UsageError(f"the {what} must be one of {', '.join(choices)} (got {value!r})")
    return value


def _frame(text: str, image: Image | None) -> tuple[int, int]:
    if (image is None) == (not text):
        raise UsageError(
            "give either a golden image or a frame size",
            hint="a frame size is WIDTHxHEIGHT, such as 2448x2048",
        )
    if image is not None:
        return image.shape[1], image.shape[0]
    found = re.fullmatch(r"([0-9]{1,6})x([0-9]{1,6})", text)
    if found is None:
        raise UsageError(f"the frame size must be WIDTHxHEIGHT, such as 2448x2048 (got {text!r})")
    return int(found[1]), int(found[2])


def _origin(text: str) -> Point | None:
    point = parse_point(text)
    if text and point is None:
        raise UsageError(f"the origin must be X,Y in pixels (got {text!r})")
    return point

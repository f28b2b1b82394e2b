"""Pictures of boards and joints, cut from what a run kept; each says why it is missing where it is."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import DataError, UsageError
from sji_edge.core.images.read import read_image
from sji_edge.core.preprocess import Image, RoiPx, crop_to_image, sample_crop, to_channels, whole_image_roi
from sji_edge.recipe.board import Recipe
from sji_edge.records.picture_names import (
    PictureKind,
    board_picture,
    crop_picture,
    painted_picture,
)
from sji_edge.review.boards import BoardRow, JointRow, Recipes, read_boards
from sji_edge.review.records import Records

SIDE_PX = 480
"""Side of a joint's picture."""
AROUND = 2.0
"""The picture shows this many times the longer side of the joint's box."""
OVERVIEW_PX = 1600
"""Longest side of a board's picture."""
KEPT_IMAGES = 8
"""Decoded boards in memory, about 5 MB each."""
MAX_PIXELS = 100_000_000
JPEG_QUALITY = 90
RECENT = 300
"""Boards to search for good ones of the same place."""


UNLIKE_TRAINING = "unlike-training"
"""The cause of a joint that the guard stopped: its map shows the novelty."""


class Explain(Protocol):
    """Makes a map of what an engine looked at."""

    def __call__(self, board: Image, place: RoiPx, *, novelty: bool) -> Image:
        """Return the joint with the map on it, uint8 BGR."""


class NoPictureError(UsageError):
    """There is no such picture; the message says why, in words for an operator."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A picture ready to be sent: a JPEG or PNG, with its type."""

    data: bytes
    media_type: str = "image/jpeg"


class Pictures:
    """Finds, cuts and encodes pictures of one database's boards. Safe to use from several threads.

    Args:
        records: the database, which says where the pictures lie.
        recipes: say where the joints lie on a board, and hold the golden images.
    """

    def __init__(self, records: Records, recipes: Recipes) -> None:
        self._records = records
        self._recipes = recipes
        self._kept: OrderedDict[Path, tuple[int, Image]] = OrderedDict()
        self._lock = threading.Lock()

    def board(self, board: BoardRow) -> tuple[Encoded, PictureKind]:
        """Return a board's picture, reduced to ``OVERVIEW_PX``, or as it was painted where nothing else was kept.

        Raises:
            NoPictureError: none was kept.
        """
        try:
            image = self._board_image(board)
        except NoPictureError as error:
            painted = self._path(board, PictureKind.PAINTED, painted_picture(board.board, board.frame_name))
            if painted is None:
                raise
            return _encoded(_reduced(self._read(painted, error.message))), PictureKind.PAINTED
        return _encoded(_reduced(image)), PictureKind.BOARD

    def joint(self, board: BoardRow, joint: JointRow) -> Encoded:
        """Return a joint with its surroundings, or the engine's crop of it where only that was kept.

        Raises:
            NoPictureError: neither was kept.
        """
        try:
            return _encoded(self.joint_pixels(board, joint))
        except NoPictureError as error:
            crop = self._path(board, PictureKind.CROP, crop_picture(joint.verdict, board.board, joint.refdes))
            if crop is None:
                raise
            return _encoded(_enlarged(self._read(crop, error.message)))

    def joint_pixels(self, board: BoardRow, joint: JointRow) -> Image:
        """Return a joint with its surroundings, uint8 of ``SIDE_PX`` squared; raises ``NoPictureError``."""
        image = self._board_image(board)
        if not board.recipe_sha256:
            return _enlarged(image)
        if board.alignment_residual_px is None:
            raise NoPictureError("the board could not be aligned, so its joints' places are not known")
        return cut(image, self.place(board, joint))

    def map(self, board: BoardRow, joint: JointRow, explain: Explain, sha256: str) -> Encoded:
        """Return a joint with a map of what the engine looked at.

        Args:
            board: the board.
            joint: the joint.
            explain: makes the map from the board's picture, the joint's box and whether the novelty is meant.
            sha256: the engine that makes it.

        Raises:
            NoPictureError: no picture was kept, or another engine judged the board.
        """
        if board.engine_sha256 != sha256:
            raise NoPictureError("another engine judged this board; start the station with that one")
        image = self._board_image(board)
        if board.alignment_residual_px is None:
            raise NoPictureError("the board could not be aligned, so its joints' places are not known")
        return _encoded(explain(image, self.place(board, joint), novelty=joint.cause == UNLIKE_TRAINING))

    def golden(self, board: BoardRow, joint: JointRow) -> Encoded:
        """Return the same place of the golden image; raises ``NoPictureError`` if there is none."""
        recipe = self._recipe(board)
        if recipe.golden is None:
            raise NoPictureError("the recipe has no golden image")
        return _encoded(cut(recipe.golden, self.place(board, joint)))

    def good_boards(self, board: BoardRow, joint: JointRow, limit: int = 3) -> list[BoardRow]:
        """Return the newest other boards on which this joint got PASS and of which a picture was kept."""
        if not board.recipe_sha256 or self._recipes.of(board) is None:
            return []
        query = (
            "SELECT b.id FROM boards b JOIN joints j ON j.board_id = b.id "
            "WHERE b.id <> ? AND b.recipe_sha256 = ? AND j.position = ? AND j.verdict = 'PASS' AND NOT EXISTS "
            "(SELECT 1 FROM decisions d WHERE d.subject = b.board AND d.refdes = j.refdes) "
            "ORDER BY b.id DESC LIMIT ?"
        )
        with self._records.reading() as connection:
            values = (board.id, board.recipe_sha256, joint.position, RECENT)
            ids = [row[0] for row in connection.execute(query, values)]
            rows = read_boards(connection, ids)
        found = []
        for row in (rows[one] for one in ids):
            if self._path(row, PictureKind.BOARD, board_picture(row.board)) is not None:
                found.append(row)
            if len(found) == limit:
                break
        return found

    def place(self, board: BoardRow, joint: JointRow) -> RoiPx:
        """Return a joint's box in recipe pixels; raises ``NoPictureError`` if the station does not know its recipe."""
        recipe = self._recipe(board)
        if joint.position >= len(recipe.joints):
            raise NoPictureError(f"the recipe has no joint {joint.refdes}")
        return roi_of(recipe, joint.position)

    def _recipe(self, board: BoardRow) -> Recipe:
        if not board.recipe_sha256:
            raise NoPictureError("the board was judged without a recipe")
        recipe = self._recipes.of(board)
        if recipe is None:
            raise NoPictureError(
                "this station does not have the recipe that the board was judged with",
                hint="start the station with --recipe, as it was at that time",
            )
        return recipe

    def _board_image(self, board: BoardRow) -> Image:
        path = self._path(board, PictureKind.BOARD, board_picture(board.board))
        if path is None:
            folder = self._records.picture_folder(board.board, PictureKind.BOARD)
            if folder is None:
                raise NoPictureError(
                    "no picture: the run kept no boards", hint="run infer with --save-boards"
                )
            raise NoPictureError("no picture: it was deleted, or not kept (1 in 20 boards that pass is)")
        return self._read(path, "the picture was deleted")

    def _path(self, board: BoardRow, kind: PictureKind, name: str) -> Path | None:
        folder = self._records.picture_folder(board.board, kind)
        if folder is None:
            return None
        path = folder / name
        # The name cannot leave the folder; a link in it could.
        inside = path.resolve().is_relative_to(folder.resolve())
        return path if inside and path.is_file() else None

    def _read(self, path: Path, gone: str) -> Image:
        try:
            changed = path.stat().st_mtime_ns
            with self._lock:
                known = self._kept.get(path)
                if known is not None and known[0] == changed:
                    self._kept.move_to_end(path)
                    return known[1]
            image = read_image(path, max_pixels=MAX_PIXELS)
        except FileNotFoundError as error:
            raise NoPictureError(gone) from error
        except (DataError, OSError) as error:
            raise NoPictureError("the picture is damaged or cannot be read") from error
        with self._lock:
            self._kept[path] = (changed, image)
            while len(self._kept) > KEPT_IMAGES:
                self._kept.popitem(last=False)
        return image


def roi_of(recipe: Recipe, position: int) -> RoiPx:
    """Return a joint's box in recipe pixels."""
    x, y, width, height, angle = recipe.rois[position].tolist()
    return RoiPx(x, y, width, height, angle)


def surroundings(box: RoiPx) -> RoiPx:
    """Return the square, not turned, that a joint's picture shows."""
    side = AROUND * max(box.width, box.height)
    return RoiPx(box.x, box.y, side, side)


def cut(image: Image, box: RoiPx, side_px: int = SIDE_PX) -> Image:
    """Cut a joint with its surroundings from a straightened board, uint8 ``(side, side[, 3])``."""
    channels = 1 if image.ndim == 2 else 3
    spec = PreprocessSpec(height=side_px, width=side_px, channels=channels)
    out = np.empty(spec.shape, np.uint8)
    sample_crop(to_channels(image, channels), crop_to_image(surroundings(box), spec), out)
    return out[..., 0] if channels == 1 else out


def _enlarged(image: Image) -> Image:
    channels = 1 if image.ndim == 2 else 3
    spec = PreprocessSpec(height=SIDE_PX, width=SIDE_PX, channels=channels)
    out = np.empty(spec.shape, np.uint8)
    sample_crop(image, crop_to_image(whole_image_roi(image), spec), out)
    return out[..., 0] if channels == 1 else out


def _reduced(image: Image) -> Image:
    longest = max(image.shape[:2])
    if longest <= OVERVIEW_PX:
        return image
    factor = OVERVIEW_PX / longest
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA).astype(
        np.uint8, copy=False
    )


def _encoded(image: Image) -> Encoded:
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise NoPictureError("the picture cannot be encoded")
    return Encoded(data.tobytes())

"""The good boards that a recipe has learned from: their frames, and the joints of them that do not count.

They lie in ``RECIPE/enrolled``, with ``boards.json`` as their list. A frame is read only if its hash is the listed one.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from sji_edge.core import run_files
from sji_edge.core.card import in_one_line
from sji_edge.core.errors import RecipeError
from sji_edge.core.files import parse_json, read_bounded
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.images.read import MAX_FILE_BYTES, decode_image
from sji_edge.core.preprocess import Image

MAX_BYTES = 64 << 20
AGAIN = "enrol the boards again with sji-edge recipe enrol"


class EnrolledBoard(FrozenModel):
    """One frame: its file in the folder, its hash, and the joints that do not count, with the reason."""

    file: str = Field(pattern=r"^[^/\\]+$")
    sha256: str
    left_out: dict[str, str] = {}


class _List(FrozenModel):
    bit_depth: int | None = None
    boards: tuple[EnrolledBoard, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Enrolled:
    """The enrolled boards of a recipe; ``sha256`` covers the list, and so the frames."""

    folder: Path
    boards: tuple[EnrolledBoard, ...]
    sha256: str
    bit_depth: int | None = None

    def frame(self, board: EnrolledBoard) -> Image:
        """Read a board's frame, uint8 grey or BGR.

        Raises:
            RecipeError: the file is missing or is not the one that was enrolled.
            DataError: it cannot be decoded.
        """
        path = self.folder / board.file
        content = read_bounded(path, MAX_FILE_BYTES, error=RecipeError)
        if hashlib.sha256(content).hexdigest() != board.sha256:
            raise RecipeError(f"{path} is not the frame that was enrolled: its hash differs", hint=AGAIN)
        return decode_image(content, str(path), bit_depth=self.bit_depth)


def read_enrolled(recipe: Path) -> Enrolled | None:
    """Read the list of a recipe's enrolled boards; None where none were enrolled.

    Args:
        recipe: the recipe's folder.

    Raises:
        RecipeError: the list cannot be read.
    """
    folder = recipe / run_files.ENROLLED
    if not folder.exists():
        return None
    path = folder / run_files.ENROLLED_LIST
    content = read_bounded(path, MAX_BYTES, error=RecipeError)
    try:
        listed = _List.model_validate(parse_json(content, str(path), error=RecipeError))
    except ValidationError as error:
        raise RecipeError(
            f"{path} is no list of enrolled boards: {in_one_line(error)}", hint=AGAIN
        ) from error
    return Enrolled(folder, listed.boards, hashlib.sha256(content).hexdigest(), listed.bit_depth)


def write_enrolled(
    folder: Path,
    frames: Sequence[tuple[str, bytes, Mapping[str, str]]],
    bit_depth: int | None = None,
) -> None:
    """Write frames and their list into a folder that exists.

    Args:
        folder: becomes ``RECIPE/enrolled``.
        frames: name and content of each image file, and the joints left out with the reason.
        bit_depth: bits that the samples of 16-bit frames use.
    """
    boards = []
    for name, content, left_out in frames:
        (folder / name).write_bytes(content)
        boards.append(
            EnrolledBoard(file=name, sha256=hashlib.sha256(content).hexdigest(), left_out=dict(left_out))
        )
    listed = _List(bit_depth=bit_depth, boards=tuple(boards))
    (folder / run_files.ENROLLED_LIST).write_text(listed.model_dump_json(indent=1) + "\n")

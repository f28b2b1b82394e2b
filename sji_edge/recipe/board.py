"""The description of a board: its frame, its fiducials, and where its joints are.

A recipe is a folder with ``board.json``, ``joints.csv`` and optionally ``golden.png``: the image of a faultless board
that all coordinates refer to. Pixel centres lie at whole numbers.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from sji_edge.core import run_files
from sji_edge.core.errors import DataError, RecipeError, RoiOutsideFrameError
from sji_edge.core.files import parse_json, read_bounded
from sji_edge.core.findings import in_one_sentence
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.images.read import read_image
from sji_edge.core.preprocess import Image
from sji_edge.core.text import amount, readable
from sji_edge.recipe.codes.area import CodeArea, SerialRule
from sji_edge.recipe.enrolled import Enrolled, read_enrolled
from sji_edge.recipe.fiducials.find import pattern_of
from sji_edge.recipe.fiducials.shapes import SHAPES, Fiducial
from sji_edge.recipe.joints import Joint, leaves_frame, read_joints
from sji_edge.recipe.json_lines import line_of
from sji_edge.recipe.limits import AlignmentLimits, FrameLimits, Refinement
from sji_edge.recipe.names import OptionalName
from sji_edge.recipe.panel import MAX_UNITS, Unit, step_joints, unit_faults
from sji_edge.recipe.problem import Problem

BOARD_FILE, JOINTS_FILE, GOLDEN_FILE = run_files.BOARD, run_files.JOINTS, run_files.GOLDEN_IMAGE
MAX_LISTED = 20
MAX_BYTES = 64 << 20
"""Size limit of ``board.json`` and ``joints.csv``: about a million joints."""


class Board(FrozenModel):
    """``board.json``: the frame's ``(width, height)`` in pixels, how a frame is aligned, and where its code is."""

    name: OptionalName = ""
    version: OptionalName = ""
    frame: tuple[int, int]
    fiducials: tuple[Fiducial, ...] = Field(min_length=2, max_length=4)
    alignment: AlignmentLimits = AlignmentLimits()
    checks: FrameLimits = FrameLimits()
    refine: Refinement | None = None
    code: CodeArea | None = None
    serial: SerialRule = SerialRule()
    units: tuple[Unit, ...] = Field(default=(), max_length=MAX_UNITS)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        faults = self._faults()
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _faults(self) -> list[str]:
        width, height = self.frame
        faults = []
        if width < 16 or height < 16:
            faults.append(f"the frame must be at least 16x16 px (got {width}x{height})")
        faults += [
            f"fiducial {number} at ({mark.x:g}, {mark.y:g}) lies outside the frame"
            for number, mark in enumerate(self.fiducials)
            if not (0 <= mark.x <= width - 1 and 0 <= mark.y <= height - 1)
        ]
        if len({(mark.x, mark.y) for mark in self.fiducials}) < len(self.fiducials):
            faults.append("two fiducials lie at the same place")
        if self.code is not None and self.code.leaves(self.frame):
            faults.append("the area of code leaves the frame")
        faults += unit_faults(self.units, self.frame)
        needed = 3 if self.alignment.model == "affine" else 2
        if len(self.fiducials) < needed:
            faults.append(f"an affine alignment needs three fiducials (got {len(self.fiducials)})")
        elif len(self.fiducials) - self.alignment.max_lost < needed:
            left = len(self.fiducials) - self.alignment.max_lost
            faults.append(f"max_lost 1 leaves {left} fiducials, but {self.alignment.model} needs {needed}")
        return faults

    @property
    def uses_golden(self) -> bool:
        """Tell whether the places of joints, or which units are skipped, depend on the golden image."""
        return (
            self.refine is not None
            or any(mark.shape == "template" for mark in self.fiducials)
            or any(unit.skip is not None for unit in self.units)
        )


@dataclass(frozen=True, eq=False)
class Recipe:
    """A board description, read and checked.

    ``golden`` is ``golden.png`` as uint8 grey or BGR, or None where the folder has none; ``enrolled`` are the good
    boards in the folder ``enrolled``, or None. ``sha256`` covers ``board.json``, ``joints.csv``, the golden image where
    the places of joints depend on it, and the enrolled boards.
    """

    folder: Path
    board: Board
    joints: tuple[Joint, ...]
    golden: Image | None
    sha256: str
    enrolled: Enrolled | None = None

    @classmethod
    def load(cls, folder: Path, bit_depth: int | None = None) -> Self:
        """Read a recipe folder.

        Args:
            folder: holds ``board.json``, ``joints.csv`` and, for some recipes, ``golden.png``.
            bit_depth: bits that the samples of a 16-bit golden image use; None if nobody declared it.

        Raises:
            RoiOutsideFrameError: joints leave the frame, and nothing else is wrong; names them.
            RecipeError: a file is missing or wrong; names every fault with its line.
        """
        if not folder.is_dir():
            raise RecipeError(
                f"recipe folder {folder} does not exist",
                hint=f"give a folder with {BOARD_FILE} and {JOINTS_FILE}",
            )
        board_text, joints_text = _read(folder / BOARD_FILE), _read(folder / JOINTS_FILE)
        board, problems = _parse_board(board_text)
        joints, joint_problems = read_joints(joints_text, JOINTS_FILE)
        if board is not None:
            joints, unit_problems = step_joints(joints, board.units, JOINTS_FILE)
            joint_problems += unit_problems
            joint_problems += leaves_frame(joints, board.frame, JOINTS_FILE)
        problems += sorted(joint_problems, key=lambda problem: problem.line)
        golden, golden_problems = _read_golden(folder / GOLDEN_FILE, board, bit_depth)
        problems += golden_problems or _golden_uses(board, golden)
        if problems or board is None:
            raise _refusal(folder, problems)
        digest = hashlib.sha256(board_text).hexdigest() + hashlib.sha256(joints_text).hexdigest()
        if board.uses_golden and golden is not None:
            digest += hashlib.sha256(golden.tobytes()).hexdigest()
        enrolled = read_enrolled(folder)
        if enrolled is not None:
            digest += enrolled.sha256
        return cls(
            folder=folder,
            board=board,
            enrolled=enrolled,
            joints=tuple(joint for _, joint in joints),
            golden=golden,
            sha256=hashlib.sha256(digest.encode()).hexdigest(),
        )

    @property
    def golden_path(self) -> Path:
        """Where the golden image belongs; the file need not exist."""
        return self.folder / GOLDEN_FILE

    @property
    def names(self) -> list[str]:
        """Reference designators, in the order of ``rois``."""
        return [joint.refdes for joint in self.joints]

    @property
    def rois(self) -> NDArray[np.float64]:
        """Boxes as ``core.preprocess.crops_to_image`` takes them, float64 ``(n, 5)``."""
        return np.array([joint.roi for joint in self.joints], dtype=np.float64)

    @property
    def unit_of(self) -> NDArray[np.intp]:
        """Index of each joint's unit in ``board.units``, intp ``(n,)``; zeros for a single board."""
        places = {unit.name: place for place, unit in enumerate(self.board.units)}
        return np.array([places.get(joint.unit, 0) for joint in self.joints], dtype=np.intp)


def _read(path: Path) -> bytes:
    try:
        return read_bounded(path, MAX_BYTES, error=RecipeError)
    except RecipeError as error:
        raise RecipeError(
            error.message, hint=f"a recipe is a folder with {BOARD_FILE} and {JOINTS_FILE}"
        ) from error


def _parse_board(data: bytes) -> tuple[Board | None, list[Problem]]:
    try:
        return Board.model_validate(parse_json(data, BOARD_FILE, error=RecipeError)), []
    except RecipeError as error:
        return None, [Problem(error.message)]
    except ValidationError as error:
        text = data.decode("utf-8-sig")
        return None, [_board_problem(text, found) for found in error.errors()]


def _board_problem(text: str, found: ErrorDetails) -> Problem:
    # Between a fiducial's number and its field, pydantic names the shape that it was read as.
    path = [part for place, part in enumerate(found["loc"]) if not (place == 2 and part in SHAPES)]
    name = ".".join(map(str, path)) or "board"
    if found["type"] == "missing":
        said = f"{name} is missing"
    elif found["type"] == "extra_forbidden":
        said = f"unknown setting {name}"
    elif found["type"] in ("model_type", "model_attributes_type", "dict_type"):
        said = f"{name} must be a JSON object"
    else:
        said = in_one_sentence(found, lambda _: name)
    return Problem(f"{BOARD_FILE} line {line_of(text, path)}: {readable(said)}")


def _golden_uses(board: Board | None, golden: Image | None) -> list[Problem]:
    if board is None:
        return []
    problems = []
    if board.refine is not None and golden is None:
        problems.append(Problem(f"{BOARD_FILE}: refine needs {GOLDEN_FILE}, which is missing"))
    if any(unit.skip is not None for unit in board.units) and golden is None:
        problems.append(Problem(f"{BOARD_FILE}: skip marks need {GOLDEN_FILE}, which is missing"))
    for number, mark in enumerate(board.fiducials):
        pattern = "" if mark.shape == "circle" else pattern_of(mark, golden)
        if isinstance(pattern, str) and pattern:
            problems.append(Problem(f"{BOARD_FILE} fiducials.{number}: {pattern}"))
    return problems


def _read_golden(
    path: Path, board: Board | None, bit_depth: int | None
) -> tuple[Image | None, list[Problem]]:
    if not path.exists():
        return None, []
    try:
        golden = read_image(path, bit_depth=bit_depth)
    except DataError as error:
        return None, [Problem(f"{error.message} ({error.hint})" if error.hint else error.message)]
    size = (golden.shape[1], golden.shape[0])
    if board is not None and size != board.frame:
        return None, [
            Problem(
                f"{GOLDEN_FILE} is {size[0]}x{size[1]} px, but the frame is {board.frame[0]}x{board.frame[1]}"
            )
        ]
    return golden, []


def _refusal(folder: Path, problems: list[Problem]) -> RecipeError:
    listed = "; ".join(problem.text for problem in problems[:MAX_LISTED])
    more = f"; and {len(problems) - MAX_LISTED} more" if len(problems) > MAX_LISTED else ""
    kind = RoiOutsideFrameError if all(problem.outside for problem in problems) else RecipeError
    return kind(
        f"recipe {readable(str(folder))} has {amount(len(problems), 'fault')}: {listed}{more}",
        hint="correct these lines and run the command again",
    )

"""Synthetic boards: a recipe, a golden image, and any number of frames with their ground truth."""

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sji_edge.core import run_files
from sji_edge.core.errors import UsageError
from sji_edge.core.files import new_folder, write_atomic, write_json
from sji_edge.core.preprocess import Image, Matrix
from sji_edge.data.synthetic.background import paint_disc, paint_mask, paint_test_pad, warp_mask
from sji_edge.data.synthetic.codes import MatrixKind
from sji_edge.data.synthetic.files import csv_text, write_png
from sji_edge.data.synthetic.joint import draw_joint
from sji_edge.data.synthetic.layout import (
    DEFAULT_SEARCH_PX,
    FIDUCIAL_RADIUS_PX,
    Movement,
    Site,
    lay_out,
)
from sji_edge.data.synthetic.light import Look, draw_look, expose
from sji_edge.data.synthetic.markings import mark, reserved_sites
from sji_edge.data.synthetic.solder import GOOD_STATE, draw_defect, draw_solder

FIDUCIAL_LEVEL = 235.0
FIDUCIAL_CLEARANCE_PX = 13.0
TEST_PAD_RADIUS_PX = 9.0
FAULTLESS_EVERY = 8
STILL = Movement(max_angle_deg=0.0, max_shift_px=0.0, max_gain_change=0.0, max_joint_offset_px=0.0)
JOINT_COLUMNS = ("refdes", "x", "y", "width", "height", "package")
TRUTH_COLUMNS = ("frame", "refdes", "state", "source")
TRANSFORM_COLUMNS = ("frame", "xx", "xy", "x", "yx", "yy", "y")

_LAYOUT, _GOLDEN, _FRAME, _SKIP = range(4)

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class BoardFrame:
    """A rendered frame and its ground truth.

    Attributes:
        image: uint8 grey ``(h, w)``.
        states: state of each joint, in the recipe's order.
        transform: float64 ``(2, 3)``, maps golden pixels to frame pixels.
    """

    image: Image
    states: tuple[str, ...]
    transform: Matrix


class SyntheticBoards:
    """One board type, and its boards as the camera sees them.

    A frame depends only on the arguments and its index, so frames can be rendered in any order. Joints and
    fiducials are evaluated at the frame's own pixels; only the bare board is resampled, once.

    Args:
        seed: the same seed gives the same bytes.
        joints: number of joints on a board.
        defect_rate: probability of each joint being defective.
        movement: how far frames may deviate from the golden image.
        frame: width and height in pixels; default: the smallest sensor that holds the joints.
        faultless_every: frames 0, n, 2n, … have no defect; 0 turns this off.
        code: print each board's serial number, or each unit's, in place of one more joint; None prints none.
        panel: columns and rows of the units of a panel; None for a single board.
        skip_rate: probability of each unit being marked to be skipped.

    Raises:
        UsageError: the joints do not fit the frame, or a number is out of range.
    """

    def __init__(
        self,
        seed: int,
        joints: int = 100,
        defect_rate: float = 0.1,
        *,
        movement: Movement | None = None,
        frame: tuple[int, int] | None = None,
        faultless_every: int = FAULTLESS_EVERY,
        code: MatrixKind | None = None,
        panel: tuple[int, int] | None = None,
        skip_rate: float = 0.0,
    ) -> None:
        if seed < 0 or faultless_every < 0 or not 0 <= defect_rate <= 1:
            raise UsageError(
                "the defect rate must lie between 0 and 1, and the seed and faultless_every must be at least 0 "
                f"(got {defect_rate:g}, {seed}, {faultless_every})"
            )
        self.seed = seed
        self.defect_rate = defect_rate
        self.movement = movement or Movement()
        self.faultless_every = faultless_every
        rng = np.random.default_rng([seed, _LAYOUT])
        layout = lay_out(rng, joints + reserved_sites(code, panel), self.movement, frame)
        sites, self.markings = mark(layout.sites, layout.frame, code, panel)
        self.layout = dataclasses.replace(layout, sites=sites)
        self.skip_rate = skip_rate
        self.look = dataclasses.replace(draw_look(rng), gain=1.0, blur_px=0.6)
        width, height = self.layout.frame
        self._mask = paint_mask(rng, (height, width), self.look)

    @functools.cached_property
    def golden(self) -> Image:
        """A faultless board in its nominal position, uint8 grey ``(h, w)``."""
        rng = np.random.default_rng([self.seed, _GOLDEN])
        states = [GOOD_STATE] * len(self.layout.sites)
        return self._photograph(rng, states, np.eye(2, 3), STILL, self.serial(0), ())

    @property
    def board(self) -> dict[str, Any]:
        """The content of ``board.json``, without settings that equal their defaults."""
        width, height = self.layout.frame
        search = {"search_px": self.layout.search_px} if self.layout.search_px > DEFAULT_SEARCH_PX else {}
        disc = {"radius": round(FIDUCIAL_RADIUS_PX), "shape": "circle", "bright": True}
        return {
            "frame": [width, height],
            "fiducials": [{"x": x, "y": y, **disc, **search} for x, y in self.layout.fiducials],
            **self.markings.settings,
        }

    @property
    def joints(self) -> list[tuple[str | int, ...]]:
        """The rows of ``joints.csv``: refdes, centre, box, package, and the unit on a panel."""
        rows = [(site.refdes, site.x, site.y, *site.box_px, site.pad) for site in self.layout.sites]
        units = self.markings.unit_of
        return [(*row, unit) for row, unit in zip(rows, units, strict=True)] if units else list(rows)

    def render(self, index: int) -> BoardFrame:
        """Render the frame with this index, 0 or higher."""
        if index < 0:
            raise UsageError(f"the frame index must be at least 0 (got {index})")
        rng = np.random.default_rng([self.seed, _FRAME, index])
        transform = self._draw_transform(rng)
        states = self._draw_states(rng, index)
        image = self._photograph(
            rng, states, transform, self.movement, self.serial(index), self.skipped(index)
        )
        return BoardFrame(image, tuple(states), transform)

    def serial(self, index: int) -> str:
        """Return the serial number of the board with this index, as it is printed on it."""
        return f"SN{self.seed:04d}-{index:06d}"

    def skipped(self, index: int) -> tuple[bool, ...]:
        """Tell which units of the board with this index are marked to be skipped."""
        rng = np.random.default_rng([self.seed, _SKIP, index])
        return tuple(bool(rng.random() < self.skip_rate) for _ in self.markings.units)

    def _draw_transform(self, rng: np.random.Generator) -> Matrix:
        angle = np.radians(rng.uniform(-1, 1) * self.movement.max_angle_deg)
        shift = rng.uniform(-1, 1, 2) * self.movement.max_shift_px
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        middle = (np.array(self.layout.frame) - 1) / 2
        return np.column_stack([turn, middle - turn @ middle + shift])

    def _draw_states(self, rng: np.random.Generator, index: int) -> list[str]:
        faultless = self.faultless_every > 0 and index % self.faultless_every == 0
        rate = 0.0 if faultless else self.defect_rate
        return [draw_defect(rng) if rng.random() < rate else GOOD_STATE for _ in self.layout.sites]

    def _photograph(
        self,
        rng: np.random.Generator,
        states: Sequence[str],
        transform: Matrix,
        movement: Movement,
        serial: str,
        skipped: Sequence[bool],
    ) -> Image:
        gain = 1 + float(rng.uniform(-1, 1)) * movement.max_gain_change
        scene = warp_mask(self._mask, transform)
        for site, state in zip(self.layout.sites, states, strict=True):
            _draw_site(rng, scene, transform, site, state, self.look, movement.max_joint_offset_px)
        for x, y in self.layout.fiducials:
            at = transform @ (x, y, 1.0)
            paint_disc(scene, at[0], at[1], FIDUCIAL_RADIUS_PX + FIDUCIAL_CLEARANCE_PX, self.look.mask_level)
            paint_disc(scene, at[0], at[1], FIDUCIAL_RADIUS_PX, FIDUCIAL_LEVEL)
        self.markings.paint(scene, transform, serial, skipped or (False,) * len(self.markings.skips))
        return expose(scene, dataclasses.replace(self.look, gain=gain), rng)


def _draw_site(
    rng: np.random.Generator,
    scene: Floats,
    transform: Matrix,
    site: Site,
    state: str,
    look: Look,
    max_offset_px: float,
) -> None:
    angle, distance = rng.uniform(-np.pi, np.pi), max_offset_px * np.sqrt(rng.uniform())
    x, y = site.x + distance * np.cos(angle), site.y + distance * np.sin(angle)
    if site.test_pad is not None:
        at = transform @ (x + site.test_pad[0], y + site.test_pad[1], 1.0)
        paint_test_pad(scene, at[0], at[1], TEST_PAD_RADIUS_PX, look)
    other = draw_solder(rng, GOOD_STATE, site.pad, tab_rad=site.tab_rad)
    draw_joint(scene, _placed(transform, x + site.neighbour[0], y + site.neighbour[1]), other, look, rng)
    joint = draw_solder(rng, state, site.pad, neighbour=site.neighbour, tab_rad=site.tab_rad)
    draw_joint(scene, _placed(transform, x, y), joint, look, rng)


def _placed(transform: Matrix, x: float, y: float) -> Matrix:
    return np.column_stack([transform[:, :2], transform @ (x, y, 1.0)])


@dataclass(frozen=True, slots=True, eq=False)
class FrameTruth:
    """The ground truth of a written frame; see ``BoardFrame``."""

    file: str
    states: tuple[str, ...]
    transform: Matrix


def write_boards(
    folder: Path,
    *,
    seed: int,
    frames: int,
    joints: int,
    defect_rate: float,
    movement: Movement | None = None,
    frame: tuple[int, int] | None = None,
    faultless_every: int = FAULTLESS_EVERY,
) -> tuple[FrameTruth, ...]:
    """Write a recipe and its frames, in the format of the real boards.

    The folder gets ``board.json``, ``joints.csv``, ``golden.png``, ``boardNN.png``, ``truth.csv`` and
    ``transforms.csv`` (golden to frame pixels).

    ``folder`` must not exist yet; ``frames`` is the number of frames to write; the other arguments are those of
    ``SyntheticBoards``.

    Raises:
        UsageError: a number is out of range.
        OutputError: ``folder`` already exists.
    """
    if frames < 1:
        raise UsageError(f"the number of frames must be at least 1 (got {frames})")
    boards = SyntheticBoards(
        seed, joints, defect_rate, movement=movement, frame=frame, faultless_every=faultless_every
    )
    with new_folder(folder) as temporary:
        write_recipe(temporary, boards)
        truths = _write_frames(temporary, boards, frames)
        write_atomic(temporary / "truth.csv", csv_text(TRUTH_COLUMNS, _truth_rows(boards, truths)))
        rows = [(truth.file, *truth.transform.ravel().tolist()) for truth in truths]
        write_atomic(temporary / "transforms.csv", csv_text(TRANSFORM_COLUMNS, rows))
    return tuple(truths)


def write_recipe(folder: Path, boards: SyntheticBoards) -> None:
    """Write ``board.json``, ``joints.csv`` and ``golden.png`` into a folder that exists."""
    columns = (*JOINT_COLUMNS, "unit") if boards.markings.units else JOINT_COLUMNS
    write_json(folder / run_files.BOARD, boards.board)
    write_atomic(folder / run_files.JOINTS, csv_text(columns, boards.joints))
    write_png(folder / run_files.GOLDEN_IMAGE, boards.golden)


def _write_frames(folder: Path, boards: SyntheticBoards, frames: int) -> list[FrameTruth]:
    digits = max(2, len(str(frames - 1)))
    truths = []
    for index in range(frames):
        shot = boards.render(index)
        truths.append(FrameTruth(f"board{index:0{digits}d}.png", shot.states, shot.transform))
        write_png(folder / truths[-1].file, shot.image)
    return truths


def _truth_rows(boards: SyntheticBoards, truths: Iterable[FrameTruth]) -> list[tuple[str, str, str, str]]:
    return [
        (truth.file, site.refdes, state, f"synthetic-{boards.seed}")
        for truth in truths
        for site, state in zip(boards.layout.sites, truth.states, strict=True)
    ]

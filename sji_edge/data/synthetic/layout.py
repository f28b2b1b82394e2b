"""The layout of a synthetic board: frame, fiducials, joints, neighbours and test pads."""

from dataclasses import dataclass

import numpy as np

from sji_edge.core.errors import UsageError
from sji_edge.data.synthetic.solder import BOX_PX, NEIGHBOUR_GAP_PX, PAD_PX, draw_pad, neighbour_px

FRAMES = ((612, 512), (1224, 1024), (2448, 2048), (4096, 3072), (5472, 3648), (8192, 6144))
"""Width and height of common sensors; the smallest one that holds the joints is used."""
PITCH_PX = (172.0, 144.0)
FIDUCIAL_RADIUS_PX = 13.0
EDGE_GAP_PX = 4.0
FIDUCIAL_ROOM_PX = (22.0, 34.0)
"""Room beside and above a corner's joint, so that no pad lies within a radius of a fiducial's edge."""
DEFAULT_SEARCH_PX = 40.0
"""Search range of a recipe that does not set its own."""


@dataclass(frozen=True, slots=True)
class Movement:
    """How far a frame may lie from the golden image.

    Attributes:
        max_angle_deg: maximum rotation about the frame's centre.
        max_shift_px: maximum shift along x and along y.
        max_gain_change: maximum change of the exposure, as a share.
        max_joint_offset_px: maximum distance of a joint from its nominal place.
    """

    max_angle_deg: float = 0.35
    max_shift_px: float = 9.0
    max_gain_change: float = 0.05
    max_joint_offset_px: float = 2.0

    def __post_init__(self) -> None:
        """Refuse limits that make no sense."""
        limits = (self.max_angle_deg, self.max_shift_px, self.max_gain_change, self.max_joint_offset_px)
        if min(limits) < 0 or self.max_angle_deg > 10 or self.max_gain_change >= 1:
            raise UsageError(
                f"limits must not be negative, the angle at most 10 degrees, the gain change below 1 (got {self})"
            )

    def reach_px(self, frame: tuple[int, int]) -> tuple[float, float]:
        """Return how far a point of the frame may move, along x and along y."""
        sine, versine = np.sin(np.radians(self.max_angle_deg)), 1 - np.cos(np.radians(self.max_angle_deg))
        half_x, half_y = frame[0] / 2, frame[1] / 2
        return (
            float(self.max_shift_px + sine * half_y + versine * half_x),
            float(self.max_shift_px + sine * half_x + versine * half_y),
        )


@dataclass(frozen=True, slots=True)
class Site:
    """The place of an inspected joint and what lies beside it; offsets are from the joint's centre.

    ``neighbour`` is a pad of the same kind that is not inspected.
    """

    refdes: str
    x: int
    y: int
    pad: str
    neighbour: tuple[float, float]
    test_pad: tuple[float, float] | None
    tab_rad: float

    @property
    def box_px(self) -> tuple[int, int]:
        """Width and height of the joint's box."""
        return BOX_PX[self.pad]


@dataclass(frozen=True, slots=True)
class Layout:
    """A board; ``fiducials`` are the centres of bright discs with radius ``FIDUCIAL_RADIUS_PX``."""

    frame: tuple[int, int]
    fiducials: tuple[tuple[int, int], ...]
    sites: tuple[Site, ...]
    search_px: float


def lay_out(
    rng: np.random.Generator, joints: int, movement: Movement, frame: tuple[int, int] | None = None
) -> Layout:
    """Place joints on a grid so that neither they nor the fiducials ever leave the frame.

    Raises:
        UsageError: fewer than one joint, or more than the frame holds.
    """
    if joints < 1:
        raise UsageError(f"a board must have at least 1 joint (got {joints})")
    size = frame or _smallest_frame(joints, movement)
    columns, rows = _capacity(size, movement)
    if columns * rows < joints:
        raise UsageError(
            f"{joints} joints do not fit a {size[0]}x{size[1]} frame, which holds {columns * rows}",
            hint="ask for fewer joints, a larger frame, or less movement",
        )
    columns, rows = _grid(joints, columns, rows)
    inset_x, inset_y = _inset(size, movement)
    across = np.linspace(inset_x, size[0] - 1 - inset_x, columns) if columns > 1 else [size[0] / 2]
    down = np.linspace(inset_y, size[1] - 1 - inset_y, rows) if rows > 1 else [size[1] / 2]
    turn = float(rng.choice([1.0, 3.0])) * np.pi / 2
    places = [(round(float(x)), round(float(y))) for y in down for x in across][:joints]
    sites = tuple(_site(rng, f"J{number:03d}", *place, turn) for number, place in enumerate(places, start=1))
    reach = max(movement.reach_px(size))
    return Layout(size, _fiducials(size, movement), sites, max(DEFAULT_SEARCH_PX, float(np.ceil(reach)) + 4))


def _smallest_frame(joints: int, movement: Movement) -> tuple[int, int]:
    for size in FRAMES:
        columns, rows = _capacity(size, movement)
        if columns * rows >= joints:
            return size
    return FRAMES[-1]


def _inset(frame: tuple[int, int], movement: Movement) -> tuple[float, float]:
    """Return how far inside the frame the outermost joints' centres lie, along x and along y."""
    reach_x, reach_y = movement.reach_px(frame)
    half_x, half_y = (max(box[axis] for box in BOX_PX.values()) / 2 for axis in (0, 1))
    room_x, room_y = FIDUCIAL_ROOM_PX
    return reach_x + half_x + EDGE_GAP_PX + room_x, reach_y + half_y + EDGE_GAP_PX + room_y


def _capacity(frame: tuple[int, int], movement: Movement) -> tuple[int, int]:
    """Return the most columns and rows that a frame holds."""
    room = [side - 1 - 2 * inset for side, inset in zip(frame, _inset(frame, movement), strict=True)]
    columns, rows = (
        int(space // pitch) + 1 if space >= 0 else 0 for space, pitch in zip(room, PITCH_PX, strict=True)
    )
    return columns, rows


def _grid(joints: int, columns: int, rows: int) -> tuple[int, int]:
    """Return the columns and rows to use: about square, within what the frame holds."""
    wide = min(columns, max(int(np.ceil(np.sqrt(joints))), int(np.ceil(joints / rows))))
    return wide, int(np.ceil(joints / wide))


def _fiducials(frame: tuple[int, int], movement: Movement) -> tuple[tuple[int, int], ...]:
    reach_x, reach_y = movement.reach_px(frame)
    x, y = (int(np.ceil(reach + FIDUCIAL_RADIUS_PX + EDGE_GAP_PX)) for reach in (reach_x, reach_y))
    right, bottom = frame[0] - x, frame[1] - y
    return (x, y), (right, y), (x, bottom), (right, bottom)


def _site(rng: np.random.Generator, refdes: str, x: int, y: int, turn: float) -> Site:
    """Draw a site; its neighbours lie to its right or on the board's ``turn`` side, so that none collide."""
    pad = draw_pad(rng)
    direction = 0.0 if pad != "bar" and rng.random() < 0.5 else turn
    side = turn if direction == 0.0 else 0.0
    distance = PAD_PX[pad][0] / 2 if side == 0.0 else PAD_PX[pad][1] / 2
    away = distance + NEIGHBOUR_GAP_PX + rng.uniform(3.0, 10.0)
    test_pad = (float(away * np.cos(side)), float(away * np.sin(side)))
    return Site(
        refdes=refdes,
        x=x,
        y=y,
        pad=pad,
        neighbour=neighbour_px(pad, direction),
        test_pad=test_pad if rng.random() < 0.35 else None,
        tab_rad=float(rng.integers(4)) * np.pi / 2,
    )
